/** What do PostgreSQL's errors mean to a caller? @module */

import { type ErrorCode, isPawlError, messageOf, PawlError } from '../../errors.ts'

type StorageCode = Extract<ErrorCode, `storage_${string}`>

const ADVICE: Readonly<Record<StorageCode, string>> = {
  storage_busy: 'the database stayed busy or could not be reached; try again',
  storage_full: 'the disk of the database is full; make room and try again',
  storage_failed: 'the database could not be read or written',
  storage_corrupt: 'the database is damaged; restore a backup',
}

// What `pg` says of connections and pools has no code, but it says it in the same words each time. Of one that is lost,
// or that could not be had in time:
const LOST_TEXTS: ReadonlySet<string> = new Set([
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Query read timeout',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'timeout: no connection of the pool has become free',
])

// And of one that cannot be had, however often it is asked for.
const REFUSED_TEXTS: readonly RegExp[] = [
  /^SASL\b/,
  /^The server does not support SSL connections$/,
  /^There was an error establishing an SSL connection$/,
  /^Password must be a string$/,
  /^Cannot use a pool after calling end on the pool$/,
]

const [LOST, REFUSED] = ['connection', 'refused']

/** PostgreSQL's code of an error, or that of the connection to it; undefined for what is none. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if (error instanceof Unsent) return codeOf(error.cause)
  const { code } = error as { readonly code?: unknown }
  if (typeof code === 'string') return code
  if (LOST_TEXTS.has(error.message)) return LOST
  return REFUSED_TEXTS.some((text) => text.test(error.message)) ? REFUSED : undefined
}

const HELD = '55P03'

// A serialization failure, a deadlock, a lock that is not waited for.
const CONFLICTS: ReadonlySet<string> = new Set(['40001', '40P01', HELD])

/** Thrown where a transaction finds that another one has been faster. */
export class Overtaken extends Error {}

/** Thrown for a query that has not been sent, as one before it had failed: its cause. */
export class Unsent extends Error {
  constructor(cause: unknown) {
    super('a query before it has failed', { cause: causeOf(cause) })
  }
}

/** The error on account of which a query has not been sent; any other as it is. */
export function causeOf(error: unknown): unknown {
  return error instanceof Unsent ? error.cause : error
}

/** Whether one of pawl's own statements has not found what it was to change: it divides by zero, see `exactly`. */
export function hasMissed(error: unknown): boolean {
  return codeOf(error) === '22012'
}

/** Whether a transaction lost against another one: it may be done again at once. */
export function isConflict(error: unknown): boolean {
  return error instanceof Overtaken || CONFLICTS.has(codeOf(error) ?? '')
}

/** Whether the connection is gone, or there is none: a server that restarts comes back. */
export function isDisconnected(error: unknown): boolean {
  const code = codeOf(error)
  if (code === undefined) return false
  if (code === LOST || code.startsWith('08')) return true
  if (/^E(?:[A-Z]+|AI_AGAIN)$/.test(code)) return true
  return ENDED.has(code)
}

/**
 * Whether an error of a commit says that it has not happened: it lost, or was never begun, as something else had failed
 * or the connection had been lost before, or the server had waited for too long.
 */
export function isUndone(error: unknown): boolean {
  if (error instanceof Unsent || isConflict(error) || codeOf(error) === IDLE_FOR_TOO_LONG)
    return true
  return error instanceof Error && error.message.endsWith('is not queryable')
}

const IDLE_FOR_TOO_LONG = '25P03'

// The server shuts down, has crashed, starts, has no connection left, or has not been spoken to for too long; or the
// transaction has taken too long, which may be said of one whose commit has just happened.
const ENDED: ReadonlySet<string> = new Set([
  ...['57P01', '57P02', '57P03', '53300', '57P05', IDLE_FOR_TOO_LONG, '25P04'],
])

/** Turns what PostgreSQL or the connection throws into an error of the storage; leaves anything else as it is. */
export function storageError(operation: string, thrown: unknown): unknown {
  const cause = causeOf(thrown)
  const found = cause instanceof Overtaken ? '40001' : codeOf(cause)
  if (found === undefined || isPawlError(cause)) return cause
  const code = storageCode(cause, found)
  const message = `${operation}: ${said(code, found, cause)}`
  return new PawlError(code, message, { operation }, { cause })
}

function said(code: StorageCode, found: string, cause: unknown): string {
  const reason = reasonOf(found, cause)
  if (found === REFUSED) return reason
  if (ANSWERED.test(found)) return `(${found}) ${reason}`
  const shown = found === LOST ? '' : ` (${found})`
  return `${ADVICE[code]}${shown}${reason === '' ? '' : `: ${reason}`}`
}

// Data, constraints, rights to log in, databases, and the query itself: nothing is wrong with the storage.
const ANSWERED = /^(?:22|23|28|3D|42)[0-9A-Z]{3}$/

/** What the server or the network says; neither repeats a password. */
function reasonOf(found: string, cause: unknown): string {
  if (found === HELD) return 'another transaction holds what it needs'
  if (cause instanceof Overtaken) return 'other transactions were faster'
  // A name with several addresses: none of them answers.
  const isMany = cause instanceof AggregateError && cause.message === ''
  const reasons = isMany ? cause.errors.map(messageOf) : [messageOf(cause)]
  return reasons.join(', ').replace(/^timeout: /, '')
}

/** Whether a commit failed because of what was to be written, and not of the storage. */
export function brokeConstraint(error: unknown): boolean {
  return isPawlError(error) && (codeOf(error.cause) ?? '').startsWith('23')
}

/** The error for a commit that may or may not have happened. */
export function indeterminate(cause: unknown): PawlError<'indeterminate'> {
  const message =
    'the commit failed and may have happened all the same; retry with the same idempotency key'
  return new PawlError('indeterminate', message, { operation: 'commit' }, { cause })
}

function storageCode(error: unknown, code: string): StorageCode {
  if (CONFLICTS.has(code) || isDisconnected(error) || code === '57014') return 'storage_busy'
  if (code === DISK_FULL) return 'storage_full'
  return code.startsWith('XX') ? 'storage_corrupt' : 'storage_failed'
}

const DISK_FULL = '53100'
