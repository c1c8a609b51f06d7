import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, emit, setup } from 'xstate'
import { z } from 'zod'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import {
  type AnyEngine,
  type AnyTestEngine,
  allTimers,
  collect,
  expectVerified,
  fullLog,
  handleOf,
  openEngine,
} from '../support/engine.ts'
import { failureOf, refused } from '../support/errors.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { nothing, thing, withThings } from '../support/things.ts'

interface Report {
  readonly migrated: number
  readonly steps: readonly unknown[]
  readonly failures: readonly { readonly resource_id: string; readonly message: string }[]
}

async function migrate(engine: AnyEngine, options?: object): Promise<Report> {
  return (await engine.migrate(options as never)) as Report
}

interface State {
  readonly value: string
  readonly context: { readonly n: number }
}

/** Counts in one state, and rests in another. */
function counter(waiting: string, resting: string): AnyStateMachine {
  const config = {
    context: { n: 0 },
    initial: waiting,
    states: {
      [waiting]: {
        on: {
          go: {
            actions: [
              assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 }),
              emit({ type: 'thing.went' }),
            ],
          },
          rest: resting,
        },
      },
      [resting]: {},
    },
  }
  return createMachine(config as object)
}

const first = withThings(counter('open', 'resting'))

/** The next version: `open` is called `ready`, and its count begins at a hundred. */
function second(parts: object = {}) {
  const rename = ({ value, context }: State) => ({
    value: value === 'open' ? 'ready' : value,
    context: { n: context.n + 100 },
  })
  const machine = counter('ready', 'resting')
  return withThings(machine, { version: 2, migrate: { 1: rename }, ...parts })
}

/** Fills a file under one set of definitions, and opens it under another. */
async function reopened(
  before: object,
  fill: (engine: AnyTestEngine) => Promise<unknown>,
  after: object,
) {
  const database = temporaryFile()
  const engine = await openEngine({ database, ...before })
  await fill(engine)
  const now = engine.clock.now()
  await engine.close()
  const next = await openEngine({ database, now, ...after })
  onTestFinished(() => next.close())
  return { engine: next, things: handleOf(next, 'things'), database, now }
}

/** Creates things, of which some rest. */
async function createThings(engine: AnyEngine, count: number, resting = 0): Promise<string[]> {
  const things = handleOf(engine, 'things')
  const created = await Promise.all(Array.from({ length: count }, () => things.create({})))
  const ids = created.map(({ resource }) => resource.id)
  await Promise.all(ids.slice(0, resting).map((id) => things.send(id, { type: 'rest' })))
  return ids
}

/** Opens a file with one thing under the second version; gives its id. */
async function openOne(after: object = second(), before: object = first) {
  let id = ''
  const opened = await reopened(
    before,
    async (engine) => {
      id = (await createThings(engine, 1))[0] ?? ''
    },
    after,
  )
  return { ...opened, id }
}

