/** How does an engine use a pool: in transactions, again when one was lost, and not after its end? @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import { closed, isPawlError } from '../../errors.ts'
import { goesAround } from '../misuse.ts'
import type { Durability } from '../store.ts'
import { type Retry, untilDone } from './again.ts'
import { indeterminate, isDisconnected, isUndone } from './failures.ts'
import type { Pool, Session } from './session.ts'
import { connect, type Taken, waitingFor } from './waiting.ts'

/** Work that needs a connection. */
export type Work<T> = (session: Session) => Promise<T>

/** Work in a transaction, which it may commit with its last queries, to wait once for all of them. */
export type Whole<T> = (session: Session, commit: () => Promise<void>) => Promise<T>

/** A transaction that is open as long as this says. */
export interface Token {
  active: boolean
}

/** A pool, as one engine uses it. */
export interface Connection {
  /** How long to try in all, in milliseconds. */
  readonly timeout: number
  /** Reads, each statement for itself. */
  read<T>(operation: string, work: Work<T>): Promise<T>
  /** Reads from one consistent view. */
  view<T>(operation: string, work: Work<T>): Promise<T>
  /** Writes in one transaction, which is done again when it loses against another one. */
  write<T>(work: Whole<T>): Promise<T>
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
const YIELD_AFTER_MS = 250

// A process that is frozen in the middle of a batch holds the end of the log: its connection is ended.
const FROZEN = 'set local idle_in_transaction_session_timeout = 5000'

/** Uses a pool. */
export function createConnection(pool: Pool, durability: Durability, timeout: number): Connection {
  const whole = durability === 'full' ? WHOLE : `${WHOLE}; ${RELAXED}`
  const batch = `${whole}; ${waitingFor(Math.min(timeout, YIELD_AFTER_MS))}; ${FROZEN}`
  const lasting = `${whole}; ${waitingFor(timeout)}`
  const belonging = new AsyncLocalStorage<Token>()
  let isClosed = false
  const again = <T>(operation: string, attempt: (free: Free) => Promise<T>): Promise<T> => {
    const retry: Retry = { operation, end: performance.now() + timeout, isOver: () => isClosed }
    return untilDone(retry, () => attempt(() => connect(pool, retry.end)))
  }
  return {
    timeout,
    read: (operation, work) => again(operation, (free) => using(free, work)),
    view: (operation, work) => again(operation, (free) => bracketed(free, VIEW, work)),
    write: (work) => again('write', (free) => bracketed(free, batch, work)),
    take: () => again('transaction', (free) => taken(free, lasting)),
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

/** Takes a connection. */
type Free = () => Promise<Taken>

/** Does work on a connection of its own. */
async function using<T>(free: Free, work: Work<T>): Promise<T> {
  const { session, giveBack } = await free()
  try {
    const result = await work(session)
    giveBack(false)
    return result
  } catch (error) {
    // After a commit that nobody has heard of, it may not be used again either.
    giveBack(isDisconnected(error) || isPawlError(error, 'indeterminate'))
    throw error
  }
}

/** Does work in a transaction: what throws is undone. */
function bracketed<T>(free: Free, begin: string, work: Whole<T>): Promise<T> {
  return using(free, async (session) => {
    let committing: Promise<void> | null = null
    const commitOnce = (): Promise<void> => {
      committing ??= commit(session).then(() => {})
      return committing
    }
    try {
      // Nothing waits for its answer: where it fails, so does all that comes after it.
      const begun = session.once(begin)
      const [result] = await Promise.all([work(session, commitOnce), begun])
      await commitOnce()
      return result
    } catch (error) {
      throw await undone(session, error, committing)
    }
  })
}

/** Undoes a transaction, and gives the error that led to it: one that may have come after the commit is uncertain. */
async function undone(
  session: Session,
  error: unknown,
  committing: Promise<void> | null,
): Promise<unknown> {
  if (isDisconnected(error)) return committing === null ? error : indeterminate(error)
  await committing?.catch(() => {})
  // What led here is what the caller has to hear of.
  await session.once('rollback').catch(() => {})
  return error
}

/** Commits; whatever goes wrong may have come after the commit, unless it says otherwise. False where an error had undone it. */
export async function commit(session: Session): Promise<boolean> {
  try {
    return (await session.once('commit')).command !== 'ROLLBACK'
  } catch (error) {
    throw isUndone(error) ? error : indeterminate(error)
  }
}

async function taken(free: Free, begin: string): Promise<Taken> {
  const one = await free()
  try {
    await one.session.once(begin)
    return one
  } catch (error) {
    one.giveBack(true)
    throw error
  }
}
