/** How is a connection to PostgreSQL cut at just that place? @module */

import type { PoolConfig } from 'pg'
import { onTestFinished } from 'vitest'
import type { ClientQuery, Pool, PooledClient } from '../../../src/store/postgres/session.ts'
import { createProxy } from '../../support/receivers.ts'
import { asPool, createPool, SHARED, through } from './connections.ts'

/** A place to cut a connection at: so many bytes, in both directions together, after a statement has begun to be sent. */
export interface Cut {
  readonly at: (text: string) => boolean
  readonly bytes: number
}

/** How many bytes the statement `commit` has, and its answer. */
export const COMMIT_BYTES = { sent: 12, answered: 18 } as const

/** A pool whose connections go through a proxy that cuts them. */
export interface CutPool {
  readonly pool: Pool
  /** Cuts the connection over which such a statement is sent next, and lets those after it pass. */
  cutNext(cut: Cut): void
  /** Whether a cut has been called for that no statement has come to yet. */
  isWaiting(): boolean
  /** How many connections have been lost. */
  lost(): number
}

/** Opens such a pool; it goes with the test. */
export async function setupCutPool(
  schema: string,
  given: Partial<PoolConfig> = {},
): Promise<CutPool> {
  const proxy = await createProxy(SHARED)
  const pool = createPool(schema, { ...given, port: proxy.port, max: 1 })
  onTestFinished(async () => {
    await pool.end()
    await proxy.close()
  })
  let next: Cut | null = null
  let lost = 0
  // Nothing is awaited before a query is sent: those that are sent ahead stay in order.
  const query = async (client: PooledClient, config: ClientQuery) => {
    if (next?.at(config.text)) {
      void proxy.mode('cut', next.bytes)
      next = null
    }
    try {
      return await client.query(config)
    } catch (error) {
      lost += 1
      await proxy.mode('pass')
      throw error
    }
  }
  return {
    pool: through(asPool(pool), query),
    cutNext: (cut) => {
      next = cut
    },
    isWaiting: () => next !== null,
    lost: () => lost,
  }
}