describe('engine.migrate', () => {
  test('takes every resource of every tenant to the new version, and says so', async () => {
    const { engine, things } = await reopened(
      first,
      async (old) => {
        await createThings(old, 3, 1)
        await createThings(old.tenant('other'), 2)
      },
      second(),
    )

    const report = await migrate(engine)

    const steps = [{ type: 'thing', from: 1, to: 2, count: 5 }]
    expect(report).toEqual({ migrated: 5, steps, failures: [] })
    const all = await collect(await things.list({ tenant: '*', order: 'asc' }))
    expect(all.map(({ status, n, version }) => [status, n, version])).toEqual([
      ['resting', 100, 3],
      ...Array(4).fill(['ready', 100, 2]),
    ])
    await expectVerified(engine)
  })

  test('leaves a trace in the log', async () => {
    const { engine, things, id, now } = await openOne()
    await engine.clock.advance('1m')

    await migrate(engine)

    const [, entry] = (await things.history(id)).data
    expect(entry).toMatchObject({
      type: 'thing.migrate',
      internal: true,
      resource_version: 2,
      status: 'ready',
      previous_status: 'open',
      time_in_previous_ms: 60_000,
      created_at: new Date(now.getTime() + 60_000).toISOString(),
      data: { status: 'ready', n: 100 },
      cause: { command: 'migrate', actor: null, causation_id: null },
    })
    const listed = await engine.events.list({ type: 'thing.migrate', internal: true })
    expect(listed.data.map((event) => event.id)).toEqual([entry?.id])
    expect((await engine.events.list({})).data).toEqual([])
  })

  test('goes through more than fits a slice', async () => {
    const { engine, things } = await reopened(first, (old) => createThings(old, 350, 20), second())

    const report = await migrate(engine)

    expect(report).toMatchObject({ migrated: 350, failures: [] })
    expect(
      (await collect(await things.list({ limit: 1000 }))).filter(({ n }) => n !== 100),
    ).toEqual([])
    await expectVerified(engine)
  })

  test('does nothing the second time', async () => {
    const { engine } = await reopened(first, (old) => createThings(old, 3), second())
    await migrate(engine)
    const before = await fullLog(engine)

    expect(await migrate(engine)).toEqual({ migrated: 0, steps: [], failures: [] })
    expect(await fullLog(engine)).toEqual(before)
  })

  test('as a dry run tells the same, failures included, and changes nothing', async () => {
    const after = second({
      migrate: {
        1: ({ value, context }: State) => {
          if (value === 'resting') throw new Error('it rests')
          return { value: 'ready', context }
        },
      },
    })
    const { engine, database } = await reopened(first, (old) => createThings(old, 4, 2), after)
    const raw = openRaw(database)
    const tables = ['pawl_resources', 'pawl_events', 'pawl_timers', 'pawl_machines', 'pawl_log']
    const contents = () => tables.map((table) => raw.prepare(`select * from ${table}`).all())
    const before = contents()

    const dry = await migrate(engine, { dryRun: true })

    expect(contents()).toEqual(before)
    expect(dry).toMatchObject({ migrated: 2, steps: [{ from: 1, to: 2, count: 2 }] })
    const failed = (await collect(await handleOf(engine, 'things').list({ status: 'resting' })))
      .map(({ id }) => id)
      .sort()
    expect(dry.failures.map(({ resource_id }) => resource_id).sort()).toEqual(failed)
    expect(dry.failures[0]?.message).toContain('it rests')
    expect(await migrate(engine)).toEqual(dry)
    expect(await migrate(engine)).toEqual({ migrated: 0, steps: [], failures: dry.failures })
  })

  test('counts by the version that resources had, through all functions in between', async () => {
    const chain = {
      1: ({ context }: State) => ({ value: 'ready', context: { n: context.n + 1 } }),
      2: ({ value, context }: State) => ({ value, context: { n: context.n * 10 } }),
    }
    const machine = counter('ready', 'resting')
    const database = temporaryFile()
    for (const definitions of [
      first,
      withThings(machine, { version: 2, migrate: { 1: chain[1] } }),
    ]) {
      const engine = await openEngine({ database, ...definitions })
      await createThings(engine, 2)
      await engine.close()
    }
    const engine = await openEngine({
      database,
      ...withThings(machine, { version: 3, migrate: chain }),
    })
    onTestFinished(() => engine.close())

    const report = await migrate(engine)

    expect(report.steps).toEqual([
      { type: 'thing', from: 1, to: 3, count: 2 },
      { type: 'thing', from: 2, to: 3, count: 2 },
    ])
    const all = await collect(await handleOf(engine, 'things').list({ order: 'asc' }))
    expect(all.map(({ n }) => n)).toEqual([10, 10, 0, 0])
  })

  test('and commands at the same time: each resource is migrated once', async () => {
    const ids: string[] = []
    const { engine, things } = await reopened(
      first,
      async (old) => ids.push(...(await createThings(old, 250))),
      second(),
    )

    const [report, again] = await Promise.all([
      migrate(engine),
      migrate(engine),
      ...ids.map((id) => things.send(id, { type: 'go' })),
    ])

    expect((report?.migrated ?? 0) + (again?.migrated ?? 0)).toBeLessThanOrEqual(250)
    const log = await fullLog(engine, { type: 'thing.migrate' })
    expect(new Set(log.map(({ resource_id }) => resource_id)).size).toBe(log.length)
    expect(log).toHaveLength(250)
    const all = await collect(await things.list({ limit: 1000 }))
    expect(new Set(all.map(({ n, version }) => `${n} ${version}`))).toEqual(new Set(['101 3']))
    await expectVerified(engine)
  })

  test.each<[unknown]>([[{ dryrun: true }], [{ dryRun: 'yes' }], [null], ['dry']])(
    'refuses the options %j',
    async (options) => {
      const engine = await openEngine(second())
      onTestFinished(() => engine.close())

      const error = await failureOf(() => migrate(engine, options as object))

      expect(error.code).toBe('invalid_input')
    },
  )

  test('is refused within a transaction, and after the end', async () => {
    const engine = await openEngine(second())

    const within = await failureOf(() => engine.transaction(() => migrate(engine)))
    await engine.close()
    const { code } = await failureOf(() => migrate(engine))

    expect([within.code, code]).toEqual(['transaction_misuse', 'closed'])
  })

  test('ends a resource where the migration leads to its end', async () => {
    const input = z.strictObject({ key: z.string() })
    const waiting = (state: string, parts: object) =>
      withThings(
        createMachine({
          context: {},
          initial: state,
          states: { [state]: { after: { 1000: 'gone' } }, gone: { type: 'final' } },
        } as object),
        { input, secrets: { key: { path: 'key' } }, ...parts },
      )
    let id = ''
    const { engine, things, database } = await reopened(
      waiting('open', {}),
      async (old) => {
        id = (await handleOf(old, 'things').create({ key: 'k' })).resource.id
      },
      waiting('ready', {
        version: 2,
        migrate: { 1: () => ({ value: 'gone', context: {} }) },
      }),
    )

    await migrate(engine)

    expect(await things.get(id)).toMatchObject({ status: 'gone', version: 2 })
    expect(await allTimers(engine)).toEqual([])
    expect(openRaw(database).prepare('select * from pawl_secrets').all()).toEqual([])
    expect(await failureOf(things.send(id, { type: 'go' }))).toMatchObject({ reason: 'terminal' })
    await expectVerified(engine)
  })

  test('lets a resource live again whose state is no end any more', async () => {
    const life = (type?: string) =>
      createMachine({
        context: ({ input }: { input: object }) => ({ peer_id: null, ...input }),
        initial: 'open',
        states: { open: { on: { go: 'done' } }, done: { type, after: { 1000: 'open' } } },
      } as object)
    const parts = {
      input: z.strictObject({ peer_id: z.string().optional() }),
      references: { peer_id: { type: 'thing', restricts: ['go'] } },
    }
    const ids: string[] = []
    const { engine, things } = await reopened(
      withThings(life('final'), parts),
      async (old) => {
        const all = handleOf(old, 'things')
        const peer = (await all.create({})).resource.id
        ids.push(peer, (await all.create({ peer_id: peer })).resource.id)
        await all.send(ids[1] ?? '', { type: 'go' })
      },
      withThings(life(), { ...parts, version: 2, migrate: { 1: (state: State) => state } }),
    )

    await migrate(engine)

    expect(await failureOf(things.send(ids[0] ?? '', { type: 'go' }))).toMatchObject({
      reason: 'in_use',
    })
    await engine.clock.advance('1s')
    expect(await things.get(ids[1] ?? '')).toMatchObject({ status: 'open', version: 4 })
    await expectVerified(engine)
  })

  test('of a resource that refers to what is not there leaves that one alone', async () => {
    const peers = { references: { peer_id: 'thing' } }
    const machine = (state: string) =>
      createMachine({
        context: { peer_id: null },
        initial: state,
        states: { [state]: {} },
      } as object)
    let round = 0
    const point = () => ({
      value: 'b',
      context: { peer_id: ++round % 2 === 0 ? 'thg_nobody' : null },
    })
    const { engine } = await reopened(
      withThings(machine('a')),
      (old) => createThings(old, 4),
      withThings(machine('b'), { version: 2, migrate: { 1: point }, ...peers }),
    )

    const { migrated, failures } = await migrate(engine)

    expect(migrated).toBe(2)
    expect(failures.map(({ message }) => message.includes('thg_nobody'))).toEqual([true, true])
  })
})

