import { setImmediate } from 'node:timers/promises'
import { createMachine } from 'xstate'
import { createEngine } from '../../src/index.ts'
import { withThings } from '../support/things.ts'

const machine = createMachine({ initial: 'a', states: { a: { after: { 3600000: 'b' } }, b: {} } })
const engine = await createEngine({ database: ':memory:', ...withThings(machine) })
const [how, what] = process.argv.slice(2)
const stopper = new AbortController()
await engine.start()
const ends = what === 'follow' ? follow(stopper.signal) : []
await engine.things.create({} as never)
for (let turn = 0; turn < 20; turn++) await setImmediate()

// Nothing but this may end the process: a handle that is left would keep it alive for an hour.
if (how !== 'close') await engine.stop()
if (how === 'leave') stopper.abort()
if (how === 'close') await engine.close()
await Promise.all(ends)

/** Follows the log in every way; each of them waits for what does not come. */
function follow(signal: AbortSignal): readonly Promise<unknown>[] {
  const events = engine.events.subscribe({ from: 'start', signal })
  const options = { from: 'start', lease: '1h', backoff: '1h', signal } as const
  return [
    engine.consume('reader', options, () => {}),
    engine.consume('stand-by', options, () => {}),
    engine.consume('stand-by', options, () => {}),
    engine.consume('failing', options, () => Promise.reject(new Error('not now'))),
    (async () => {
      for await (const _ of events);
    })(),
    engine.events.subscribe({ from: 'now', signal }).next(),
  ]
}
