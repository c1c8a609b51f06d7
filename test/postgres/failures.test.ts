/** What does a caller hear of what PostgreSQL, or the way to it, says? */

import { sql } from 'kysely'
import { createEngine } from 'pawl'
import { postgres } from 'pawl/postgres'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  codeOf,
  isDisconnected,
  isUndone,
  Overtaken,
  storageError,
  Unsent,
} from '../../src/store/postgres/failures.ts'
import { type AnyEngine, handleOf } from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { OFFLINE } from '../support/offline.ts'
import { isServer, setupSchema } from '../support/postgres.ts'

const there = await isServer()

/** An error of the server, or of the network. */
const coded = (code: string, message = 'so it is') => Object.assign(new Error(message), { code })

const heard = (cause: unknown) => viewOf(storageError('write', cause))

describe('what pg says', () => {
  test.each([
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
    'Query read timeout',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'timeout: no connection of the pool has become free',
  ])('of a connection that is lost may be tried again: %s', (text) => {
    const error = new Error(text)

    expect(isDisconnected(error)).toBe(true)
    expect(heard(error)).toMatchObject({
      ...{ code: 'storage_busy', retryable: true },
      message: `write: the database stayed busy or could not be reached; try again: ${text.replace('timeout: ', '')}`,
    })
  })

  test.each([
    'The server does not support SSL connections',
    'There was an error establishing an SSL connection',
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string',
    'Password must be a string',
    'Cannot use a pool after calling end on the pool',
  ])('of one that cannot be had is not tried again: %s', (text) => {
    const error = new Error(text)

    expect(isDisconnected(error)).toBe(false)
    expect(heard(error)).toMatchObject({ code: 'storage_failed', message: `write: ${text}` })
  })

  test('is nothing else that speaks of connections', () => {
    for (const text of ['my connection failed', 'a timeout', 'The client was closed for lunch']) {
      const error = new Error(text)
      expect(codeOf(error)).toBeUndefined()
      expect(storageError('write', error)).toBe(error)
    }
  })
})

describe('what the server says', () => {
  test.each(['22P02', '23505', '28P01', '3D000', '42501', '42P01'])(
    'of a query is passed on: %s',
    (code) => {
      const cause = coded(code, 'duplicate key value')
      const error = storageError('transaction', cause)

      expect(viewOf(error)).toMatchObject({
        ...{ code: 'storage_failed', message: `transaction: (${code}) duplicate key value` },
      })
      expect((error as Error).cause).toBe(cause)
    },
  )

  test.each([
    ['53100', 'storage_full', 'the disk of the database is full; make room and try again'],
    ['53200', 'storage_failed', 'the database could not be read or written'],
    ['53400', 'storage_failed', 'the database could not be read or written'],
    ['XX001', 'storage_corrupt', 'the database is damaged; restore a backup'],
    ...['53300', '57P03', '40001', '57014', '25P04', '25P03', 'ECONNREFUSED', 'EAI_AGAIN'].map(
      (code) => {
        const advice = 'the database stayed busy or could not be reached; try again'
        return [code, 'storage_busy', advice] as const
      },
    ),
  ] as const)('%s is %s, with the reason', (code, expected, advice) => {
    expect(heard(coded(code))).toMatchObject({
      ...{ code: expected, message: `write: ${advice} (${code}): so it is` },
    })
  })

  test('of a lock that is not to be had is said in other words', () => {
    const { message } = heard(coded('55P03', 'canceling statement due to lock timeout'))

    expect(message).toMatch(/\(55P03\): another transaction holds what it needs$/)
  })

  test('of a transaction that has taken too long leaves open whether it was committed', () => {
    expect(isDisconnected(coded('25P04'))).toBe(true)
    expect(isUndone(coded('25P04'))).toBe(false)
    expect(isUndone(coded('25P03'))).toBe(true)
  })

  test('of an earlier query is told of those that were not sent, and why others were faster', () => {
    const cause = coded('23505', 'duplicate key value')
    const error = storageError('write', new Unsent(new Unsent(cause)))

    expect(viewOf(error).message).toBe('write: (23505) duplicate key value')
    expect((error as Error).cause).toBe(cause)
    expect(heard(new Overtaken()).message).toMatch(/\(40001\): other transactions were faster$/)
  })

  test('is said of each address where a name has several', () => {
    const errors = ['connect ECONNREFUSED ::1:1', 'connect ECONNREFUSED 127.0.0.1:1']
    const several = errors.map((text) => new Error(text))
    const error = Object.assign(new AggregateError(several, 'none'), {
      ...{ code: 'ECONNREFUSED', message: '' },
    })

    expect(heard(error).message).toMatch(/\(ECONNREFUSED\): connect .*, connect ECONNREFUSED/)
  })
})

