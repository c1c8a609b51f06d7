import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assign, createMachine, emit } from 'xstate'
import { consume, keeping } from '../support/consumers.ts'
import {
  type AnyEngine,
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
import { insertRow, openRaw, rowsOf } from '../support/raw.ts'
import { openRich, richOptions } from '../support/rich.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { openThing } from '../support/things.ts'
import { makeCredential, makeSession, send } from '../support/world.ts'

interface Pruned {
  readonly events: number
  readonly held_by: string | null
}

async function prune(engine: AnyEngine, events: unknown): Promise<Pruned> {
  return (await engine.prune({ events })) as Pruned
}

async function expectClean(engine: AnyEngine): Promise<void> {
  expect((await engine.verify()).differences).toEqual([])
}

const count = assign(({ context }: { context: { n: number } }) => ({ n: context.n + 1 }))

/** Counts, and says so as many times as it is told to be made. */
function counting(times: number) {
  const said = Array.from({ length: times }, () => emit({ type: 'thing.went' }))
  return createMachine({
    context: { n: 0 },
    initial: 'calm',
    states: { calm: { on: { go: { actions: [count, ...said] } } } },
  } as object)
}

const events = { events: ['thing.went'] }

/** A thing that has said something `times` times each second, for some seconds. */
async function openCounted(times: number, seconds: number, options: object = {}) {
  const opened = await openThing(counting(times), events, options)
  for (let second = 0; second < seconds; second += 1) {
    await opened.engine.clock.advance('1s')
    await opened.things.send(opened.id, { type: 'go' })
  }
  return opened
}

describe('what is old', () => {
  test('goes, and what is left goes on from there', async () => {
    const { engine, things, id } = await openCounted(1, 10)
    const before = await things.get(id)

    expect(await prune(engine, '4s')).toEqual({ events: 6, held_by: null })

    const log = await fullLog(engine)
    expect(log.map(({ seq }) => seq)).toEqual([7, 8, 9, 10, 11])
    expect((await collect(await things.history(id))).map(({ seq }) => seq)).toEqual([
      7, 8, 9, 10, 11,
    ])
    expect(await things.get(id)).toEqual(before)
    const { differences, checked, pruned } = (await engine.verify()) as never as {
      differences: unknown
      checked: object
      pruned: number
    }
    expect([differences, pruned]).toEqual([[], 6])
    expect(checked).toMatchObject({ resources: 1, events: 5 })
    await things.send(id, { type: 'go' })
    await expectClean(engine)
  })

  test('is nothing when nothing is old enough, or there is nothing', async () => {
    const engine = await setupEngine()
    expect(await prune(engine, 0)).toEqual({ events: 0, held_by: null })
    await makeSession(engine)
    expect(await prune(engine, '1ms')).toEqual({ events: 0, held_by: null })
    expect(await prune(engine, 0)).toEqual({ events: 0, held_by: null })
    await engine.clock.advance(1)
    expect(await prune(engine, 0)).toEqual({ events: 1, held_by: null })
    await expectClean(engine)
  })

  test('goes as a whole change or not at all, however long', async () => {
    const { engine } = await openCounted(1200, 2)

    expect(await prune(engine, '500ms')).toEqual({ events: 1 + 1200, held_by: null })

    await expectClean(engine)
    await engine.clock.advance(1)
    expect(await prune(engine, 0)).toEqual({ events: 1200, held_by: null })
    await expectClean(engine)
  })

  test('goes while others write', async () => {
    const { engine, things, id } = await openCounted(3, 700)
    const writing = (async () => {
      for (let n = 0; n < 100; n += 1) await things.send(id, { type: 'go' })
    })()
    const verifying = (async () => {
      for (let n = 0; n < 5; n += 1) await expectClean(engine)
    })()

    expect(await prune(engine, '5s')).toEqual({ events: 1 + 3 * 694, held_by: null })

    await Promise.all([writing, verifying])
    await expectClean(engine)
    expect(await things.get(id)).toMatchObject({ n: 800, version: 801 })
  })

  test('is kept of a resource until its own time has come', async () => {
    const engine = await setupEngine()
    const old = await makeSession(engine)
    await engine.clock.advance('1h')
    const young = await makeSession(engine)
    await send(engine, 'session', young.id, 'start')

    await prune(engine, '1m')

    const sessions = handleOf(engine, 'sessions')
    expect(await collect(await sessions.history(old.id))).toEqual([])
    expect(await collect(await sessions.history(young.id))).toHaveLength(2)
    expect(await sessions.at(old.id, 10)).toEqual(await sessions.get(old.id))
    await expectClean(engine)
  })
})

describe('at', () => {
  test('reaches back as far as the log', async () => {
    const { engine, things, id } = await openCounted(2, 6)
    const seen = await Promise.all([6, 7, 8, 9, 10, 11, 12, 13].map((seq) => things.at(id, seq)))
    await prune(engine, '2s')

    const pruned = (moment: number | Date) => failureOf(things.at(id, moment))

    // The last change that is gone is what the rest goes on from: places 6 and 7.
    for (const [index, resource] of seen.entries())
      expect(await things.at(id, 6 + index)).toEqual(resource)
    expect(await things.at(id, new Date('2026-01-01T00:00:03.999Z'))).toMatchObject({ n: 3 })
    for (const moment of [1, 5, new Date('2026-01-01T00:00:02.999Z')]) {
      const { code, message } = await pruned(moment)
      expect([code, message]).toEqual([
        'not_found',
        expect.stringContaining('no longer reaches back'),
      ])
    }
    for (const moment of [0, new Date('2025-12-31T23:59:59.999Z')])
      expect((await pruned(moment)).message).toContain('there is no thing')
  })
})

describe('what is still needed stays', () => {
  test('by a consumer, and by nobody once it has moved on', async () => {
    const { engine, things, id } = await openCounted(1, 5)
    const { seen, handler, untilSeen } = keeping()
    const consumer = consume(engine, 'slow', {}, handler)
    await untilSeen(5)
    await consumer.stop()
    await engine.clock.advance('1s')
    for (let n = 0; n < 5; n += 1) await things.send(id, { type: 'go' })
    await engine.clock.advance('1s')

    expect(await prune(engine, 0)).toEqual({ events: 6, held_by: 'slow' })
    await expectClean(engine)

    const again = consume(engine, 'slow', {}, handler)
    await untilSeen(10)
    await again.stop()
    expect(await prune(engine, 0)).toEqual({ events: 5, held_by: null })
    expect(seen.map(({ seq }) => seq)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    await expectClean(engine)
  })

  test('by a consumer of another tenant, in the middle of a change', async () => {
    const database = temporaryFile()
    const { engine } = await openCounted(3, 4, { database })
    await engine.clock.advance('1s')
    insertConsumer(database, { tenant: 'other', name: 'far', position: 6 })

    expect(await prune(engine, 0)).toEqual({ events: 4, held_by: 'far' })

    await expectClean(engine)
  })

  test('because it has been put aside', async () => {
    const database = temporaryFile()
    const { engine } = await openCounted(1, 5, { database })
    await engine.clock.advance('1s')
    const raw = insertConsumer(database, { tenant: 'default', name: 'picky', position: 6 })
    const parked = { consumer: 'picky', seq: 4, event_id: 'evt_4', error: 'e', attempts: 1 }
    insertRow(raw, 'pawl_parked', { tenant: 'default', ...parked, parked_at: 1 })

    expect(await prune(engine, 0)).toEqual({ events: 3, held_by: 'picky' })
  })

  test('by an idempotency key, as long as it is kept', async () => {
    const { engine, things, id } = await openCounted(1, 2)
    const options = { idempotencyKey: 'k' }
    const outcome = await things.send(id, { type: 'go' }, options)
    await engine.clock.advance('23h')
    await things.send(id, { type: 'go' })

    expect(await prune(engine, '1h')).toEqual({ events: 2, held_by: 'idempotency' })

    expect(await things.send(id, { type: 'go' }, options)).toEqual({ ...outcome, replayed: true })
    await expectClean(engine)
    await engine.clock.advance('1h')
    expect(await prune(engine, '1h')).toEqual({ events: 2, held_by: null })
    await expectClean(engine)
  })

  function insertConsumer(database: string, row: object) {
    const raw = openRaw(database)
    insertRow(raw, 'pawl_consumers', { fence: 0, leased_until: 0, ...row })
    return raw
  }
})

describe('options', () => {
  test.each([
    ['no options', undefined],
    ['no duration', {}],
    ['a negative one', { events: -1 }],
    ['a strange one', { events: '3 weeks' }],
    ['an endless one', { events: Number.POSITIVE_INFINITY }],
    ['an unknown option', { events: '30d', dryRun: true }],
  ])('%s', async (_, options) => {
    const engine = await setupEngine()
    const { code } = await failureOf(() => engine.prune(options as never))
    expect(code).toBe('invalid_input')
  })
})

test('a log that has been altered stays as it is', async () => {
  const database = temporaryFile()
  const { engine, id } = await openCounted(1, 1200, { database })
  const raw = openRaw(database)
  raw.exec(`update pawl_events set data = replace(data, '"n":900', '"n":901') where seq = 901`)
  await engine.clock.advance('1s')

  const { code, message } = await failureOf(() => prune(engine, 0))

  expect(code).toBe('storage_corrupt')
  expect(message).toContain(`entry 901 of the log, of ${id}, stays`)
  expect(rowsOf(raw, 'pawl_events')[0]?.seq).toBe(751)
  const { differences } = await engine.verify()
  expect(differences.map(({ kind, seq }) => [kind, seq])).toEqual([
    ['hash', 901],
    ['replay', 901],
  ])
})

test('secrets, notes and other versions of a machine go as well', async () => {
  const database = temporaryFile()
  const engine = await openRich(database)
  await handleOf(engine, 'credentials').reveal((await makeCredential(engine)).id)
  const views = async (of: AnyEngine) => {
    const sessions = await collect(await handleOf(of, 'sessions').list({ tenant: '*' }))
    return [...sessions, ...(await collect(await handleOf(of, 'things').list({})))]
  }
  const before = await views(engine)
  await engine.clock.advance('25h')
  const settled = await views(engine)
  expect(settled.length).toBe(before.length)

  for (const age of ['24h', '1h', 1, 0]) {
    await prune(engine, age)
    await expectClean(engine)
  }

  const again = await reopen(engine, { database, ...richOptions(2) })
  await expectClean(again)
  expect(await fullLog(again, { tenant: '*' })).toEqual([])
  expect(await views(again)).toEqual(settled)
  const [session] = (await handleOf(again, 'sessions').list({ status: 'idle' })).data
  if (session !== undefined) await send(again, 'session', session.id, 'end')
  await makeSession(again)
  await expectClean(again)
  await again.close()
})

/** How often the property is tried; set PAWL_NUM_RUNS for a longer night. */
const numRuns = Number(process.env.PAWL_NUM_RUNS ?? 60)

const moves = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constantFrom(...COMMANDS), n: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ ms: fc.constantFrom(0, 1, 5, 10, 60) }) },
    { weight: 2, arbitrary: fc.record({ keep: fc.constantFrom(0, 1, 10, 30) }) },
    { weight: 1, arbitrary: fc.constant({ restart: true }) },
  ),
  { minLength: 4, maxLength: 20, size: 'max' },
)

