import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { assign, createMachine } from 'xstate'
import { z } from 'zod'
import { agentPlatform } from '../../machines/index.ts'
import { createEngine } from '../../src/index.ts'
import { define } from '../support/define.ts'
import {
  type AnyEngine,
  type AnyEvent,
  type AnyHandle,
  allTimers,
  expectVerified,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { viewOf } from '../support/errors.ts'
import { startWriter, type Writer, type Written } from '../support/processes.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeAgent, makeSession, makeTask } from '../support/world.ts'

/** An engine on a real file with the real clock. */
async function openReal(database: string, options: object = {}): Promise<AnyEngine> {
  const engine = (await createEngine({ database, ...options })) as unknown as AnyEngine
  onTestFinished(() => engine.close())
  return engine
}

function expectDense(log: readonly AnyEvent[]): void {
  expect(log.map((entry) => entry.seq)).toEqual(log.map((_, index) => index + 1))
}

/** Checks that the versions of every resource count up from 1 in the order of the log. */
function expectNoHoles(log: readonly AnyEvent[]): void {
  const versions = new Map<string, number>()
  for (const { resource_id, resource_version } of log) {
    const previous = versions.get(resource_id) ?? 0
    expect([previous, previous + 1]).toContain(resource_version)
    versions.set(resource_id, resource_version)
  }
}

/** Checks that each acknowledged change is in the log, and no other. */
function expectAcknowledged(log: readonly AnyEvent[], written: readonly Written[]): void {
  const logged = log.map((entry) => `${entry.resource_id} ${entry.resource_version}`)
  const acknowledged = written.map(({ id, version }) => `${id} ${version}`)
  expect(logged.toSorted()).toEqual(acknowledged.toSorted())
}

/** One caller that promotes, demotes and renames shared tasks, minding what it has seen. */
async function call(tasks: AnyHandle, ids: readonly string[], caller: number): Promise<Written[]> {
  const written: Written[] = []
  for (let i = 0; i < 12; i++) {
    const id = ids[(caller * 7 + i * 3) % ids.length] ?? ''
    const type = ['promote', 'demote', 'update'][(caller + i) % 3] ?? ''
    const payload = type === 'update' ? { name: `${caller}.${i}` } : {}
    const seen = (caller + i) % 4 === 0 ? { expectedVersion: (await tasks.get(id)).version } : {}
    const answer = await tasks.trySend(id, { type, ...payload }, seen)
    if (answer.ok && answer.changed) written.push({ id, version: answer.resource.version })
    if (!answer.ok) {
      expect(['illegal_transition', 'version_conflict']).toContain(viewOf(answer.error).code)
    }
  }
  return written
}

async function makeTasks(engine: AnyEngine, count: number): Promise<string[]> {
  const agent = await makeAgent(engine)
  const tasks = handleOf(engine, 'tasks')
  const made = Array.from({ length: count }, () => tasks.create({ name: 'T', agent_id: agent.id }))
  return (await Promise.all(made)).map(({ resource }) => resource.id)
}

describe('64 callers on one engine', () => {
  test('lose nothing and leave no hole', { timeout: 60_000 }, async () => {
    const engine = await openReal(temporaryFile())
    const ids = await makeTasks(engine, 16)
    const before = await fullLog(engine)

    const callers = Array.from({ length: 64 }, (_, i) => call(handleOf(engine, 'tasks'), ids, i))
    const written = (await Promise.all(callers)).flat()

    const log = await fullLog(engine)
    expectDense(log)
    expectNoHoles(log)
    expectAcknowledged(log.slice(before.length), written)
    await expectVerified(engine)
  })

  test('that expect the same version: one wins and the others are told', async () => {
    const engine = await openReal(temporaryFile())
    const agents = handleOf(engine, 'agents')
    const { id } = await makeAgent(engine)

    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) =>
        agents.trySend(id, { type: 'update', name: `${i}` }, { expectedVersion: 1 }),
      ),
    )

    const refused = answers.flatMap((answer) => (answer.ok ? [] : [viewOf(answer.error)]))
    expect(refused).toHaveLength(63)
    for (const error of refused) {
      expect(error).toMatchObject({ code: 'version_conflict', expected: 1, actual: 2 })
    }
    expect((await agents.get(id)).version).toBe(2)
  })

  test('that send to one resource are all served, one after the other', async () => {
    const engine = await openReal(temporaryFile())
    const agents = handleOf(engine, 'agents')
    const { id } = await makeAgent(engine)

    const outcomes = await Promise.all(
      Array.from({ length: 64 }, (_, i) => agents.send(id, { type: 'update', name: `${i}` })),
    )

    const versions = outcomes.map(({ resource }) => resource.version)
    expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i + 2))
    const last = outcomes.find(({ resource }) => resource.version === 65)
    expect((await agents.get(id)).name).toBe(last?.resource.name)
  })
})

