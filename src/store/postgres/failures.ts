/** What do PostgreSQL's errors mean to a caller? @module */

import { type ErrorCode, isPawlError, messageOf, PawlError } from '../../errors.ts'

type StorageCode = Extract<ErrorCode, `storage_${string}`>

const ADVICE: Readonly<Record<StorageCode, string>> = {
  storage_busy: 'the database stayed busy or could not be reached; try again',
  storage_full: 'the disk of the database is full; make room and try again',
  storage_failed: 'the database could not be read or written',
  storage_corrupt: 'the database is damaged; restore a backup',
}

/** PostgreSQL's code of an error, or that of the connection to it; undefined for what is none. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if (error instanceof Unsent) return codeOf(error.cause)
  const { code } = error as { readonly code?: unknown }
  if (typeof code === 'string') return code
  // What `pg` says of connections and pools has no code.
  return /connection|timeout|client was closed|not queryable/i.test(error.message)
    ? 'connection'
    : undefined
}

// A serialization failure, a deadlock, a lock that is not waited for.
const CONFLICTS: ReadonlySet<string> = new Set(['40001', '40P01', '55P03'])

/** Thrown where a transaction finds that another one has been faster. */
export class Overtaken extends Error {}

/** Thrown for a query that has not been sent, as one before it had failed: its cause. */
export class Unsent extends Error {
  constructor(cause: unknown) {
    super('a query before it has failed', { cause: cause instanceof Unsent ? cause.cause : cause })
  }
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
  if (code === 'connection' || code.startsWith('08')) return true
  if (/^E[A-Z]+$/.test(code)) return true
  // The server shuts down, has crashed, starts, has no connection left, or has not been spoken to for too long.
  return ['57P01', '57P02', '57P03', '53300', '57P05', IDLE_FOR_TOO_LONG].includes(code)
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

/** Turns what PostgreSQL or the connection throws into an error of the storage; leaves anything else as it is. */
export function storageError(operation: string, cause: unknown): unknown {
  const found = cause instanceof Overtaken ? '40001' : codeOf(cause)
  if (found === undefined || isPawlError(cause)) return cause
  const code = storageCode(cause, found)
  const reason = code === 'storage_failed' ? `: ${messageOf(cause)}` : ''
  const message = `${operation}: ${ADVICE[code]} (${found})${reason}`
  return new PawlError(code, message, { operation }, { cause })
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
  if (code.startsWith('53')) return 'storage_full'
  return code.startsWith('XX') ? 'storage_corrupt' : 'storage_failed'
}
