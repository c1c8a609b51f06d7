import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assign, createMachine, emit } from 'xstate'
import {
  type AnyEngine,
  type AnyResource,
  type AnyTestEngine,
  collect,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { optionsFor } from '../support/lockstep.ts'
import { blueprintArbitrary, COMMANDS } from '../support/random-machines.ts'
import { openRaw } from '../support/raw.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { openThing, withThings } from '../support/things.ts'
import { INTERACTION, makeRun, makeSession, send, sessionOf } from '../support/world.ts'

/** A resource as it was when the log ended at a place. */
interface Seen {
  readonly seq: number
  readonly time: Date
  readonly resource: AnyResource
}

/** Looks at a resource, once all has happened that happens at this time. */
async function look(engine: AnyTestEngine, property: string, id: string): Promise<Seen> {
  await engine.clock.advance(0)
  const [latest] = (await engine.events.list({ tenant: '*', internal: true, limit: 1 })).data
  const resource = await handleOf(engine, property).get(id)
  return { seq: latest?.seq ?? 0, time: engine.clock.now(), resource }
}

/** Checks that each place and each time of the log gives what was seen then. */
async function expectSeen(engine: AnyEngine, property: string, seen: readonly Seen[]) {
  const handle = handleOf(engine, property)
  const byTime = new Map(seen.map(({ time, resource }) => [time.getTime(), resource]))
  for (const { seq, resource } of seen) expect(await handle.at(resource.id, seq)).toEqual(resource)
  for (const [time, resource] of byTime)
    expect(await handle.at(resource.id, new Date(time))).toEqual(resource)
}

const runSteps = [
  'start',
  'login_succeeded',
  { type: 'require_interaction', interaction: INTERACTION },
  { type: 'submit_interaction', input: { code: '1' } },
  'request_review',
  'approve',
] as const

test('at gives what get gave, of everything that a command touched', async () => {
  const engine = await setupEngine()
  const run = await makeRun(engine)
  await send(engine, 'session', sessionOf(run), 'start')
  const seen: { run: Seen; session: Seen; credential: Seen }[] = []
  for (const step of runSteps) {
    await engine.clock.advance('1s')
    await send(engine, 'task_run', run.id, step)
    seen.push({
      run: await look(engine, 'taskRuns', run.id),
      session: await look(engine, 'sessions', sessionOf(run)),
      credential: await look(engine, 'credentials', String(run.credential_id)),
    })
  }

  await expectSeen(
    engine,
    'taskRuns',
    seen.map((each) => each.run),
  )
  await expectSeen(
    engine,
    'sessions',
    seen.map((each) => each.session),
  )
  await expectSeen(
    engine,
    'credentials',
    seen.map((each) => each.credential),
  )
})

/** How often the property is tried; set PAWL_NUM_RUNS for a longer night. */
const numRuns = Number(process.env.PAWL_NUM_RUNS ?? 60)

const moves = fc.array(
  fc.oneof(
    fc.record({ type: fc.constantFrom(...COMMANDS), n: fc.nat(3) }),
    fc.record({ ms: fc.constantFrom(0, 1, 10, 60) }),
  ),
  { minLength: 1, maxLength: 16, size: 'max' },
)

test('at gives what get gave, whatever the machine', { timeout: 120_000 }, async () => {
  const property = fc.asyncProperty(blueprintArbitrary, moves, async (blueprint, sequence) => {
    const directory = makeTemporaryDirectory()
    const options = optionsFor(blueprint, join(directory, 'pawl.db'))
    let engine = await openEngine(options())
    try {
      const { id } = (await handleOf(engine, 'gens').create({})).resource
      const seen = [await look(engine, 'gens', id)]
      for (const move of sequence) {
        if ('ms' in move) await engine.clock.advance(move.ms)
        else await handleOf(engine, 'gens').trySend(id, move)
        seen.push(await look(engine, 'gens', id))
      }
      engine = await reopen(engine, options())
      await expectSeen(engine, 'gens', seen)
    } finally {
      await engine.close()
      removeDirectory(directory)
    }
  })
  await fc.assert(property, { numRuns })
})

interface Fields {
  readonly context: { readonly n: number }
}

const count = assign(({ context }: Fields) => ({ n: context.n + 1 }))

/** Counts, and says so three times on the way, the last of its steps being silent. */
function counting(parts: object = {}) {
  const went = emit({ type: 'thing.went' })
  return createMachine({
    context: { n: 0, secret: 's' },
    initial: 'calm',
    states: {
      calm: { on: { go: 'busy' } },
      busy: { entry: [count, went, went, went], always: 'calm', exit: count },
    },
    ...parts,
  } as object)
}

const parts = { events: ['thing.went'], private: ['secret'] }

test('every entry of a change gives the state after the whole change', async () => {
  const { engine, things, id } = await openThing(counting(), parts)
  // More entries than are read at once, so that changes lie across the seams.
  for (let n = 1; n <= 150; n += 1) await things.send(id, { type: 'go' })

  const log = await collect(await things.history(id, { limit: 1000 }))
  expect(log).toHaveLength(1 + 3 * 150)
  for (const { seq, resource_version: version } of log.filter((_, index) => index % 7 < 3)) {
    const then = await things.at(id, seq)
    expect(then).toMatchObject({ version, status: 'calm', n: 2 * (version - 1) })
  }
  expect(await things.at(id, 10 ** 9)).toEqual(await things.get(id))
  expect(Object.keys(await things.at(id, 1))).not.toContain('secret')
  expect((await fullLog(engine)).length).toBe(log.length)
})

test('at takes a text in ISO 8601 and gives the latest change at or before it', async () => {
  const { engine, things, id } = await openThing(counting(), parts)
  for (let n = 1; n <= 3; n += 1) {
    await engine.clock.advance('1s')
    await things.send(id, { type: 'go' })
  }

  const versionAt = async (moment: Date | string) => (await things.at(id, moment as Date)).version

  expect(await versionAt('2026-01-01T00:00:00Z')).toBe(1)
  expect(await versionAt('2026-01-01T00:00:00.999Z')).toBe(1)
  expect(await versionAt('2026-01-01T02:00:01+02:00')).toBe(2)
  expect(await versionAt(new Date('2026-01-01T00:00:02.500Z'))).toBe(3)
  expect(await versionAt(new Date('2126-01-01'))).toBe(4)
})

test('at sees, within a transaction, what has been sent there', async () => {
  const { engine, things, id } = await openThing(counting(), parts)

  const seen = await engine.transaction(async (tx) => {
    const inner = handleOf(tx, 'things')
    await inner.send(id, { type: 'go' })
    return [await inner.at(id, 1), await inner.at(id, 2)]
  })

  expect(seen).toEqual([await things.at(id, 1), await things.get(id)])
})

test('at knows a resource whose machine has changed since', async () => {
  const database = temporaryFile()
  const first = await openEngine({ database, ...withThings(counting(), parts) })
  const { id } = (await handleOf(first, 'things').create({})).resource
  await handleOf(first, 'things').send(id, { type: 'go' })
  const seen = [await look(first, 'things', id)]
  await first.clock.advance('1s')
  const renamed = counting({
    initial: 'still',
    states: { still: { on: { go: { actions: count } } } },
  })
  const migrate = {
    1: ({ context }: Fields) => ({ value: 'still', context: { n: context.n + 100 } }),
  }
  const options = withThings(renamed, { ...parts, version: 2, migrate })
  const second = await setupEngine({ database, now: first.clock.now(), ...options })
  await first.close()
  await handleOf(second, 'things').send(id, { type: 'go' })
  seen.push(await look(second, 'things', id))

  expect(seen.map(({ resource }) => [resource.status, resource.n, resource.version])).toEqual([
    ['calm', 2, 2],
    ['still', 103, 4],
  ])
  await expectSeen(second, 'things', seen)
  expect(await handleOf(second, 'things').at(id, 5)).toMatchObject({ n: 102, status: 'still' })
})

describe('there is nothing to give', () => {
  test('before the creation', async () => {
    const engine = await setupEngine()
    await makeSession(engine)
    await engine.clock.advance('1s')
    const { id } = await makeSession(engine)
    const sessions = handleOf(engine, 'sessions')

    for (const moment of [0, 1, new Date('2026-01-01T00:00:00.999Z'), new Date(0)]) {
      const { code, message } = await failureOf(sessions.at(id, moment))
      expect([code, message]).toEqual(['not_found', expect.stringContaining('there is no session')])
    }
    expect(await sessions.at(id, 2)).toEqual(await sessions.get(id))
  })

  test('of an id that does not exist for the tenant or the type', async () => {
    const engine = await setupEngine()
    const { id } = await makeSession(engine)
    const others = handleOf(engine.tenant('other'), 'sessions')

    expect((await failureOf(others.at(id, 1))).code).toBe('not_found')
    expect((await failureOf(handleOf(engine, 'tasks').at(id, 1))).code).toBe('not_found')
    expect((await failureOf(handleOf(engine, 'sessions').at('sess_1', 1))).code).toBe('not_found')
  })

  test.each([
    ...[-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53],
    ...[new Date('never'), 'yesterday', '1', '', null, undefined, {}, 1n, true],
  ])('at %s', async (moment) => {
    const engine = await setupEngine()
    const { id } = await makeSession(engine)
    const call = handleOf(engine, 'sessions').at(id, moment as never)
    expect((await failureOf(call)).code).toBe('invalid_input')
  })

  test('where the log has been damaged: the error says at which place', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database })
    const { id } = await makeSession(engine)
    await send(engine, 'session', id, 'start')
    openRaw(database).exec(`update pawl_events set change = '[]' where seq = 2`)

    const { code, message } = await failureOf(handleOf(engine, 'sessions').at(id, 2))

    expect(code).toBe('storage_corrupt')
    expect(message).toContain(`the log of ${id} makes no sense at place 2`)
    expect(await handleOf(engine, 'sessions').at(id, 1)).toMatchObject({ status: 'queued' })
  })
})
