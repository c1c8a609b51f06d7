import { describe, expect, test } from 'vitest'
import {
  collect,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeAgent, makeRunningRun, makeTask, send } from '../support/world.ts'

const key = { idempotencyKey: 'k1' }

async function setup() {
  const engine = await setupEngine()
  return { engine, agents: handleOf(engine, 'agents'), tasks: handleOf(engine, 'tasks') }
}

const DAY = 24 * 60 * 60 * 1000

describe('the same request with the same key', () => {
  test('gives the first outcome of create and makes nothing', async () => {
    const { engine, agents } = await setup()
    const first = await agents.create({ name: 'A' }, key)
    await engine.clock.advance('1m')

    const second = await agents.create({ name: 'A' }, key)

    expect(first.replayed).toBe(false)
    expect(second).toEqual({ ...first, replayed: true })
    expect(typesOf(await fullLog(engine))).toEqual(['agent.created'])
  })

  test('gives the first outcome of send, with all its events', async () => {
    const { engine } = await setup()
    const runs = handleOf(engine, 'taskRuns')
    const { id } = await makeRunningRun(engine)
    const first = await runs.send(id, { type: 'complete' }, key)
    const before = await fullLog(engine)

    const second = await runs.send(id, { type: 'complete' }, key)

    expect(typesOf(second.events)).toEqual(['task_run.completed', 'session.idle'])
    expect(second).toEqual({ ...first, replayed: true })
    expect(await fullLog(engine)).toEqual(before)
  })

  test('wins over what has become of the resource since', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)
    const first = await tasks.send(id, { type: 'promote' }, { ...key, expectedVersion: 1 })
    await send(engine, 'task', id, 'delete')

    const second = await tasks.send(id, { type: 'promote' }, { ...key, expectedVersion: 1 })

    expect(second).toEqual({ ...first, replayed: true })
    expect(second.resource.status).toBe('test')
    expect((await tasks.get(id)).status).toBe('deleted')
  })

  test('remembers an outcome that changed nothing', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)
    await tasks.send(id, { type: 'reset' }, key)
    await send(engine, 'task', id, 'promote')

    const second = await tasks.send(id, { type: 'reset' }, key)

    expect(second).toMatchObject({ changed: false, replayed: true })
    expect((await tasks.get(id)).status).toBe('test')
  })

  test('is remembered over a restart', async () => {
    const options = { database: temporaryFile() }
    const engine = await openEngine(options)
    const first = await handleOf(engine, 'agents').create({ name: 'A' }, key)

    const again = await reopen(engine, options)

    const second = await handleOf(again, 'agents').create({ name: 'A' }, key)
    expect(second).toEqual({ ...first, replayed: true })
    await again.close()
  })

  test('is carried out once, however many callers send it at a time', async () => {
    const { agents } = await setup()

    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => agents.create({ name: 'A' }, key)),
    )

    expect(outcomes.filter((outcome) => !outcome.replayed)).toHaveLength(1)
    expect(new Set(outcomes.map(({ resource }) => resource.id)).size).toBe(1)
    expect((await agents.list()).data).toHaveLength(1)
  })

  test('is forgotten after 24 hours', async () => {
    const { engine, agents } = await setup()
    const first = await agents.create({ name: 'A' }, key)

    await engine.clock.advance(DAY - 1)
    const within = await agents.create({ name: 'A' }, key)
    await engine.clock.advance(2)
    const after = await agents.create({ name: 'A' }, key)

    expect(within).toEqual({ ...first, replayed: true })
    expect(after.replayed).toBe(false)
    expect(after.resource.id).not.toBe(first.resource.id)
  })
})

describe('another request with the same key', () => {
  test('is refused, whatever differs', async () => {
    const { engine, agents, tasks } = await setup()
    const a = await makeAgent(engine)
    const b = await makeAgent(engine)
    const task = await makeTask(engine)
    await agents.send(a.id, { type: 'update', name: 'X' }, key)
    const before = await fullLog(engine)

    const others = [
      () => agents.send(a.id, { type: 'update', name: 'Y' }, key),
      () => agents.send(a.id, { type: 'delete' }, key),
      () => agents.send(b.id, { type: 'update', name: 'X' }, key),
      () => agents.create({ name: 'X' }, key),
      () => tasks.send(task.id, { type: 'update', name: 'X' }, key),
    ]

    for (const call of others) {
      expect(await failureOf(call)).toMatchObject({ code: 'idempotency_mismatch', key: 'k1' })
    }
    expect(await fullLog(engine)).toEqual(before)
  })

  test('is carried out once the key has expired', async () => {
    const { engine, agents } = await setup()
    await agents.create({ name: 'A' }, key)
    await engine.clock.advance(DAY + 1)

    const { replayed, resource } = await agents.create({ name: 'B' }, key)

    expect({ replayed, name: resource.name }).toEqual({ replayed: false, name: 'B' })
  })
})

describe('a key', () => {
  test('belongs to a tenant', async () => {
    const { engine, agents } = await setup()
    const others = handleOf(engine.tenant('acme'), 'agents')
    const first = await agents.create({ name: 'A' }, key)

    const other = await others.create({ name: 'B' }, key)

    expect(other).toMatchObject({ replayed: false, resource: { name: 'B' } })
    expect(await agents.create({ name: 'A' }, key)).toEqual({ ...first, replayed: true })
  })

  test('does not remember a refusal', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)
    await failureOf(tasks.send(id, { type: 'demote' }, key))
    await send(engine, 'task', id, 'promote')

    const outcome = await tasks.send(id, { type: 'demote' }, key)

    expect(outcome).toMatchObject({ changed: true, replayed: false })
    expect(outcome.resource.status).toBe('learning')
  })

  test('does not remember a version conflict or a malformed payload', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)
    await failureOf(tasks.send(id, { type: 'promote' }, { ...key, expectedVersion: 4 }))
    await failureOf(tasks.send(id, { type: 'update', name: 5 }, key))

    const outcome = await tasks.send(id, { type: 'promote' }, key)

    expect(outcome).toMatchObject({ changed: true, replayed: false })
  })

  test.each(['x'.repeat(256), 'ключ', "'; drop table pawl_events; --", '__proto__', ' '])(
    'may be any text of at most 256 characters: %j',
    async (idempotencyKey) => {
      const { agents } = await setup()

      const first = await agents.create({ name: 'A' }, { idempotencyKey })
      const second = await agents.create({ name: 'A' }, { idempotencyKey })

      expect(second).toEqual({ ...first, replayed: true })
      expect(await collect(await agents.list())).toHaveLength(1)
    },
  )

  test.each(['x'.repeat(257), '', '\ud800', 5, {}, null])('is refused as %j', async (bad) => {
    const { engine, agents } = await setup()

    const error = await failureOf(agents.create({ name: 'A' }, { idempotencyKey: bad }))

    expect(error.code).toBe('invalid_input')
    expect(await fullLog(engine)).toEqual([])
  })
})