describe('opening a database whose resources are of an earlier version', () => {
  const lost = withThings(counter('ready', 'resting'), { version: 2 })

  test('fails for states that are lost, with their names and how many there are', async () => {
    const error = await failureOf(() =>
      reopened(first, (old) => createThings(old, 5, 2), {
        ...withThings(counter('ready', 'asleep'), { version: 2 }),
      }),
    )

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toMatchInlineSnapshot(
      `"the machine of "thing" cannot work: it no longer has states in which resources are stored: "open" (3), "resting" (2); give it those states again, or a higher version with a migrate for the version that had them"`,
    )
  })

  test('fails for those that no function covers, and counts them alone', async () => {
    const database = temporaryFile()
    for (const version of [1, 2]) {
      const engine = await openEngine({
        database,
        ...withThings(counter('open', 'resting'), { version }),
      })
      await createThings(engine, 1 + version)
      await engine.close()
    }

    const error = await failureOf(() => openEngine({ database, ...second({ version: 3 }) }))

    expect(error.message).toContain('"open" (3);')
  })

  test('succeeds where a function covers them, also before they have been migrated', async () => {
    const { engine, things, id, database } = await openOne()
    await engine.close()

    const again = await openEngine({ database, ...second() })
    onTestFinished(() => again.close())

    expect(await handleOf(again, 'things').get(id)).toMatchObject({ status: 'open', version: 1 })
    expect(things).toBeDefined()
  })

  test('no longer needs the functions once all have been migrated', async () => {
    const { engine, id, database } = await openOne()
    await migrate(engine)
    await engine.close()

    const again = await openEngine({ database, ...lost })
    onTestFinished(() => again.close())

    expect(await handleOf(again, 'things').get(id)).toMatchObject({ status: 'ready' })
  })

  test('and going back fails while there are states that only the later one has', async () => {
    const { engine, database } = await openOne()
    await migrate(engine)
    await engine.close()

    const error = await failureOf(() => openEngine({ database, ...first }))

    expect(error.message).toContain('"ready" (1)')
  })
})

