import { readdirSync, readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { assign, createMachine } from 'xstate'
import {
  type AnyEngine,
  allTimers,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
  setupRealEngine,
} from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { makeAgents } from '../support/follow.ts'
import { playGame } from '../support/game.ts'
import { moveArbitrary } from '../support/game-moves.ts'
import { inLockstep, type Move, optionsFor } from '../support/lockstep.ts'
import { createOracle } from '../support/oracle.ts'
import { blueprintArbitrary, buildMachine, COMMANDS } from '../support/random-machines.ts'
import { openRaw } from '../support/raw.ts'
import { type Story, tellStory } from '../support/scenario.ts'
import { fill, fillALittle, withShapes } from '../support/shapes.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { explode, openThing } from '../support/things.ts'
import {
  makeAgent,
  makeRunningRun,
  makeSession,
  makeTask,
  send,
  sessionOf,
} from '../support/world.ts'

const numRuns = Number(process.env.PAWL_NUM_RUNS ?? 12)

/** Checks that an engine finds nothing wrong with its database, and shows what it finds if not. */
async function expectSound(engine: AnyEngine): Promise<void> {
  const { ok, differences } = await engine.verify()
  expect(differences).toEqual([])
  expect(ok).toBe(true)
}

describe('verify', () => {
  test('counts what it has checked', async () => {
    const engine = await setupEngine(withShapes())
    await fill(engine)
    const log = await fullLog(engine, { tenant: '*' })
    const timers = [...(await allTimers(engine)), ...(await allTimers(engine.tenant('acme')))]

    expect(await engine.verify()).toEqual({
      ok: true,
      checked: {
        resources: new Set(log.map((entry) => entry.resource_id)).size,
        events: log.length,
        timers: timers.length,
      },
      differences: [],
    })
    expect(timers.length).toBeGreaterThan(5)
  })

  test('of an empty database is fine', async () => {
    const engine = await setupEngine()

    expect(await engine.verify()).toEqual({
      ok: true,
      checked: { resources: 0, events: 0, timers: 0 },
      differences: [],
    })
  })

  test('changes nothing', async () => {
    const database = temporaryFile()
    const engine = await setupEngine({ database, ...withShapes() })
    await fillALittle(engine)
    const raw = openRaw(database)
    const tables = raw.prepare("select name from sqlite_master where type = 'table'").pluck().all()
    const dump = () => tables.map((table) => raw.prepare(`select * from ${table}`).all())
    const before = dump()

    await engine.verify()

    expect(dump()).toEqual(before)
  })

  test('tells how far it is', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 50)
    let calls = 0

    await engine.verify({ onProgress: () => (calls += 1) })

    expect(calls).toBeGreaterThan(0)
  })

  test('raises no false alarm while others write', async () => {
    const database = temporaryFile()
    const engine = await setupRealEngine({ database })
    const other = await setupRealEngine({ database })
    const { id } = await makeTask(engine)
    let writing = true
    const write = async (each: AnyEngine) => {
      while (writing) {
        await send(each, 'task', id, { type: 'update', name: String(Math.random()) })
        await makeSession(each)
        // Who writes without a pause makes more in the meantime than can be checked.
        await setImmediate()
      }
    }
    const writers = [engine, engine, other].map(write)

    for (let round = 0; round < 15; round++) await expectSound(engine)
    writing = false
    await Promise.all(writers)

    await expectSound(other)
  })

  test('refuses what is no option, and a closed engine', async () => {
    const engine = await openEngine()
    const calls = [{ onProgress: 5 }, { onProgres: () => {} }]
    for (const options of calls) {
      expect((await failureOf(async () => engine.verify(options))).code).toBe('invalid_input')
    }

    await engine.close()

    expect((await failureOf(async () => engine.verify())).code).toBe('closed')
  })
})

