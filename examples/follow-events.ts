/** Following the log: what has happened, then what happens, and on from the last event after a pause. */

import { createEngine } from 'pawl'

const engine = await createEngine({ database: ':memory:' })
await engine.sessions.create()

/** Prints what happens to sessions until one has failed; gives the place to go on from. */
async function follow(name: string, from: string): Promise<string> {
  for await (const event of engine.events.subscribe({ from, type: 'session.*' })) {
    console.log(`${name}: ${String(event.seq).padStart(2)} ${event.type}`)
    if (event.type === 'session.failed') return event.id
  }
  return from
}

// From the very beginning, and on without a seam to what comes.
const following = follow('first ', 'start')
const { resource: session } = await engine.sessions.create()
await engine.sessions.send(session.id, { type: 'start' })
await engine.sessions.send(session.id, { type: 'fail', error: { code: 'lost', message: 'Gone' } })
const last = await following

// Nobody listens to this one; the log keeps it.
await engine.sessions.create()

// From the event that was the last one: this session, and the next.
const goingOn = follow('second', last)
const { resource: other } = await engine.sessions.create()
await engine.sessions.send(other.id, { type: 'fail', error: { code: 'lost', message: 'Gone' } })
await goingOn

// A subscription ends with its signal or, like this one, with the engine.
const waiting = follow('third ', 'now')
await engine.close()
await waiting
console.log('closed')