describe('a resource that is not migrated yet', () => {
  test('is read as it is stored', async () => {
    const { things, id } = await openOne()

    expect(await things.get(id)).toMatchObject({ status: 'open', n: 0, version: 1 })
  })

  test('is migrated by the first command, in the same transaction', async () => {
    const { engine, things, id } = await openOne()

    const outcome = await things.send(id, { type: 'go' }, { expectedVersion: 1 })

    expect(outcome).toMatchObject({ changed: true, events: [{ type: 'thing.went' }] })
    expect(outcome.resource).toMatchObject({ status: 'ready', n: 101, version: 3 })
    const log = await fullLog(engine, { resource: id })
    expect(log.map(({ type, data }) => [type, data.n])).toEqual([
      ['thing.create', 0],
      ['thing.migrate', 100],
      ['thing.went', 101],
    ])
    expect(new Set(log.slice(1).map(({ cause }) => cause.correlation_id)).size).toBe(1)
    expect(await migrate(engine)).toMatchObject({ migrated: 0 })
    await expectVerified(engine)
  })

  test.each<[string, object, object]>([
    ['illegal', { type: 'other' }, {}],
    ['for another version', { type: 'go' }, { expectedVersion: 2 }],
    ['reserved', { type: 'inner' }, {}],
  ])('stays so after a command that is %s', async (_, command, options) => {
    const parts = { commands: { go: nothing, other: nothing, inner: nothing }, internal: ['inner'] }
    const { engine, things, id } = await openOne(second(parts))

    const error = await refused(engine, () => things.send(id, command as never, options as never))

    expect(error.accepts ?? ['go']).toEqual(['go'])
    expect(await things.get(id)).toMatchObject({ status: 'open', version: 1 })
  })

  test('is explained as what it is going to be', async () => {
    const { engine, things, id } = await openOne()
    const before = await fullLog(engine)

    expect(await things.accepts(id)).toEqual(['go', 'rest'])
    expect(await things.explain(id, { type: 'go' })).toEqual({ accepted: true })
    expect(await fullLog(engine)).toEqual(before)
  })

  test('and cannot be migrated refuses every command, and says why', async () => {
    const { engine, things, id } = await openOne(
      second({ migrate: { 1: () => expect.fail('no idea') } }),
    )

    const error = await refused(engine, () => things.send(id, { type: 'go' }))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toContain('no idea')
  })

  test('is migrated once by calls that arrive together', async () => {
    const { engine, things, id } = await openOne()

    await Promise.all([1, 2, 3].map(() => things.send(id, { type: 'go' })))

    expect(await things.get(id)).toMatchObject({ n: 103, version: 5 })
    expect(await fullLog(engine, { type: 'thing.migrate' })).toHaveLength(1)
  })

  test('is migrated in a transaction of the application, or not at all', async () => {
    const { engine, things, id } = await openOne()

    await expect(
      engine.transaction(async (tx) => {
        await handleOf(tx, 'things').send(id, { type: 'go' })
        throw new Error('undone')
      }),
    ).rejects.toThrow('undone')
    expect(await things.get(id)).toMatchObject({ status: 'open', version: 1 })

    await engine.transaction((tx) => handleOf(tx, 'things').send(id, { type: 'go' }))
    expect(await things.get(id)).toMatchObject({ status: 'ready', version: 3 })
  })

  test('stays as it is where no function covers it', async () => {
    const { engine, things, id } = await openOne(
      withThings(counter('open', 'away'), { version: 2 }),
    )

    expect(await migrate(engine)).toEqual({ migrated: 0, steps: [], failures: [] })
    expect((await things.send(id, { type: 'go' })).resource).toMatchObject({ n: 1, version: 2 })
  })
})

