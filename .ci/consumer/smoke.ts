// What a user of the package does first, compiled and run against the published files.
import assert from 'node:assert/strict'
import { createEngine, isPawlError } from 'pawl'
import { agentPlatform } from 'pawl/machines'
import { createTestEngine } from 'pawl/testing'

const options = { database: 'smoke.db', resources: agentPlatform() }

const engine = await createEngine(options)
const { resource: session } = await engine.sessions.create({})
assert.equal(session.status, 'queued')
await engine.sessions.send(session.id, { type: 'start' })

// @ts-expect-error The types know the commands of a session.
await assert.rejects(engine.sessions.send(session.id, { type: 'launch' }))
await assert.rejects(
  engine.sessions.send(session.id, { type: 'start' }),
  (error) => isPawlError(error, 'illegal_transition') && error.details.status === 'running',
)

const { data: events } = await engine.events.list({ resource: session.id, order: 'asc' })
assert.deepEqual(
  events.map(({ type }) => type),
  ['session.queued', 'session.running'],
)
for (const event of events) {
  if (event.type === 'session.running') assert.equal(event.data.id, session.id)
}
await engine.close()

const reopened = await createEngine(options)
assert.equal((await reopened.sessions.get(session.id)).status, 'running')
assert.equal((await reopened.sessions.history(session.id)).data.length, 2)
await reopened.close()

const fake = await createTestEngine({ resources: agentPlatform() })
const { resource: waiting } = await fake.sessions.create({})
await fake.clock.advance('5m')
assert.equal((await fake.sessions.get(waiting.id)).status, 'failed')
await fake.close()
console.log('smoke: ok')
