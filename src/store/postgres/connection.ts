/** How does an engine use a pool: in transactions, again when one was lost, and not after its end? @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import { setMaxListeners } from 'node:events'
import { closed, isPawlError } from '../../errors.ts'
import { goesAround } from '../misuse.ts'
import type { Durability } from '../store.ts'
import { type Retry, untilDone } from './again.ts'
import { indeterminate, isDisconnected, isUndone } from './failures.ts'
import { type Pool, type Session, untilFailure } from './session.ts'
import { connect, type Taken, waitingFor, YIELD_AFTER_MS } from './waiting.ts'

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
  write<T>(work: Work<T>): Promise<T>
  /** The same for what reads before it writes, so that it need not wait for the beginning. */
  plan<T>(work: Whole<T>): Promise<T>
  /** Begins a transaction that lasts. */
  take(): Promise<Taken>
  /** Runs work that belongs to a transaction. */
  inside<T>(token: Token, work: () => Promise<T>): Promise<T>
  /** Throws `closed` after the end, and `transaction_misuse` in work that belongs to a transaction that is open. */
  requireAccess(): void
  close(): void
}

const VIEW: Beginning = {
  ...{ begin: 'begin isolation level repeatable read read only', isAhead: true, isKept: false },
}

// Locks make sure that what has been read holds, not the isolation.
const WHOLE = 'begin isolation level read committed'

const RELAXED = 'set local synchronous_commit = off'

// Where the server waits for nothing on its own, it does here; where it waits for its replicas, it goes on to.
const FULL = `select set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), true)`

// A process that is frozen in the middle of a batch holds the end of the log: its connection is ended.
const FROZEN = 'set local idle_in_transaction_session_timeout = 5000'

// PostgreSQL keeps the plans of prepared statements. One made while a table was small would read all of it for ever,
// where nobody analyzes: each of those that plans run has an index for what it looks up.
const BY_INDEX = 'set local enable_seqscan = off'

/** Uses a pool. */
export function createConnection(pool: Pool, durability: Durability, timeout: number): Connection {
  const whole = `${WHOLE}; ${durability === 'full' ? FULL : RELAXED}`
  const begin = `${whole}; ${waitingFor(Math.min(timeout, YIELD_AFTER_MS))}; ${FROZEN}`
  const batch = { begin, isAhead: false, isKept: true }
  const planned = { begin: `${begin}; ${BY_INDEX}`, isAhead: true, isKept: false }
  const lasting = `${whole}; ${waitingFor(timeout)}`
  const belonging = new AsyncLocalStorage<Token>()
  const closing = new AbortController()
  // As many as wait for a connection.
  setMaxListeners(0, closing.signal)
  const isClosed = () => closing.signal.aborted
  const again = <T>(operation: string, attempt: (free: Free) => Promise<T>): Promise<T> => {
    const retry: Retry = { operation, end: performance.now() + timeout, isOver: isClosed }
    return untilDone(retry, () => attempt(() => connect(pool, retry.end, closing.signal)))
  }
  return {
    timeout,
    read: (operation, work) => again(operation, (free) => using(free, work)),
    view: (operation, work) => again(operation, (free) => bracketed(free, VIEW, work)),
    write: (work) => again('write', (free) => bracketed(free, batch, work)),
    plan: (work) => again('write', (free) => bracketed(free, planned, work)),
    take: () => again('transaction', (free) => taken(free, lasting)),
    inside: (token, work) => belonging.run(token, work),
    requireAccess: () => {
      if (isClosed()) throw closed()
      if (belonging.getStore()?.active) throw goesAround()
    },
    close: () => closing.abort(),
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
    giveBack(isDisconnected(error))
    throw error
  }
}

/**
 * Does work in a transaction: what throws is undone, and nothing is sent after that. `isAhead` sends the first queries
 * along with the beginning, which may fail: outside of a transaction, they may do no harm.
 */
async function bracketed<T>(free: Free, beginning: Beginning, work: Whole<T>): Promise<T> {
  const { begin, isAhead, isKept } = beginning
  const { session, giveBack } = await free()
  const sure = untilFailure(session)
  let committing: Promise<void> | null = null
  let isOver = false
  const commitOnce = (): Promise<void> => {
    committing ??= commit(sure).then(() => {})
    return committing
  }
  try {
    const begun = sure.once(begin)
    if (!isAhead) await begun
    const result = await both(begun, work(sure, commitOnce))
    if (isKept) await commitOnce()
    // What has come to nothing is as good as the answer to it, whatever becomes of the connection.
    isOver = committing !== null || (await isRolledBack(session, undefined))
    return result
  } catch (error) {
    const uncommitted = await errorOf(committing)
    isOver = !isDisconnected(error) && (await isRolledBack(session, uncommitted))
    const isSure = committing === null || isUndone(error) || isUndone(uncommitted)
    // What led here is what the caller has to hear of.
    throw isDisconnected(error) && !isSure ? indeterminate(error) : error
  } finally {
    giveBack(!isOver)
  }
}

/** How a transaction begins. */
interface Beginning {
  readonly begin: string
  readonly isAhead: boolean
  /** Whether it is committed even if the work has not done that. */
  readonly isKept: boolean
}

/** Waits for both, whatever becomes of each: nothing of them may come later. */
async function both<T>(begun: Promise<unknown>, work: Promise<T>): Promise<T> {
  const [first, second] = await Promise.allSettled([begun, work])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  return second.value
}

/** Waits for something; gives the error that came of it. */
async function errorOf(awaited: Promise<void> | null): Promise<unknown> {
  try {
    await awaited
    return undefined
  } catch (error) {
    return error
  }
}

/** Undoes a transaction, unless its commit may be under way; tells whether the connection can be used again. */
async function isRolledBack(session: Session, uncommitted: unknown): Promise<boolean> {
  if (isPawlError(uncommitted, 'indeterminate')) return false
  return (await errorOf(session.once('rollback').then(() => {}))) === undefined
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
