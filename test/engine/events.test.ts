import { describe, expect, test } from 'vitest'
import { assign, createMachine, emit } from 'xstate'
import { z } from 'zod'
import { agentPlatform } from '../../machines/index.ts'
import { define } from '../support/define.ts'
import {
  type AnyEvent,
  type AnyTestEngine,
  collect,
  fullLog,
  handleOf,
  publicLog,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import {
  makeAgent,
  makeRun,
  makeRunningRun,
  makeSession,
  makeTask,
  send,
  sessionOf,
} from '../support/world.ts'

async function list(engine: AnyTestEngine, filter: object): Promise<string[]> {
  const page = await engine.events.list({ order: 'asc', limit: 1000, ...filter })
  return typesOf(page.data)
}

describe('an event', () => {
  test('is what is delivered, and says where it stands and why', async () => {
    const engine = await setupEngine()
    const actor = { type: 'api_key', id: 'key_7' }

    const outcome = await handleOf(engine, 'agents').create(
      { name: 'A' },
      { actor, correlationId: 'request-9' },
    )

    const [event] = outcome.events
    expect(event).toEqual({
      id: expect.stringMatching(/^evt_\w+$/),
      object: 'event',
      type: 'agent.created',
      data: {
        id: outcome.resource.id,
        object: 'agent',
        ...{ status: 'active', name: 'A', description: null },
        created_at: outcome.resource.created_at,
        updated_at: outcome.resource.updated_at,
      },
      created_at: engine.clock.now().toISOString(),
      seq: 1,
      resource_id: outcome.resource.id,
      resource_version: 1,
      tenant: 'default',
      internal: false,
      cause: {
        command: expect.any(String),
        actor,
        correlation_id: 'request-9',
        causation_id: null,
      },
    })
    expect(await engine.events.get(event?.id ?? '')).toEqual(event)
    expect(await publicLog(engine)).toEqual([event])
  })

  test('shows the summary only, as it was then', async () => {
    const engine = await setupEngine()
    const { id } = await makeTask(engine, { prompt: 'not in the summary' })
    await send(engine, 'task', id, { type: 'update', name: 'Later' })

    const log = await publicLog(engine, { resource: id })

    expect(log.map(({ data }) => data.name)).toEqual(['Fetch', 'Later'])
    expect(JSON.stringify(log)).not.toContain('not in the summary')
  })

  test('that does not exist is not_found', async () => {
    const engine = await setupEngine()

    expect((await failureOf(engine.events.get('evt_none'))).code).toBe('not_found')
  })

  test('has its own summary at each microstep of one command', async () => {
    const engine = await setupEngine({ resources: { things: countdown } })
    const things = handleOf(engine, 'things')
    const { id } = (await things.create({})).resource

    const { events, resource } = await things.send(id, { type: 'go' })

    expect(events.map(({ type, data }) => [type, data.status, data.steps])).toEqual([
      ['thing.left', 'one', 1],
      ['thing.passed', 'two', 2],
      ['thing.arrived', 'three', 3],
    ])
    expect(events.map((event) => event.resource_version)).toEqual([2, 2, 2])
    expect(resource).toMatchObject({ version: 2, status: 'three', steps: 3 })
  })
})

const step = assign({ steps: ({ context }: { context: { steps: number } }) => context.steps + 1 })

const countdown = define({
  type: 'thing',
  prefix: 'thg',
  input: z.strictObject({}),
  commands: { go: z.strictObject({}) },
  machine: createMachine({
    context: { steps: 0 },
    initial: 'zero',
    states: {
      zero: { on: { go: { target: 'one', actions: [step, emit({ type: 'thing.left' })] } } },
      one: { always: { target: 'two', actions: [emit({ type: 'thing.passed' }), step] } },
      two: { always: { target: 'three', actions: [step, emit({ type: 'thing.arrived' })] } },
      three: {},
    },
  }),
})

describe('the cause of an event', () => {
  test('is one correlation over a cascade, and the entry that led to each', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const waiting = await makeRun(engine, { session_id: sessionOf(run) })
    const before = await fullLog(engine)
    const actor = { type: 'user', id: 'ada' }

    await handleOf(engine, 'sessions').send(
      sessionOf(run),
      { type: 'end' },
      { actor, correlationId: 'c-1' },
    )

    const caused = (await fullLog(engine)).slice(before.length)
    const [first, canceling, canceled, settled] = caused
    expect(typesOf(caused)).toEqual([
      'session.completing',
      'task_run.canceling',
      'task_run.canceled',
      'session.run_settled',
    ])
    expect(caused.map((entry) => entry.cause.causation_id)).toEqual([
      null,
      first?.id,
      first?.id,
      canceled?.id,
    ])
    expect(canceling?.resource_id).toBe(run.id)
    expect(canceled?.resource_id).toBe(waiting.id)
    expect(settled?.resource_id).toBe(sessionOf(run))
    for (const { cause } of caused) expect(cause).toMatchObject({ actor, correlation_id: 'c-1' })
    expect(first?.cause.command).toBe('end')
  })

  test('has a correlation of its own for each call that names none', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'complete')

    const log = await fullLog(engine)
    const groups = new Map<string, string[]>()
    for (const { type, cause } of log) {
      groups.set(cause.correlation_id, [...(groups.get(cause.correlation_id) ?? []), type])
    }

    expect([...groups.values()].slice(-4)).toEqual([
      ['session.queued', expect.any(String), expect.any(String)],
      ['session.running'],
      ['task_run.running', 'session.run_started'],
      ['task_run.completed', 'session.idle'],
    ])
  })

  test('is one correlation for all that a timer causes', async () => {
    const engine = await setupEngine()
    const run = await makeRun(engine)
    const before = await fullLog(engine)

    await engine.clock.advance('5m')

    const caused = (await fullLog(engine)).slice(before.length)
    expect(typesOf(caused)).toEqual(['session.failed', 'task_run.failed'])
    expect(new Set(caused.map((entry) => entry.cause.correlation_id)).size).toBe(1)
    expect(caused[1]?.cause.causation_id).toBe(caused[0]?.id)
    expect(caused[1]?.resource_id).toBe(run.id)
  })

  test.each([
    { correlationId: '' },
    { correlationId: 5 },
    { correlationId: 'x'.repeat(10_000) },
    { actor: 'ada' },
  ])('is refused in a bad form: %j', async (options) => {
    const engine = await setupEngine()

    const error = await failureOf(handleOf(engine, 'agents').create({ name: 'A' }, options))

    expect(error.code).toBe('invalid_input')
  })
})

