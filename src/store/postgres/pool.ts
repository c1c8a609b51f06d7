/** How is a pool of connections to PostgreSQL opened? @module */

import pg from 'pg'
import type { Pool } from './session.ts'

/** Opens a pool; a connection that is lost while nobody uses it is replaced by the next one that is needed. */
export function createPool(config: pg.PoolConfig): Pool {
  // A transaction is a few queries, most of which need no answer before the next one is sent.
  const pool = new pg.Pool({ pipeline: true, ...config })
  pool.on('error', () => {})
  // As much of it as a store uses.
  return pool as unknown as Pool
}
