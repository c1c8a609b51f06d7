/** Which PostgreSQL do tests use? The server of this machine or, where there is none, one within the process. */

import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { type Pool, postgres } from '../../src/postgres.ts'
import type { ClientQuery, ClientResult } from '../../src/store/postgres/session.ts'
import type { Later } from '../store/rows.ts'

const SERVER = {
  ...{ host: '127.0.0.1', port: 5432, user: 'postgres', database: 'postgres', max: 16 },
  // Nothing here is to survive a power cut.
  ...{ connectionTimeoutMillis: 5000, options: '-c synchronous_commit=off' },
}

let inProcess: Promise<Pool> | undefined

/** Whether there is a server; where there has to be one, its absence may not go unnoticed. */
export async function isServer(): Promise<boolean> {
  const client = new pg.Client(SERVER)
  try {
    await client.connect()
    return true
  } catch (error) {
    if (process.env.PAWL_POSTGRES === 'server') throw error
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
    const pool = new pg.Pool({ ...SERVER, options: `${SERVER.options} -c search_path=${schema}` })
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
    return { rows, rowCount: affectedRows ?? rows.length, ...(command && { command }) }
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
  const schema = `test_${randomBytes(8).toString('hex')}`
  const pool = await openPool(schema, later)
  later(async () => {
    const client = await pool.connect()
    await client.query({ text: `drop schema if exists ${schema} cascade` })
    client.release()
  })
  return { pool, schema, database: postgres(pool, { schema }) }
}
