import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyStateMachine, createMachine, emit } from 'xstate'
import {
  type AnyTestEngine,
  allTimers,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
} from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { explode, thing } from '../support/things.ts'

interface Stored {
  readonly value: unknown
  readonly context: Readonly<Record<string, unknown>>
}

/** How a thing lives, with other names for its states in each version. */
function life(calm: string, busy: string, context: Record<string, number>): AnyStateMachine {
  return createMachine({
    context,
    initial: calm,
    states: {
      [calm]: { on: { go: { target: busy, actions: emit({ type: 'thing.went' }) } } },
      [busy]: { on: { rest: calm }, after: { 3600000: calm } },
    },
  })
}

const first = { resources: { things: thing(life('calm', 'busy', { n: 1 }), { version: 1 }) } }

/** The second version: "busy" is called "working", and there is another field. */
function second(migrate?: unknown) {
  const machine = life('calm', 'working', { n: 0, m: 0 })
  return { resources: { things: thing(machine, { version: 2, ...(migrate ? { migrate } : {}) }) } }
}

const renaming = {
  1: ({ value, context }: Stored) => ({
    value: value === 'busy' ? 'working' : value,
    context: { ...context, m: 5 },
  }),
}

/** A database of the first version: one thing is calm, two are busy, one of them of a tenant. */
async function setup() {
  const database = temporaryFile()
  const engine = await openEngine({ database, ...first })
  const things = handleOf(engine, 'things')
  const calm = (await things.create({})).resource
  const busy = (await things.create({})).resource
  const other = (await handleOf(engine.tenant('acme'), 'things').create({})).resource
  await things.send(busy.id, { type: 'go' })
  await handleOf(engine.tenant('acme'), 'things').send(other.id, { type: 'go' })
  await engine.clock.advance('10m')
  const now = engine.clock.now()
  const open = async (options: object): Promise<AnyTestEngine> => {
    const again = await openEngine({ database, now, ...options })
    onTestFinished(() => again.close())
    return again
  }
  await engine.close()
  return { open, calm, busy, other }
}

/** What a call says in the end, whether it reports a failure or throws one that pawl knows. */
async function answerOf(call: () => Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await call())
  } catch (error) {
    expect(viewOf(error)).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    return `${viewOf(error).message} ${(error as Error).cause}`
  }
}

