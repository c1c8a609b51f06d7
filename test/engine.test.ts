import { describe, expect, test } from 'vitest'
import { createMachine } from 'xstate'
import { createEngine, type EngineOptions } from '../src/engine.ts'
import { failureOf } from './support/errors.ts'
import { withThings } from './support/things.ts'

const database = ':memory:'

/** Opens an engine with options that the compiler would not take, and closes it should it open. */
async function open(options: unknown): Promise<void> {
  const engine = await createEngine(options as EngineOptions)
  await engine.close()
}

describe('the options of an engine', () => {
  test.each<[string, unknown, string]>([
    ['nothing', undefined, ''],
    ['null', null, ''],
    ['a number', 5, ''],
    ['no database', {}, 'database'],
    ['an empty path', { database: '' }, 'database'],
    ['an object that is no database', { database: {} }, 'database'],
    ['an option that does not exist', { database, clock: 1 }, 'clock'],
    ['another durability', { database, durability: 'none' }, 'durability'],
    ['a timeout that is no duration', { database, busyTimeout: 'soon' }, 'busyTimeout'],
    ['a limit of nothing', { database, limits: { bytes: 0 } }, 'limits.bytes'],
    ['a limit that does not exist', { database, limits: { width: 5 } }, 'width'],
    ['a key that is too short', { database, encryptionKeys: ['x'] }, 'encryptionKeys.0'],
  ])('are refused: %s', async (_, options, path) => {
    const error = await failureOf(open(options))

    expect(error.code).toBe('invalid_input')
    expect((error.issues ?? []).map((issue) => (issue.path as string[]).join('.'))).toContain(path)
  })

  test.each<[string, object]>([
    ['a key outside of a list', { encryptionKeys: 'x' }],
    ['an onError that cannot be called', { onError: 5 }],
    ['a definition without a machine', { resources: { things: { type: 'thing' } } }],
  ])('are refused in words: %s', async (_, options) => {
    const error = await failureOf(open({ database, ...options }))

    expect(['invalid_input', 'machine_invalid']).toContain(error.code)
  })

  test.each<[string, object]>([
    ['limits of null', { limits: null }],
    ['a database that only looks like one', { database: { prepare: 1 } }],
  ])('are refused in words as well: %s', async (_, options) => {
    const error = await failureOf(open({ database, ...options }))

    expect(error.code).toBe('invalid_input')
  })

  test('are all reported at once', async () => {
    const error = await failureOf(open({ durability: 5, limits: { depth: -1 }, other: 1 }))

    expect(error.message).toMatchInlineSnapshot(
      `"the options of createEngine are not valid: other: does not exist (options: database, resources, encryptionKeys, durability, busyTimeout, limits, delivery, destinationTypes, onError); database: has to be a path, ":memory:", an open better-sqlite3 Database, or postgres({ connectionString }) of pawl/postgres; durability: has to be "full" or "relaxed"; limits.depth: has to be a whole number from 1 to 500"`,
    )
  })
})

describe('an engine', () => {
  const machine = createMachine({ initial: 'a', states: { a: {} } })

  test('closes what it opened when it cannot go on', async () => {
    const error = await failureOf(
      open({ database, ...withThings(machine, { references: { a_id: 'nobody' } }) }),
    )

    expect(error.code).toBe('machine_invalid')
  })

  test.each(['*', '', '\ud800', 'a\nb', 'x'.repeat(256), 5, null])(
    'has no tenant %j',
    async (id) => {
      await using engine = await createEngine({ database })

      const error = await failureOf(() => engine.tenant(id as string))

      expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['tenant'] }] })
    },
  )

  test('can be closed twice, and refuses everything after that', async () => {
    const engine = await createEngine({ database })
    const session = (await engine.sessions.create()).resource.id

    await Promise.all([engine.close(), engine.close()])

    const calls = [
      () => engine.sessions.get(session),
      () => engine.sessions.list(),
      () => engine.sessions.send(session, { type: 'start' }),
      () => engine.sessions.explain(session, { type: 'start' }),
      () => engine.sessions.history(session),
      () => engine.events.list(),
      () => engine.timers.list(),
      () => engine.tick(),
    ]
    const codes = await Promise.all(calls.map(async (call) => (await failureOf(call)).code))
    expect(new Set(codes)).toEqual(new Set(['closed']))
  })
})
