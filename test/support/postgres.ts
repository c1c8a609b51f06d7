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

let opened: Promise<Pool> | undefined

/** A pool on the server; on one within the process where there is none. */
export function openPool(): Promise<Pool> {
  opened ??= connect()
  return opened
}

async function connect(): Promise<Pool> {
  const pool = new pg.Pool({ ...SERVER, allowExitOnIdle: true })
  pool.on('error', () => {})
  try {
    await pool.query('select 1')
    return pool as unknown as Pool
  } catch (error) {
    await pool.end()
    // Where there has to be one, its absence may not go unnoticed.
    if (process.env.PAWL_POSTGRES === 'server') throw error
    return inProcess()
  }
}

/** Whether tests run on a server: what is in the process has one connection only. */
export async function isServer(): Promise<boolean> {
  return (await openPool()) instanceof pg.Pool
}

/** A pool whose one connection is taken in turn. */
async function inProcess(): Promise<Pool> {
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
  const pool = await openPool()
  const schema = `test_${randomBytes(8).toString('hex')}`
  later(async () => {
    const client = await pool.connect()
    await client.query({ text: `drop schema if exists ${schema} cascade` })
    client.release()
  })
  return { pool, schema, database: postgres(pool, { schema }) }
}