describe('a database with states that a machine has no more', () => {
  test('is not opened, and the error lists them with their number', async () => {
    const { open } = await setup()

    const error = viewOf(await caught(() => open(second())))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toMatch(/busy.*2|2.*busy/s)
  })

  test('is left alone by that: the old version opens it again', async () => {
    const { open, busy } = await setup()
    await caught(() => open(second()))

    const engine = await open(first)

    expect(await handleOf(engine, 'things').get(busy.id)).toMatchObject({ status: 'busy' })
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test.each([
    ['leads to no state', ({ context }: Stored) => ({ value: 'nowhere', context }), 'nowhere'],
    ['throws', explode, 'the machine exploded'],
  ])('is left alone by a migration that %s, and the answer says so', async (_, bad, told) => {
    const { open, busy } = await setup()

    const answer = await answerOf(async () => (await open(second({ 1: bad }))).migrate())

    expect(answer).toContain(told)
    const engine = await open(first)
    const thing = await handleOf(engine, 'things').get(busy.id)
    expect(thing).toMatchObject({ status: 'busy', version: 2, n: 1 })
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })
})

describe('migrate', () => {
  test('carries every resource over, and leaves an entry for each', async () => {
    const { open, calm, busy, other } = await setup()
    const engine = await open(second(renaming))
    const before = await publicLog(engine, { tenant: '*' })

    await engine.migrate()

    const things = handleOf(engine, 'things')
    expect(await things.get(calm.id)).toMatchObject({ status: 'calm', n: 1, m: 5 })
    expect(await things.get(busy.id)).toMatchObject({ status: 'working', n: 1, m: 5, version: 3 })
    const theirs = await handleOf(engine.tenant('acme'), 'things').get(other.id)
    expect(theirs).toMatchObject({ status: 'working', m: 5 })
    const entries = (await fullLog(engine, { tenant: '*' })).slice(5)
    expect(entries.map((entry) => entry.resource_id).toSorted()).toEqual(
      [calm.id, busy.id, other.id].toSorted(),
    )
    expect(entries.every(({ internal }) => internal)).toBe(true)
    expect(await publicLog(engine, { tenant: '*' })).toEqual(before)
  })

  test('leaves a database that is sound, and remembers what was', async () => {
    const { open, busy } = await setup()
    const engine = await open(second(renaming))
    await engine.migrate()
    const things = handleOf(engine, 'things')

    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
    const entries = (await things.history(busy.id)).data
    expect(entries.map((entry) => entry.resource_version)).toEqual([1, 2, 3])
    const was = await things.at(busy.id, entries[1]?.seq ?? 0)
    expect(was).toMatchObject({ status: 'busy', version: 2, n: 1 })
    expect(was).not.toHaveProperty('m')
    expect(await things.at(busy.id, entries[2]?.seq ?? 0)).toEqual(await things.get(busy.id))
  })

  test('leaves resources that go on in the new life', async () => {
    const { open, calm, busy } = await setup()
    const engine = await open(second(renaming))
    await engine.migrate()
    const things = handleOf(engine, 'things')

    const rested = await things.send(busy.id, { type: 'rest' })
    const gone = await things.send(calm.id, { type: 'go' })

    expect(rested.resource).toMatchObject({ status: 'calm', version: 4 })
    expect(gone.resource).toMatchObject({ status: 'working' })
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('says what it would do, and does nothing, when it is only tried', async () => {
    const { open } = await setup()
    const engine = await open(second(renaming))
    const before = await fullLog(engine, { tenant: '*' })

    const report = await engine.migrate({ dryRun: true })

    expect(JSON.stringify(report)).toContain('thing')
    expect(await fullLog(engine, { tenant: '*' })).toEqual(before)
  })

  test('is done once: a second time, and without the functions, there is nothing to do', async () => {
    const { open } = await setup()
    const engine = await open(second(renaming))
    await engine.migrate()
    const log = await fullLog(engine, { tenant: '*' })

    await engine.migrate()
    expect(await fullLog(engine, { tenant: '*' })).toEqual(log)
    await engine.close()

    const again = await open(second())
    await again.migrate()
    expect(await fullLog(again, { tenant: '*' })).toEqual(log)
    expect(await again.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('does nothing where no machine has changed', async () => {
    const { open } = await setup()
    const engine = await open(first)
    const log = await fullLog(engine, { tenant: '*' })

    await engine.migrate()

    expect(await fullLog(engine, { tenant: '*' })).toEqual(log)
  })

  test('keeps the timers of states that stay as they are', async () => {
    const { open, busy } = await setup()
    const machine = life('calm', 'busy', { n: 0, m: 0 })
    const adding = { 1: ({ value, context }: Stored) => ({ value, context: { ...context, m: 5 } }) }
    const parts = { version: 2, migrate: adding }
    const engine = await open({ resources: { things: thing(machine, parts) } })
    const before = await allTimers(engine)

    await engine.migrate()

    expect(before.map(({ resource_id }) => resource_id)).toEqual([busy.id])
    const due = (timers: typeof before) => timers.map(({ due_at }) => due_at)
    expect(due(await allTimers(engine))).toEqual(due(before))
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
    await engine.clock.advance('51m')
    expect((await handleOf(engine, 'things').get(busy.id)).status).toBe('calm')
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })

  test('refuses options that it does not know, and a closed engine', async () => {
    const { open } = await setup()
    const engine = await open(first)
    for (const options of [{ dryrun: true }, { dryRun: 'yes' }]) {
      expect((await failureOf(async () => engine.migrate(options))).code).toBe('invalid_input')
    }

    await engine.close()

    expect((await failureOf(async () => engine.migrate())).code).toBe('closed')
  })
})
