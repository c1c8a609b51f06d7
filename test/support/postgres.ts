/** Which PostgreSQL do tests use? The server of this machine or, where there is none, one within the process. */

import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { type Pool, postgres } from '../../src/postgres.ts'
import type { ClientQuery, ClientResult } from '../../src/store/postgres/session.ts'
import type { Later } from '../store/rows.ts'

const SERVER = {
  ...{ host: '127.0.0.1', port: 5432, user: 'postgres', database: 'postgres', max: 8 },
  // Nothing here is to survive a power cut.
  ...{ connectionTimeoutMillis: 5000, options: '-c synchronous_commit=off' },
}

/** Drops what tests have left behind of which the names begin like this. */
export async function dropSchemas(beginning: string): Promise<void> {
  const client = new pg.Client(SERVER)
  try {
    await client.connect()
  } catch {
    // What was within the process is gone with it.
    return
  }
  const { rows } = await client.query(
    'select nspname from pg_namespace where starts_with(nspname, $1)',
    [beginning],
  )
  for (const { nspname } of rows) await client.query(`drop schema if exists ${nspname} cascade`)
  await client.end()
}

let inProcess: Promise<Pool> | undefined

/** Whether there is a server; where there has to be one, its absence may not go unnoticed. */
export async function isServer(): Promise<boolean> {
  if (process.env.PAWL_NO_SERVER) return false
  const client = new pg.Client(SERVER)
  try {
    await client.connect()
    return true
  } catch (error) {
    if (process.env.CI || process.env.PAWL_POSTGRES === 'server') throw error
    return false
  } finally {
    await client.end()
  }
}

let found: Promise<boolean> | undefined

/** A pool whose connections find the application's own tables in a schema. */
async function openPool(schema: string, later: Later): Promise<Pool> {
  found ??= isServer()
  if (await found) {
    const options = `${SERVER.options} -c search_path=${schema}`
    const pool = new pg.Pool({ ...SERVER, options, allowExitOnIdle: true })
    pool.on('error', () => {})
    later(() => pool.end())
    return pool as unknown as Pool
  }
  inProcess ??= openInProcess()
  const pool = await inProcess
  const connect = async () => {
    const client = await pool.connect()
    await client.query({ text: `set search_path to ${schema}` })
    return client
  }
  return { ...pool, connect }
}

/** A pool whose one connection is taken in turn. */
async function openInProcess(): Promise<Pool> {
  const database = await PGlite.create()
  let free: Promise<void> = Promise.resolve()
  const query = async ({ text, values = [] }: ClientQuery): Promise<ClientResult> => {
    if (values.length === 0 && text.includes(';')) {
      await database.exec(text)
      return { rows: [] }
    }
    const { rows, affectedRows, command } = (await database.query(text, values as never[], {
      parsers: PARSERS,
      serializers: SERIALIZERS,
    })) as never as { rows: unknown[]; affectedRows?: number; command?: string }
    return { rows, rowCount: rows.length || (affectedRows ?? 0), ...(command && { command }) }
  }
  return {
    connect: async () => {
      const before = free
      let release = () => {}
      free = new Promise((resolve) => {
        release = resolve
      })
      await before
      return { query, release }
    },
    end: () => database.close(),
  }
}

const PARSERS = {
  17: (text: string) => Buffer.from(text.slice(2), 'hex'),
  20: Number,
  114: (text: string) => text,
}

const SERIALIZERS = {
  17: (value: Uint8Array) => `\\x${Buffer.from(value).toString('hex')}`,
  114: (value: string) => value,
}

/** A new schema that is dropped when the test is over, or later. */
export async function setupSchema(later: Later = onTestFinished) {
  const schema = newName()
  const pool = await openPool(schema, later)
  later(() => run(pool, `drop schema if exists ${schema} cascade`))
  return { pool, schema, database: postgres(pool, { schema }) }
}

// Those of one run begin alike: when it is over, what is left of them goes.
const newName = () => `test_${process.env.PAWL_TEST_RUN ?? ''}${randomBytes(8).toString('hex')}`

async function run(pool: Pool, ...statements: readonly string[]): Promise<void> {
  const client = await pool.connect()
  for (const text of statements) await client.query({ text })
  client.release()
}

type Database = ReturnType<typeof postgres>

const emptied: { readonly pool: Pool; readonly schema: string; readonly database: Database }[] = []

/** A schema with nothing in it, which others may have used before: to make one takes ten times as long as to empty it. */
export async function borrowDatabase(later: Later = onTestFinished): Promise<Database> {
  const one = emptied.pop() ?? (await setupSchema(() => {}))
  later(async () => {
    // Where no engine was opened, there is nothing to be emptied.
    if (await hasTables(one)) await run(one.pool, ...emptying(one.schema))
    emptied.push(one)
  })
  return one.database
}

async function hasTables({ pool, schema }: Pick<(typeof emptied)[number], 'pool' | 'schema'>) {
  const client = await pool.connect()
  const text = 'select to_regclass($1) as found'
  const { rows } = await client.query({ text, values: [`${schema}.pawl_log`] })
  client.release()
  return (rows as readonly { readonly found: unknown }[])[0]?.found !== null
}

// Whatever refers to something else goes first.
const TABLES = [
  ...['attempts', 'deliveries', 'destinations', 'parked', 'consumers', 'outcomes', 'secrets'],
  ...['references', 'timers', 'bases', 'events', 'resources', 'machines'],
]

const emptying = (schema: string) => [
  ...TABLES.map((table) => `delete from ${schema}.pawl_${table}`),
  // What is counted begins anew, as some tests tell rows by that.
  ...['timers', 'destinations'].map((table) => {
    return `alter table ${schema}.pawl_${table} alter column position restart`
  }),
  `update ${schema}.pawl_dispatch set position = 0, within = 0, revision = 0`,
  `update ${schema}.pawl_log set pruned = 0, head = 0, resources = 0, identity = left(md5(random()::text), 16)`,
  `drop table if exists ${schema}.notes`,
]
