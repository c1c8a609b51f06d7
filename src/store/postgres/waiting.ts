/** How long is waited for a connection that is free, and for a lock? @module */

import { closed } from '../../errors.ts'
import { type Pool, type PooledClient, type Session, sessionOn } from './session.ts'

/** A connection that has been taken from a pool. */
export interface Taken {
  readonly client: PooledClient
  readonly session: Session
  /** Gives it back; with true, it is closed instead. */
  giveBack(destroy: boolean): void
}

/**
 * Takes a connection once there is one, until a time by `performance.now()`: whoever has them all may keep them. Throws
 * `closed` once the signal is aborted: a pool that is ended forgets who waits.
 */
export async function connect(pool: Pool, end: number, closing: AbortSignal): Promise<Taken> {
  if (closing.aborted) throw closed()
  const client = await inTime(pool.connect(), end, closing)
  // The query that was under way fails as well: without a listener, the process would end.
  client.on?.('error', NOTHING)
  return {
    client,
    session: sessionOn(client),
    giveBack: (destroy) => {
      client.off?.('error', NOTHING)
      client.release(destroy)
    },
  }
}

const NOTHING = (): void => {}

// To connect takes its time, also for those who wait for nobody.
const CONNECTING_MS = 1000

function inTime(
  connecting: Promise<PooledClient>,
  end: number,
  closing: AbortSignal,
): Promise<PooledClient> {
  return new Promise((resolve, reject) => {
    let isOver = false
    const settle = (settled: () => void): void => {
      isOver = true
      clearTimeout(timeout)
      closing.removeEventListener('abort', close)
      settled()
    }
    const close = () => settle(() => reject(closed()))
    const giveUp = () => settle(() => reject(new Error(NONE_FREE)))
    const wait = Math.max(end - performance.now(), CONNECTING_MS)
    const timeout = setTimeout(giveUp, Math.min(wait, LONGEST_MS))
    closing.addEventListener('abort', close)
    connecting.then(
      (client) => (isOver ? client.release() : settle(() => resolve(client))),
      (error) => settle(() => reject(error)),
    )
  })
}

const NONE_FREE = 'timeout: no connection of the pool has become free'

/** After so many milliseconds, whoever waits for a lock gives in: what it holds may be what keeps the others waiting. */
export const YIELD_AFTER_MS = 250

/** How long a transaction waits for a lock, in milliseconds. */
export function waitingFor(milliseconds: number): string {
  // PostgreSQL takes 0 for without end.
  const most = Math.min(Math.max(1, Math.ceil(milliseconds)), LONGEST_MS)
  return `set local lock_timeout = ${most}`
}

// Of timers, and of PostgreSQL's settings.
const LONGEST_MS = 2 ** 31 - 1