describe('told commands', () => {
  const parent = createMachine({
    context: {},
    initial: 'a',
    states: {
      a: { on: { go: { actions: tell({ type: 'child', by: 'parent_id' }, { type: 'go' }) } } },
    },
  })
  const child = (state: string) =>
    createMachine({
      context: ({ input }: { input: object }) => ({ n: 0, ...input }),
      initial: state,
      states: { [state]: { on: { go: { actions: assign({ n: 1 }) } } } },
    } as object)
  const family = (state: string, parts: object = {}) => ({
    resources: {
      things: thing(parent),
      children: define({
        ...{ type: 'child', prefix: 'chi', commands: { go: nothing }, machine: child(state) },
        input: z.strictObject({ parent_id: z.string() }),
        references: { parent_id: { type: 'thing', status: ['a'] } },
        ...parts,
      }),
    },
  })

  test('migrate those whom they reach', async () => {
    const ids: string[] = []
    const { engine, things } = await reopened(
      family('open'),
      async (old) => {
        ids.push(...(await createThings(old, 1)))
        await handleOf(old, 'children').create({ parent_id: ids[0] })
      },
      family('ready', {
        version: 2,
        migrate: { 1: ({ context }: State) => ({ value: 'ready', context: { ...context, m: 2 } }) },
      }),
    )

    await things.send(ids[0] ?? '', { type: 'go' })

    const [only] = (await handleOf(engine, 'children').list()).data
    expect(only).toMatchObject({ status: 'ready', n: 1, m: 2, version: 3 })
    expect(await migrate(engine)).toMatchObject({ migrated: 0 })
    await expectVerified(engine)
  })

  test('and references see a resource as what it is going to be', async () => {
    const ids: string[] = []
    const renamed = createMachine({ context: {}, initial: 'a', states: { a: {} } })
    const older = createMachine({ context: {}, initial: 'old', states: { old: {} } })
    const parts = { version: 2, migrate: { 1: () => ({ value: 'a', context: {} }) } }
    const children = family('open').resources.children
    const { engine } = await reopened(
      { resources: { things: thing(older), children } },
      async (old) => ids.push(...(await createThings(old, 1))),
      { resources: { things: thing(renamed, parts), children } },
    )

    const created = await handleOf(engine, 'children').create({ parent_id: ids[0] })

    expect(created.resource).toMatchObject({ parent_id: ids[0] })
  })
})