type Move =
  | { readonly type: string; readonly n: number }
  | { readonly ms: number }
  | { readonly keep: number }
  | { readonly restart: true }

async function make(engine: AnyTestEngine, id: string, move: Move): Promise<void> {
  if ('type' in move) await handleOf(engine, 'gens').trySend(id, move)
  else if ('ms' in move) await engine.clock.advance(move.ms)
  else if ('keep' in move) await prune(engine, move.keep)
}

test('whatever the machine, what is left verifies', { timeout: 120_000 }, async () => {
  const property = fc.asyncProperty(blueprintArbitrary, moves, async (blueprint, sequence) => {
    const directory = makeTemporaryDirectory()
    const options = optionsFor(blueprint, join(directory, 'pawl.db'))
    let engine = await openEngine(options())
    try {
      const { id } = (await handleOf(engine, 'gens').create({})).resource
      for (const move of sequence) {
        if ('restart' in move) engine = await reopen(engine, options())
        else await make(engine, id, move)
        await expectClean(engine)
        const latest = Number.MAX_SAFE_INTEGER
        const gens = handleOf(engine, 'gens')
        expect(await gens.at(id, latest)).toEqual(await gens.get(id))
      }
    } finally {
      await engine.close()
      removeDirectory(directory)
    }
  })
  await fc.assert(property, { numRuns })
})

test('a page of the log goes on after what has gone', async () => {
  const { engine, id } = await openCounted(1, 9)
  const page = await engine.events.list({ order: 'asc', limit: 3, resource: id, internal: true })
  await prune(engine, '2s')

  const rest = await engine.events.list({
    ...{ order: 'asc', limit: 3, resource: id, internal: true, cursor: page.next_cursor },
  })

  expect(rest.data.map(({ seq }) => seq)).toEqual([8, 9, 10])
})
