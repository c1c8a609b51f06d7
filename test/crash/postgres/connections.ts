/** How does an application connect to PostgreSQL? @module */

import pg from 'pg'
import type { Pool } from '../../../src/store/postgres/session.ts'

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

/** Whether a statement ends a transaction and keeps what was written. */
export const isCommit = (text: string): boolean => text === 'commit'
