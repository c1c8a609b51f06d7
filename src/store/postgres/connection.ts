/** How does an engine use a pool: in transactions, again when one was lost, and not after its end? @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import { closed } from '../../errors.ts'
import { goesAround } from '../misuse.ts'
import type { Durability } from '../store.ts'
import { type Retry, untilDone } from './again.ts'
import { indeterminate, isConflict, isDisconnected } from './failures.ts'
import { type Pool, type PooledClient, type Session, sessionOn } from './session.ts'

/** Work that needs a connection. */
export type Work<T> = (session: Session) => Promise<T>

/** A transaction that is open as long as this says. */
export interface Token {
  active: boolean
}

/** A connection that has been taken for a transaction, which has begun. */
export interface Taken {
  readonly client: PooledClient
  readonly session: Session
  /** Gives it back; with true, it is closed instead. */
  giveBack(destroy: boolean): void
}

/** A pool, as one engine uses it. */
export interface Connection {
  /** Reads, each statement for itself. */
  read<T>(operation: string, work: Work<T>): Promise<T>
  /** Reads from one consistent view. */
  view<T>(operation: string, work: Work<T>): Promise<T>
  /** Writes in one transaction, which is done again when it loses against another one. */
  write<T>(work: Work<T>): Promise<T>
  /** Begins a transaction that lasts. */
  take(): Promise<Taken>
  /** Runs work that belongs to a transaction. */
  inside<T>(token: Token, work: () => Promise<T>): Promise<T>
  /** Throws `closed` after the end, and `transaction_misuse` in work that belongs to a transaction that is open. */
  requireAccess(): void
  close(): void
}

const VIEW = 'begin isolation level repeatable read read only'

// Locks make sure that what has been read holds, not the isolation.
const WHOLE = 'begin isolation level read committed'

const RELAXED = 'set local synchronous_commit = off'

// Whoever holds the end of the log for long may wait for what a batch holds: the batch gives in, and is done again.
const YIELDING = 'set local lock_timeout = 250'

/** Uses a pool. `timeout` is how long to try in all, in milliseconds. */
export function createConnection(pool: Pool, durability: Durability, timeout: number): Connection {
  const whole = durability === 'full' ? WHOLE : `${WHOLE}; ${RELAXED}`
  const belonging = new AsyncLocalStorage<Token>()
  let isClosed = false
  const again = <T>(operation: string, attempt: () => Promise<T>): Promise<T> => {
    const retry: Retry = { operation, end: performance.now() + timeout, isOver: () => isClosed }
    return untilDone(retry, attempt)
  }
  return {
    read: (operation, work) => again(operation, () => using(pool, work)),
    view: (operation, work) => again(operation, () => bracketed(pool, VIEW, work)),
    write: (work) => again('write', () => bracketed(pool, `${whole}; ${YIELDING}`, work)),
    take: () => again('transaction', () => taken(pool, whole)),
    inside: (token, work) => belonging.run(token, work),
    requireAccess: () => {
      if (isClosed) throw closed()
      if (belonging.getStore()?.active) throw goesAround()
    },
    close: () => {
      isClosed = true
    },
  }
}

/** Does work on a connection of its own. */
async function using<T>(pool: Pool, work: Work<T>): Promise<T> {
  const { session, giveBack } = await connect(pool)
  try {
    const result = await work(session)
    giveBack(false)
    return result
  } catch (error) {
    giveBack(isDisconnected(error))
    throw error
  }
}

/** Does work in a transaction: what throws is undone. */
function bracketed<T>(pool: Pool, begin: string, work: Work<T>): Promise<T> {
  return using(pool, async (session) => {
    await session.once(begin)
    let result: T
    try {
      result = await work(session)
    } catch (error) {
      // What led here is what the caller has to hear of.
      if (!isDisconnected(error)) await session.once('rollback').catch(() => {})
      throw error
    }
    await commit(session)
    return result
  })
}

/** Commits; whatever goes wrong may have come after the commit, but for a conflict. False where an error had undone it. */
export async function commit(session: Session): Promise<boolean> {
  try {
    return (await session.once('commit')).command !== 'ROLLBACK'
  } catch (error) {
    throw isConflict(error) ? error : indeterminate(error)
  }
}

async function taken(pool: Pool, begin: string): Promise<Taken> {
  const one = await connect(pool)
  try {
    await one.session.once(begin)
    return one
  } catch (error) {
    one.giveBack(true)
    throw error
  }
}

const NOTHING = (): void => {}

async function connect(pool: Pool): Promise<Taken> {
  const client = await pool.connect()
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
