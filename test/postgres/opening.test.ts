/** Who may open an engine on PostgreSQL, and what does it say to those who may not? */

import { randomBytes } from 'node:crypto'
import { createEngine } from 'pawl'
import { copy, postgres } from 'pawl/postgres'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Pool } from '../../src/store/postgres/session.ts'
import { type AnyEngine, handleOf } from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { OFFLINE } from '../support/offline.ts'
import { isServer, setupSchema } from '../support/postgres.ts'

const there = await isServer()

const ADDRESS = { host: '127.0.0.1', port: 5432, database: 'postgres' }

/** A role that may do nothing, a schema that there is not yet, and somebody who may do everything. */
async function setup() {
  const name = `opening_${randomBytes(8).toString('hex')}`
  const admin = new pg.Client({ ...ADDRESS, user: 'postgres' })
  await admin.connect()
  await admin.query(`create role ${name} login`)
  onTestFinished(async () => {
    await admin.query(`drop schema if exists ${name} cascade`)
    await admin.query(`drop owned by ${name}`)
    await admin.query(`drop role ${name}`)
    await admin.end()
  })
  const openAs = async (user: string): Promise<AnyEngine> => {
    const database = postgres({ ...ADDRESS, user, max: 4 }, { schema: name })
    const engine: unknown = await createEngine({ database, delivery: OFFLINE, busyTimeout: 2000 })
    onTestFinished(() => (engine as AnyEngine).close())
    return engine as AnyEngine
  }
  return { name, admin, openAs }
}

const causeOf = (error: unknown) => (error as Error).cause as { readonly code?: string } | undefined

describe.runIf(there)('a role', () => {
  test('opens in a schema in which it may create, whatever it may in the database', async () => {
    const { name, admin, openAs } = await setup()
    await admin.query(`create schema ${name}`)
    await admin.query(`grant usage, create on schema ${name} to ${name}`)

    const engine = await openAs(name)
    const { resource } = await handleOf(engine, 'sessions').create({})

    expect(resource.status).toBe('queued')
    expect((await admin.query(`select count(*)::int from ${name}.pawl_events`)).rows).toEqual([
      { count: 1 },
    ])
  })

  test('that may not create the schema is told how that can be had', async () => {
    const { name, openAs } = await setup()

    const error = await caught(() => openAs(name))

    expect(viewOf(error)).toMatchObject({
      ...{ code: 'storage_failed', operation: 'open', retryable: false },
      message: `open: the role "${name}" may not create the schema "${name}"; have it created for it, or grant it create on the database`,
    })
    expect(causeOf(error)?.code).toBe('42501')
  })

  test('that may not create tables in the schema is told so', async () => {
    const { name, admin, openAs } = await setup()
    await admin.query(`create schema ${name}`)
    await admin.query(`grant usage on schema ${name} to ${name}`)

    const error = await caught(() => openAs(name))

    expect(viewOf(error)).toMatchObject({
      ...{ code: 'storage_failed', operation: 'open' },
      message: `open: the role "${name}" may not create or change tables in the schema "${name}" (permission denied for schema ${name}); grant it create on the schema, or have the owner of its tables open it first`,
    })
    expect(causeOf(error)?.code).toBe('42501')
  })

  test('that may read and write rows only works once somebody else has made the tables', async () => {
    const { name, admin, openAs } = await setup()
    await openAs('postgres')
    await admin.query(`grant usage on schema ${name} to ${name}`)
    await admin.query(
      `grant select, insert, update, delete on all tables in schema ${name} to ${name}`,
    )

    const engine = await openAs(name)
    await engine.start()
    const sessions = handleOf(engine, 'sessions')
    const { resource } = await sessions.create({})
    await engine.transaction((tx) => handleOf(tx, 'sessions').send(resource.id, { type: 'start' }))
    const stop = new AbortController()
    const seen: string[] = []
    await engine.consume('c', { from: 'start', signal: stop.signal }, async ({ type }, { tx }) => {
      seen.push(type)
      await handleOf(tx, 'sessions').list()
      if (seen.length === 2) stop.abort()
    })
    await engine.prune({ events: '30d' })

    expect(seen).toEqual(['session.queued', 'session.running'])
    expect((await engine.verify()).differences).toEqual([])
  })

  test('that may not use the tables hears what the server says', async () => {
    const { name, admin, openAs } = await setup()
    await openAs('postgres')
    await admin.query(`grant usage, create on schema ${name} to ${name}`)

    expect(await failureOf(openAs(name))).toMatchObject({
      ...{ code: 'storage_failed', operation: 'open' },
      message: 'open: (42501) permission denied for table pawl_migrations',
    })
  })

  test('that there is not hears what the server says', async () => {
    const { name, openAs } = await setup()

    expect(await failureOf(openAs(`${name}_not`))).toMatchObject({
      ...{ code: 'storage_failed', operation: 'open' },
      message: `open: (28000) role "${name}_not" does not exist`,
    })
  })

  test('opens many engines at once, of which one makes the tables', async () => {
    const { name, admin, openAs } = await setup()
    await admin.query(`create schema authorization ${name}`)

    const engines = await Promise.all(Array.from({ length: 4 }, () => openAs(name)))

    expect(engines).toHaveLength(4)
  })
})

