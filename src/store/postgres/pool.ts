/** How is a pool of connections to PostgreSQL opened? @module */

import type pg from 'pg'
import { messageOf, PawlError } from '../../errors.ts'
import type { Pool, PooledClient } from './session.ts'

/** Prepares a pool; `pg`, which only those need who have a server, is loaded with its first use. */
export function createPool(config: pg.PoolConfig): Pool {
  let opening: Promise<pg.Pool> | null = null
  return {
    connect: async () => {
      opening ??= open(config)
      // As much of it as a store uses.
      return (await (await opening).connect()) as unknown as PooledClient
    },
    end: async () => {
      const pool = await opening?.catch(() => undefined)
      await pool?.end()
    },
  }
}

/** Opens a pool; a connection that is lost while nobody uses it is replaced by the next one that is needed. */
async function open(config: pg.PoolConfig): Promise<pg.Pool> {
  const { Pool } = await load()
  // A transaction is a few queries, most of which need no answer before the next one is sent.
  const pool = new Pool({ pipeline: true, ...config })
  pool.on('error', () => {})
  return pool
}

async function load(): Promise<typeof pg> {
  try {
    return (await import('pg')).default
  } catch (error) {
    throw notLoaded(error)
  }
}

function notLoaded(cause: unknown): PawlError<'storage_failed'> {
  const isMissing = (cause as { readonly code?: unknown }).code === 'ERR_MODULE_NOT_FOUND'
  const reason = isMissing ? 'pg has to be installed: npm install pg' : messageOf(cause)
  return new PawlError('storage_failed', `open: ${reason}`, { operation: 'open' }, { cause })
}
