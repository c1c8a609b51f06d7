/** How is a connection to PostgreSQL cut at just that place? @module */

import { onTestFinished } from 'vitest'
import type { ClientQuery, Pool } from '../../../src/store/postgres/session.ts'
import { createProxy } from '../../support/receivers.ts'
import { type Address, asPool, createPool, SHARED } from './servers.ts'

/** A place to cut a connection at: so many bytes, in both directions together, after a statement has begun to be sent. */
export interface Cut {
  readonly at: (text: string) => boolean
  readonly bytes: number
}

/** How many bytes the statement `commit` has, and its answer. */
export const COMMIT_BYTES = { sent: 12, answered: 18 } as const

export const isCommit = (text: string): boolean => text === 'commit'
export const isBegin = (text: string): boolean =>
  text.startsWith('begin isolation level read committed')

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
export async function setupCutPool(schema: string, target: Address = SHARED): Promise<CutPool> {
  const proxy = await createProxy(target)
  const pool = createPool(schema, { host: target.host, port: proxy.port, max: 1 })
  onTestFinished(async () => {
    await pool.end()
    await proxy.close()
  })
  let next: Cut | null = null
  let lost = 0
  const query = async (client: Awaited<ReturnType<Pool['connect']>>, config: ClientQuery) => {
    const { text } = config
    // What is cut before the commit may be anywhere before it, but not within.
    if (isCommit(text)) await proxy.mode('pass')
    if (next?.at(text)) {
      await proxy.mode('cut', next.bytes)
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
    pool: {
      connect: async () => {
        const client = await asPool(pool).connect()
        return {
          query: (config) => query(client, config),
          release: (destroy) => client.release(destroy),
          on: (event, listener) => client.on?.(event, listener),
          off: (event, listener) => client.off?.(event, listener),
        }
      },
      end: () => pool.end(),
    },
    cutNext: (cut) => {
      next = cut
    },
    isWaiting: () => next !== null,
    lost: () => lost,
  }
}