const open = (config: pg.PoolConfig, busyTimeout = 30_000) =>
  createEngine({ database: postgres(config), delivery: OFFLINE, busyTimeout })

const SECRET = 'SECRET'

test('a server that is not there is named, without the password', async () => {
  const connectionString = `postgres://postgres:${SECRET}@127.0.0.1:1/postgres`

  const error = await failureOf(open({ connectionString }, 100))

  expect(error).toMatchObject({ code: 'storage_busy', operation: 'open' })
  expect(error.message).toMatch(/^open: .*connect ECONNREFUSED 127\.0\.0\.1:1$/)
  expect(JSON.stringify(error)).not.toContain(SECRET)
})

test('an address that is none is refused, without the password', async () => {
  const error = await failureOf(open({ connectionString: `postgres://u:${SECRET}@h:port:port/d` }))

  expect(error).toMatchObject({ code: 'storage_failed', operation: 'open' })
  expect(JSON.stringify(error)).not.toContain(SECRET)
})

describe.runIf(there)('on a server', () => {
  const ADDRESS = { host: '127.0.0.1', port: 5432, user: 'postgres' }

  async function setup(busyTimeout = 30_000) {
    const { schema, database } = await setupSchema()
    const made = await createEngine({ database, delivery: OFFLINE })
    await made.close()
    const pool = new pg.Pool({ ...ADDRESS, database: 'postgres', max: 2 })
    const source = postgres(pool as never, { schema })
    const engine: unknown = await createEngine({ database: source, delivery: OFFLINE, busyTimeout })
    onTestFinished(async () => {
      await (engine as AnyEngine).close()
      if (!pool.ended) await pool.end()
    })
    return { engine: engine as AnyEngine, pool, schema }
  }

  test('a database that there is not is named', async () => {
    const error = await failureOf(open({ ...ADDRESS, database: 'pawl_nowhere' }))

    expect(error).toMatchObject({
      ...{ code: 'storage_failed', operation: 'open' },
      message: 'open: (3D000) database "pawl_nowhere" does not exist',
    })
  })

  test('a pool that has ended is not asked again', async () => {
    const { engine, pool } = await setup()
    await pool.end()

    const errors = await Promise.all([
      failureOf(handleOf(engine, 'sessions').create({})),
      failureOf(async () => handleOf(engine, 'sessions').list()),
      failureOf(engine.transaction((tx) => handleOf(tx, 'sessions').create({}))),
    ])

    for (const error of errors) {
      expect(error.code).toBe('storage_failed')
      expect(error.message).toMatch(/: Cannot use a pool after calling end on the pool$/)
    }
  })

  test('an error of a query of the application is what the server says', async () => {
    const { engine, schema } = await setup()
    const table = sql.table(`${schema}.notes`)

    const error = await caught(() =>
      engine.transaction(async (tx) => {
        await sql`create table ${table} (id text primary key)`.execute(tx.db)
        await sql`insert into ${table} values ('a'), ('a')`.execute(tx.db)
      }),
    )

    expect(viewOf(error)).toMatchObject({
      ...{ code: 'storage_failed', operation: 'transaction' },
      message: 'transaction: (23505) duplicate key value violates unique constraint "notes_pkey"',
    })
    expect((error as Error).cause).toMatchObject({ code: '23505' })
  })

  test('a pool without a free connection, and a lock that is held, say so', async () => {
    const { engine, pool, schema } = await setup(200)
    const clients = [await pool.connect(), await pool.connect()]
    const create = () => handleOf(engine, 'sessions').create({})

    const crowded = await failureOf(create)
    clients[1]?.release()
    await clients[0]?.query(`begin; lock table ${schema}.pawl_log`)
    const held = await failureOf(create)
    await clients[0]?.query('rollback')
    clients[0]?.release()

    expect([crowded.code, held.code]).toEqual(['storage_busy', 'storage_busy'])
    expect(crowded.message).toMatch(/; try again: no connection of the pool has become free$/)
    expect(held.message).toMatch(/\(55P03\): another transaction holds what it needs$/)
  })
})
