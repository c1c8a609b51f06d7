/** How long is waited for a connection that is free, and for a lock? @module */

import { type Pool, type PooledClient, type Session, sessionOn } from './session.ts'

/** A connection that has been taken from a pool. */
export interface Taken {
  readonly client: PooledClient
  readonly session: Session
  /** Gives it back; with true, it is closed instead. */
  giveBack(destroy: boolean): void
}

/** Takes a connection once there is one, until a time by `performance.now()`: whoever has them all may keep them. */
export async function connect(pool: Pool, end: number): Promise<Taken> {
  const client = await inTime(pool.connect(), end)
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

function inTime(connecting: Promise<PooledClient>, end: number): Promise<PooledClient> {
  return new Promise((resolve, reject) => {
    let isLate = false
    const giveUp = () => {
      isLate = true
      reject(new Error('timeout: no connection of the pool has become free'))
    }
    const wait = Math.max(end - performance.now(), CONNECTING_MS)
    const timeout = setTimeout(giveUp, Math.min(wait, LONGEST_MS))
    connecting.then(
      (client) => {
        clearTimeout(timeout)
        if (isLate) client.release()
        else resolve(client)
      },
      (error) => {
        clearTimeout(timeout)
        reject(error)
      },
    )
  })
}

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