const brittle = define({
  type: 'brittle',
  prefix: 'brit',
  input: z.strictObject({}),
  commands: { hit: z.strictObject({}), tap: z.strictObject({}) },
  machine: createMachine({
    context: { taps: 0 },
    initial: 'whole',
    states: {
      whole: {
        on: {
          tap: { actions: assign({ taps: ({ context }) => context.taps + 1 }) },
          hit: {
            actions: assign(() => {
              throw new Error('it broke')
            }),
          },
        },
      },
    },
  }),
})

describe('one batch', () => {
  test('keeps the trouble of one caller from the others', async () => {
    const engine = await setupEngine({
      database: temporaryFile(),
      resources: { ...agentPlatform(), brittles: brittle },
    })
    const agents = handleOf(engine, 'agents')
    const brittles = handleOf(engine, 'brittles')
    const task = await makeTask(engine)
    const thing = (await brittles.create({})).resource
    const before = await fullLog(engine)

    const results = await Promise.allSettled([
      agents.create({ name: 'first' }),
      handleOf(engine, 'tasks').send(task.id, { type: 'demote' }),
      brittles.send(thing.id, { type: 'tap' }),
      brittles.send(thing.id, { type: 'hit' }),
      brittles.send(thing.id, { type: 'tap' }),
      handleOf(engine, 'tasks').send(task.id, { type: 'promote' }, { expectedVersion: 5 }),
      agents.create({ name: 5 }),
      agents.send('agt_none', { type: 'delete' }),
      handleOf(engine, 'tasks').send(task.id, { type: 'promote' }),
      agents.create({ name: 'last' }),
    ])

    const codes = results.map((result) =>
      result.status === 'fulfilled' ? 'ok' : viewOf(result.reason).code,
    )
    expect(codes).toEqual([
      ...['ok', 'illegal_transition', 'ok', 'machine_invalid', 'ok'],
      ...['version_conflict', 'invalid_input', 'not_found', 'ok', 'ok'],
    ])
    const log = await fullLog(engine)
    expectDense(log)
    expect(typesOf(log.slice(before.length)).toSorted()).toEqual([
      ...['agent.created', 'agent.created', 'brittle.tap', 'brittle.tap', 'task.updated'],
    ])
    expect(await brittles.get(thing.id)).toMatchObject({ version: 3, taps: 2 })
  })
})