describe('timers', () => {
  /** Waits in one state: for something late, and for something that is up to the context. */
  function waiting(state: string, after: object): AnyStateMachine {
    return setup({
      types: {} as { context: { n: number } },
      delays: { late: 60_000, own: ({ context }) => context.n * 1000 },
    }).createMachine({
      context: { n: 0 },
      initial: state,
      states: { [state]: { after }, late: {}, own: {} },
    })
  }
  const old = withThings(waiting('open', { late: 'late', 500000: 'own' }))
  const waitingAnew = (delays: object) =>
    withThings(waiting('ready', delays), {
      version: 2,
      migrate: { 1: () => ({ value: 'ready', context: { n: 7 } }) },
    })

  async function dueIn(engine: AnyTestEngine, since: Date): Promise<number[]> {
    const timers = await allTimers(engine)
    return timers.map(({ due_at }) => new Date(due_at).getTime() - since.getTime())
  }

  test('keep their deadline, are set, and are canceled', async () => {
    const { engine, now } = await openOne(waitingAnew({ late: 'late', own: 'own' }), old)
    await engine.clock.advance('10s')
    expect(await dueIn(engine, now)).toEqual([60_000, 500_000])

    await migrate(engine)

    expect(await dueIn(engine, now)).toEqual([17_000, 60_000])
    await expectVerified(engine)
  })

  test('that are overdue migrate the resource and fire', async () => {
    const { engine, things, id } = await openOne(waitingAnew({ late: 'late' }), old)

    await engine.clock.advance('2m')

    expect(await things.get(id)).toMatchObject({ status: 'late', n: 7, version: 3 })
    const log = await fullLog(engine, { resource: id })
    expect(log.map(({ type }) => type)).toEqual(['thing.create', 'thing.migrate', 'thing.late'])
    expect(await allTimers(engine)).toEqual([])
    await expectVerified(engine)
  })

  test('whose state the migration leaves do not fire', async () => {
    const { engine, things, id } = await openOne(waitingAnew({}), old)

    await engine.clock.advance('2m')

    expect(await things.get(id)).toMatchObject({ status: 'ready', version: 2 })
    expect(await allTimers(engine)).toEqual([])
  })

  test('whose resource cannot be migrated are tried again', async () => {
    const errors: unknown[] = []
    const failing = withThings(waiting('ready', {}), {
      version: 2,
      migrate: { 1: () => expect.fail('no idea') },
    })
    const { engine, things, id } = await openOne(
      { ...failing, onError: (error: unknown) => errors.push(error) },
      old,
    )

    await engine.clock.advance('61s')

    expect(await things.get(id)).toMatchObject({ status: 'open', version: 1 })
    expect(errors.map(String)).toContainEqual(expect.stringContaining('no idea'))
    expect(await allTimers(engine)).toHaveLength(2)
  })

  test('wake an engine that is running', async () => {
    const { engine } = await openOne(waitingAnew({ own: 'own' }), old)
    await engine.start()

    await migrate(engine)
    await engine.clock.advance('8s')

    expect((await handleOf(engine, 'things').list({ status: 'own' })).data).toHaveLength(1)
  })
})
