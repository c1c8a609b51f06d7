/** What do SQLite's errors mean to a caller? @module */

import { type ErrorCode, isPawlError, PawlError } from '../../errors.ts'

type StorageCode = Extract<ErrorCode, `storage_${string}`>

const ADVICE: Readonly<Record<StorageCode, string>> = {
  storage_busy: 'the database stayed locked by another connection; try again',
  storage_full: 'the disk or the database is full; make room and try again',
  storage_failed: 'the database could not be read or written',
  storage_corrupt: 'the file is damaged or is no SQLite database; restore a backup',
}

/** SQLite's name of an error, such as `SQLITE_BUSY`; undefined for what is none. */
function sqliteCode(error: unknown): string | undefined {
  // What better-sqlite3 says while the application iterates over a statement of its own.
  if (error instanceof TypeError && error.message.includes('busy executing a query'))
    return 'SQLITE_BUSY'
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string')
    return undefined
  return error.code.startsWith('SQLITE_') ? error.code : undefined
}

/** Whether another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return codeOf(error) === 'storage_busy'
}

/** Turns what SQLite throws into an error of the storage; leaves anything else as it is. */
export function storageError(operation: string, cause: unknown): unknown {
  const found = sqliteCode(cause)
  if (found === undefined || isPawlError(cause)) return cause
  const code = codeFor(found)
  // SQLite names tables and columns, never values.
  const reason = code === 'storage_failed' ? `: ${(cause as Error).message}` : ''
  const message = `${operation}: ${ADVICE[code]} (${found})${reason}`
  return new PawlError(code, message, { operation }, { cause })
}

/**
 * The error for a commit that failed. One for which the disk had no room has not happened: what marks it as
 * complete is written last. Any other may have.
 */
export function commitError(cause: unknown): unknown {
  return codeOf(cause) === 'storage_full' ? storageError('commit', cause) : indeterminate(cause)
}

/** Whether a commit failed because of what was to be written, and not of the storage. */
export function brokeConstraint(error: unknown): boolean {
  return isPawlError(error) && (sqliteCode(error.cause) ?? '').startsWith('SQLITE_CONSTRAINT')
}

/** The error for a commit that may or may not have happened. */
export function indeterminate(cause: unknown): PawlError<'indeterminate'> {
  const operation = 'commit'
  const message =
    'the commit failed and may have happened all the same; retry with the same idempotency key'
  return new PawlError('indeterminate', message, { operation }, { cause })
}

function codeOf(error: unknown): StorageCode | undefined {
  const found = sqliteCode(error)
  return found === undefined ? undefined : codeFor(found)
}

function codeFor(code: string): StorageCode {
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'storage_busy'
  // SQLite's shared memory is a file as well, which grows when it is opened.
  if (code.startsWith('SQLITE_FULL') || code === 'SQLITE_IOERR_SHMSIZE') return 'storage_full'
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB'))
    return 'storage_corrupt'
  return 'storage_failed'
}