const sessionLog = define({
  type: 'session_log',
  prefix: 'slog',
  input: z.strictObject({}),
  commands: {},
  machine: createMachine({
    context: {},
    entry: emit({ type: 'session_log.made' }),
    initial: 'open',
    states: { open: {} },
  }),
})

describe('events.list', () => {
  async function setup() {
    const engine = await setupEngine({
      resources: { ...agentPlatform(), sessionLogs: sessionLog },
    })
    await handleOf(engine, 'sessionLogs').create({})
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'complete')
    return { engine, run }
  }

  test('gives the newest first, and leaves internal entries out', async () => {
    const { engine } = await setup()

    const page = await engine.events.list({ limit: 3 })

    expect(typesOf(page.data)).toEqual(['session.idle', 'task_run.completed', 'task_run.running'])
    expect(page.has_more).toBe(true)
    const all = await collect(page)
    expect(all.map((event) => event.seq)).toEqual(
      all.map((event) => event.seq).toSorted((a, b) => b - a),
    )
    expect(all.every((event) => !event.internal)).toBe(true)
  })

  test('filters by a type, by many, and by pattern', async () => {
    const { engine } = await setup()

    expect(await list(engine, { type: 'session.idle' })).toEqual(['session.idle'])
    expect(await list(engine, { type: ['task_run.running', 'agent.created'] })).toEqual([
      'agent.created',
      'task_run.running',
    ])
    expect(await list(engine, { type: 'session.*' })).toEqual([
      'session.queued',
      'session.running',
      'session.idle',
    ])
    expect(await list(engine, { type: ['session_log.*', 'session.idle'] })).toEqual([
      'session_log.made',
      'session.idle',
    ])
    expect(await list(engine, { type: 'task.*' })).toEqual(['task.created'])
  })

  test('takes no other character of a pattern for a wildcard', async () => {
    const { engine } = await setup()

    for (const type of ['session%', 'sess_on.idle', 's*', '*.idle', 'session.%', '%']) {
      const found = await list(engine, { type }).catch((error: Error) => {
        expect(error).toMatchObject({ code: 'invalid_input' })
        return []
      })
      expect(found, type).toEqual([])
    }
  })

  test('filters by resource', async () => {
    const { engine, run } = await setup()

    expect(await list(engine, { resource: run.id })).toEqual([
      'task_run.queued',
      'task_run.running',
      'task_run.completed',
    ])
    expect(await list(engine, { resource: run.id, type: '*.nothing' }).catch(() => [])).toEqual([])
    expect(await list(engine, { resource: 'trun_none' })).toEqual([])
  })

  test('shows internal entries when asked', async () => {
    const { engine, run } = await setup()

    const types = await list(engine, { resource: sessionOf(run), internal: true })

    expect(types).toEqual([
      'session.queued',
      'session.run_attached',
      'session.running',
      'session.run_started',
      'session.idle',
    ])
  })

  test('filters by time', async () => {
    const engine = await setupEngine()
    await makeAgent(engine)
    await engine.clock.advance('10s')
    const between = new Date(engine.clock.now().getTime() - 5000)
    await makeSession(engine)

    expect(await list(engine, { since: between })).toEqual(['session.queued'])
    expect(await list(engine, { until: between })).toEqual(['agent.created'])
    expect(await list(engine, { since: between.toISOString() })).toEqual(['session.queued'])
    expect(await list(engine, { since: between, until: between })).toEqual([])
  })

  test.each(['asc', 'desc'])('goes on from a cursor in order %s', async (order) => {
    const { engine } = await setup()
    const all = await collect(await engine.events.list({ order, limit: 1000 }))

    const seen: AnyEvent[] = []
    let page = await engine.events.list({ order, limit: 2 })
    for (;;) {
      seen.push(...page.data)
      if (page.next_cursor === null) break
      page = await engine.events.list({ order, limit: 2, cursor: page.next_cursor })
    }

    expect(seen).toEqual(all)
    expect(page.has_more).toBe(false)
  })

  test('goes on from the id of an event', async () => {
    const { engine } = await setup()
    const all = await publicLog(engine)

    const page = await engine.events.list({ order: 'asc', cursor: all[2]?.id, limit: 1000 })

    expect(page.data).toEqual(all.slice(3))
  })

  test('has a dense sequence, internal entries counted', async () => {
    const { engine } = await setup()

    const log = await fullLog(engine)

    expect(log.map((entry) => entry.seq)).toEqual(log.map((_, index) => index + 1))
  })

  test.each([
    { limit: 0 },
    { limit: 1001 },
    { order: 'sideways' },
    { type: 5 },
    { type: [] },
    { since: 'yesterday' },
    { until: new Date(Number.NaN) },
    { cursor: 'garbage' },
    { internal: 'yes' },
    { resorce: 'sess_1' },
  ])('refuses the filter %j', async (filter) => {
    const engine = await setupEngine()

    const error = await failureOf(async () => engine.events.list(filter))

    expect(error).toMatchObject({ code: 'invalid_input' })
  })
})