describe('postgres()', () => {
  const given = (connection: unknown, options?: unknown) => () =>
    postgres(connection as Pool, options as object)
  const query = async () => ({ rows: [] })
  const connect = async () => ({ query, release: () => {} })
  const end = async () => {}

  test.each<[string, unknown, string]>([
    ['an address', 'postgres://u:SECRET@h/d', 'is an address by itself; give { connectionString }'],
    [
      ...['a URL', new URL('postgres://u:SECRET@h/d')],
      'is an address by itself; give { connectionString }',
    ] as [string, URL, string],
    ['nothing', null, 'has to be a pool of pg, or options such as { connectionString }'],
    ['a list', [], 'has to be a pool of pg, or options such as { connectionString }'],
    ['a client', new pg.Client(), 'is a client; give a pool'],
    [
      ...['an address that is not set', { connectionString: undefined }],
      'connectionString: has to be a text, and is of type undefined',
    ] as [string, object, string],
    [
      ...['an address that is empty', { connectionString: '' }],
      'connectionString: has to be a text, and is empty',
    ] as [string, object, string],
    [
      ...['an address that is no text', { connectionString: { SECRET: 1 } }],
      'connectionString: has to be a text, and is of type object',
    ] as [string, object, string],
  ])('refuses %s', async (_, connection, message) => {
    const error = await failureOf(given(connection))

    expect(error.code).toBe('invalid_input')
    expect(error.message).toBe(`the connection of postgres is not valid: ${message}`)
  })

  test('refuses what cannot be read', async () => {
    const connection = {
      get connect() {
        throw new Error('no')
      },
    }

    expect(await failureOf(given(connection))).toMatchObject({ code: 'invalid_input' })
  })

  test.each([null, 5, 'pawl', ['pawl']])('refuses %j as options', async (options) => {
    expect(await failureOf(given({}, options))).toMatchObject({ code: 'invalid_input' })
  })

  test.each(['', 5, null, 'x'.repeat(64), 'a\0b', 'pg_', 'pg_pawl'])(
    'refuses the schema %j',
    async (schema) => {
      const error = await failureOf(given({}, { schema }))

      expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['schema'] }] })
    },
  )

  test('reports all issues of the options at once', async () => {
    const error = await failureOf(given({}, { schema: 'pg_x', shema: 'pawl' }))

    expect(error.message).toMatchInlineSnapshot(
      `"the options of postgres are not valid: shema: does not exist (options: schema); schema: has to be the name of a schema, 1 to 63 bytes long, that does not begin with "pg_""`,
    )
  })

  test.each([
    ['options', {}],
    ['an address', { connectionString: 'postgres://h/d' }],
    ['a pool', new pg.Pool()],
    ['what connects like a pool', { connect, end }],
  ])('takes %s', (_, connection) => {
    const source = postgres(connection, { schema: 'PG_x "quoted"' })

    expect(source).toMatchObject({ open: expect.any(Function) })
  })
})

describe.each(['postgres://u:SECRET@h/d', 'PostgreSQL://u:SECRET@h/d', ' postgres:SECRET'])(
  'the address %j',
  (address) => {
    test('is no path of a database, and is not shown', async () => {
      const error = await failureOf(createEngine({ database: address }))

      expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['database'] }] })
      expect(error.message).toContain('postgres({ connectionString }) of pawl/postgres')
      expect(JSON.stringify(error)).not.toContain('SECRET')
    })

    test('is neither the source nor the target of a copy, and is not shown', async () => {
      const errors = [
        await failureOf(copy(address, postgres({}))),
        await failureOf(copy('app.db', address as never)),
      ]

      expect(errors).toMatchObject([{ code: 'invalid_input' }, { code: 'invalid_input' }])
      expect(errors[1]?.message).toContain('postgres({ connectionString })')
      expect(JSON.stringify(errors)).not.toContain('SECRET')
    })
  },
)

test.runIf(there)('the schema of the application may be that of pawl as well', async () => {
  const { pool, schema, database } = await setupSchema()
  const client = await pool.connect()
  await client.query({ text: `create schema ${schema}` })
  await client.query({ text: `create table ${schema}.notes (id text)` })
  client.release()

  const engine = (await createEngine({ database, delivery: OFFLINE })) as unknown as AnyEngine
  onTestFinished(() => engine.close())

  expect((await handleOf(engine, 'sessions').create({})).resource.status).toBe('queued')
})
