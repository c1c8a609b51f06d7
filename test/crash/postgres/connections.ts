/** How does an application connect to PostgreSQL? @module */

import pg from 'pg'
import type {
  ClientQuery,
  ClientResult,
  Pool,
  PooledClient,
} from '../../../src/store/postgres/session.ts'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** The server of this machine, which others use as well. */
export const SHARED: Address = { host: '127.0.0.1', port: 5432 }

/** A pool of an application, whose own tables are in a schema; its connections bear the name of that. */
export function createPool(schema: string, given: Partial<pg.PoolConfig> = {}): pg.Pool {
  const { options = '', ...others } = given
  const pool = new pg.Pool({
    ...{ ...SHARED, user: 'postgres', database: 'postgres', application_name: schema },
    ...{ options: `-c search_path=${schema} ${options}`, ...others },
  })
  pool.on('error', () => {})
  return pool
}

/** What `postgres` takes. */
export function asPool(pool: pg.Pool): Pool {
  return pool as unknown as Pool
}

/** A pool whose queries somebody else sends, or something in their place. */
export function through(
  pool: Pool,
  send: (client: PooledClient, query: ClientQuery) => Promise<ClientResult>,
): Pool {
  const connect: Pool['connect'] = async () => {
    const client = await pool.connect()
    return {
      ...('pipeline' in client && { pipeline: client.pipeline === true }),
      query: (query) => send(client, query),
      release: (destroy) => client.release(destroy),
      on: (event, listener) => client.on?.(event, listener),
      off: (event, listener) => client.off?.(event, listener),
    }
  }
  return { connect, end: () => pool.end() }
}

/** Whether a statement begins a transaction that may write. */
export const isBegin = (text: string): boolean =>
  text.startsWith('begin isolation level read committed')

/** Whether a statement ends a transaction and keeps what was written. */
export const isCommit = (text: string): boolean => text === 'commit'
