/** How is a database copied while it is in use? @module */

import { randomBytes } from 'node:crypto'
import { access, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { closed, invalidInput, isPawlError, messageOf, PawlError } from '../../errors.ts'
import { storageError } from './failures.ts'

// About 2 MB: some milliseconds, after which the event loop turns.
const PAGES_AT_ONCE = 512

/**
 * Copies a database to a file that does not exist yet. The file appears when the copy is complete and on
 * disk. `source` is the file of the database or, for one in memory, all of it.
 *
 * Throws `closed` once the signal is aborted, and `invalid_input` for a path that is taken.
 */
export async function backup(
  source: string | Buffer,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  await requireNew(path)
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`
  try {
    if (typeof source === 'string') await copySnapshot(source, partial, signal)
    else await write(source, partial)
    await rename(partial, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(partial, { force: true })
    throw failure(path, error)
  }
}

/**
 * Copies through a connection of its own, in a read transaction: what is committed meanwhile neither
 * gets into the copy nor makes SQLite start over. The WAL grows as long as it lasts.
 */
async function copySnapshot(file: string, path: string, signal: AbortSignal): Promise<void> {
  const snapshot = new Sqlite(file, { readonly: true, fileMustExist: true })
  try {
    snapshot.exec('begin')
    // A transaction begins with its first read.
    snapshot.prepare('select count(*) from pawl_log').get()
    await snapshot.backup(path, {
      progress: () => {
        if (signal.aborted) throw closed()
        return PAGES_AT_ONCE
      },
    })
  } finally {
    snapshot.close()
  }
}

async function write(database: Buffer, path: string): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await handle.writeFile(database)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function failure(path: string, error: unknown): unknown {
  const known = storageError('backup', error)
  if (isPawlError(known)) return known
  const reason = messageOf(error)
  const message = `backup: ${JSON.stringify(path)} cannot be written (${reason}); check the path`
  return new PawlError('storage_failed', message, { operation: 'backup' }, { cause: error })
}

async function requireNew(path: string): Promise<void> {
  const exists = await access(path).then(
    () => true,
    () => false,
  )
  if (!exists) return
  const message = `${JSON.stringify(path)} exists already; give a new path`
  throw invalidInput('the path of the backup', [{ path: [], code: 'exists', message }])
}

/** Makes the name of a new file as durable as the file. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