describe('a database is sound', () => {
  const folder = new URL('../scenarios/stories/', import.meta.url)
  const stories = readdirSync(folder).map(
    (file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Story,
  )

  test.each(stories)('after the story $name', async (story) => {
    const engine = await setupEngine()

    await tellStory(story, engine)

    await expectSound(engine)
  })

  test('with every status, two tenants, regions, histories, and after all timers', async () => {
    const database = temporaryFile()
    const engine = await openEngine({ database, ...withShapes() })
    await fill(engine)
    await expectSound(engine)
    for (const duration of ['90s', '10m', '2h', '100d']) {
      await engine.clock.advance(duration)
      await expectSound(engine)
    }

    const again = await reopen(engine, { database, ...withShapes() })
    onTestFinished(() => again.close())

    await expectSound(again)
  })

  test('when it is opened with other timeouts, and when the old timers have fired', async () => {
    const database = temporaryFile()
    const engine = await openEngine({ database, ...withShapes() })
    await fill(engine)
    const timeouts = { session_provisioning: '1h', session_idle: '20m' } as const

    const again = await reopen(engine, { database, ...withShapes({ timeouts }) })
    onTestFinished(() => again.close())

    await expectSound(again)
    await fillALittle(again)
    await expectSound(again)
    for (const duration of ['2m', '30m', '2h']) {
      await again.clock.advance(duration)
      await expectSound(again)
    }
  })

  test('with any JSON in it', async () => {
    const engine = await setupEngine()
    const values: unknown[] = [
      ...[null, '', 'a\u0000b', '\u2028', '🔑', 1e21, -0, 1e-7, 0.1, Number.MAX_SAFE_INTEGER],
      ...[{ b: 1, a: { 2: 'x', 1: 'y' } }, JSON.parse('{"__proto__":1,"constructor":{}}')],
      ...[[[], {}, [null, true]], { '': '"\\"' }, 'x'.repeat(50_000)],
    ]

    for (const input of values) await makeRunningRun(engine, { input })

    await expectSound(engine)
  })

  test('after refusals, replays, conflicts, reveals and rollbacks', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const agents = handleOf(engine, 'agents')
    const key = { idempotencyKey: 'k' }
    const { id } = (await agents.create({ name: 'A' }, key)).resource
    await agents.create({ name: 'A' }, key)
    await caught(() => agents.send(id, { type: 'update', name: 'B' }, { expectedVersion: 7 }))
    await caught(() => send(engine, 'session', sessionOf(run), 'complete'))
    await handleOf(engine, 'credentials').reveal(String(run.credential_id))
    await caught(() =>
      engine.transaction(async (tx) => {
        await handleOf(tx, 'agents').send(id, { type: 'delete' })
        explode()
      }),
    )

    await expectSound(engine)
  })

  test('with a timer that fails and waits for its next attempt', async () => {
    const machine = createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: {
        calm: {
          on: { go: { actions: assign({ n: 1 }) } },
          after: { 1000: { target: 'late', actions: assign(() => explode()) } },
        },
        late: {},
      },
    })
    const { engine, things, id } = await openThing(machine, {}, { onError: () => {} })
    await things.send(id, { type: 'go' })

    await engine.clock.advance(1500)

    expect(await allTimers(engine)).toHaveLength(1)
    await expectSound(engine)
  })

  test('after 64 callers at once', async () => {
    const engine = await setupRealEngine()
    const { id } = await makeAgent(engine)

    const names = Array.from({ length: 64 }, (_, i) => ({ type: 'update', name: `${i}` }))
    await Promise.all(names.map((command) => send(engine, 'agent', id, command)))

    await expectSound(engine)
  })

  /** Runs a body with a fresh file, and verifies what it leaves. */
  async function leavingSound(
    body: (file: string) => Promise<void>,
    options: (file: string) => object,
  ): Promise<void> {
    const directory = makeTemporaryDirectory()
    try {
      const file = `${directory}/pawl.db`
      await body(file)
      // The clock may not go back: a timer that is due later cannot have fired without a trace.
      const now = new Date('2027-01-01')
      const engine = await openEngine({ ...options(file), database: file, now })
      try {
        await expectSound(engine)
      } finally {
        await engine.close()
      }
    } finally {
      removeDirectory(directory)
    }
  }

  test('after any game on the platform', { timeout: 60_000 }, async () => {
    const moves = fc.array(moveArbitrary, { minLength: 10, maxLength: 60, size: 'max' })

    const property = fc.asyncProperty(moves, (some) =>
      leavingSound(
        (file) => playGame(file, some),
        () => ({}),
      ),
    )

    await fc.assert(property, { numRuns })
  })

  test('after anything that any machine does', { timeout: 60_000 }, async () => {
    const command = fc.record({ type: fc.constantFrom(...COMMANDS), n: fc.nat(3) })
    const move: fc.Arbitrary<Move> = fc.oneof(
      fc.record({ do: fc.constant('send' as const), command }),
      fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(0, 5, 10, 60) }),
      fc.constant({ do: 'restart' as const }),
    )

    const property = fc.asyncProperty(
      blueprintArbitrary,
      fc.array(move, { maxLength: 16, size: 'max' }),
      (blueprint, moves) =>
        leavingSound(
          (file) =>
            inLockstep(
              optionsFor(blueprint, file),
              'gens',
              (id) => createOracle(buildMachine(blueprint), id, {}),
              async () => ({}),
              moves,
            ),
          (file) => optionsFor(blueprint, file)(),
        ),
    )

    await fc.assert(property, { numRuns: numRuns * 3 })
  })
})