describe('two engines on one file', () => {
  test('in one process write side by side and lose nothing', { timeout: 60_000 }, async () => {
    const database = temporaryFile()
    const a = await openReal(database)
    const b = await openReal(database)
    const ids = await makeTasks(a, 8)
    const before = await fullLog(b)

    const callers = Array.from({ length: 32 }, (_, i) =>
      call(handleOf(i % 2 ? a : b, 'tasks'), ids, i),
    )
    const reading = watch(b, callers)
    const written = (await Promise.all(callers)).flat()
    await reading

    const log = await fullLog(a)
    expectDense(log)
    expectNoHoles(log)
    expectAcknowledged(log.slice(before.length), written)
    expect(await fullLog(b)).toEqual(log)
  })

  test('see what the other wrote at once', async () => {
    const database = temporaryFile()
    const a = await openReal(database)
    const b = await openReal(database)
    const agent = await makeAgent(a)

    await handleOf(b, 'agents').send(agent.id, { type: 'update', name: 'B' })
    const outcome = await handleOf(a, 'agents').send(agent.id, { type: 'update', name: 'C' })

    expect(outcome.resource.version).toBe(3)
    expect(typesOf(await publicLog(b))).toEqual(['agent.created', 'agent.updated', 'agent.updated'])
  })

  test('carry a request with one key out once', async () => {
    const database = temporaryFile()
    const engines = [await openReal(database), await openReal(database)]

    const outcomes = await Promise.all(
      engines.map((engine) =>
        handleOf(engine, 'agents').create({ name: 'A' }, { idempotencyKey: 'k' }),
      ),
    )

    expect(outcomes.map((outcome) => outcome.replayed).toSorted()).toEqual([false, true])
    expect(new Set(outcomes.map(({ resource }) => resource.id)).size).toBe(1)
  })

  test('fire a timer once', async () => {
    const database = temporaryFile()
    const a = await setupEngine({ database })
    const sessions = handleOf(a, 'sessions')
    await Promise.all(Array.from({ length: 40 }, () => sessions.create({})))
    const b = await openEngine({ database, now: a.clock.now() })
    onTestFinished(() => b.close())

    await Promise.all([a.clock.advance('5m'), b.clock.advance('5m')])

    const log = await fullLog(a)
    expectDense(log)
    const failed = log.filter((entry) => entry.type === 'session.failed')
    expect(failed).toHaveLength(40)
    expect(new Set(failed.map((entry) => entry.resource_id)).size).toBe(40)
    expect(await allTimers(b)).toEqual([])
  })
})

/** Reads while others write: what was seen once stays where it was, and nothing slips in before. */
async function watch(engine: AnyEngine, writing: readonly Promise<unknown>[]): Promise<void> {
  let busy = true
  const done = Promise.allSettled(writing).then(() => {
    busy = false
  })
  let seen: readonly string[] = []
  while (busy) {
    await setImmediate()
    const log = await fullLog(engine)
    expectDense(log)
    const ids = log.map((entry) => entry.id)
    expect(ids.slice(0, seen.length)).toEqual(seen)
    seen = ids
  }
  await done
}

describe('three processes on one file', () => {
  async function startThree(database: string): Promise<Writer[]> {
    const writers = await Promise.all([1, 2, 3].map((n) => startWriter(database, n)))
    onTestFinished(() => Promise.all(writers.map((writer) => writer.stop())).then(() => {}))
    return writers
  }

  test('write side by side and lose nothing', { timeout: 120_000 }, async () => {
    const database = temporaryFile()
    const engine = await openReal(database)
    const ids = await makeTasks(engine, 6)
    const before = await fullLog(engine)
    const writers = await startThree(database)

    const writing = writers.map((writer) => writer.write(ids))
    const reading = watch(engine, writing)
    const written = (await Promise.all(writing)).flat()
    await reading

    const log = await fullLog(engine)
    expectDense(log)
    expectNoHoles(log)
    expectAcknowledged(log.slice(before.length), written)
    await expectVerified(engine)
  })

  test('fire each timer once, and all of them', { timeout: 120_000 }, async () => {
    const database = temporaryFile()
    const resources = agentPlatform({ timeouts: { session_provisioning: 300 } })
    const engine = await openReal(database, { resources })
    const writers = await startThree(database)
    await Promise.all(writers.map((writer) => writer.startTimers()))

    await Promise.all(Array.from({ length: 60 }, () => makeSession(engine)))
    await untilSeen(engine, 'session.failed', 60)

    await Promise.all(writers.map((writer) => writer.stop()))
    const log = await fullLog(engine)
    expectDense(log)
    const failed = log.filter((entry) => entry.type === 'session.failed')
    expect(new Set(failed.map((entry) => entry.resource_id)).size).toBe(60)
    expect(failed).toHaveLength(60)
  })
})

/** Reads until the log has so many events of a type, letting the event loop turn in between. */
async function untilSeen(engine: AnyEngine, type: string, count: number): Promise<void> {
  for (;;) {
    const { data } = await engine.events.list({ type, limit: 1000 })
    if (data.length >= count) return
    await setImmediate()
  }
}
