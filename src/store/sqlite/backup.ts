/** How is a database copied while it is in use? @module */

import { randomBytes } from 'node:crypto'
import { access, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Database } from 'better-sqlite3'
import { invalidInput, isPawlError, PawlError } from '../../errors.ts'
import { storageError } from './failures.ts'

// About 2 MB: some milliseconds, after which the event loop turns.
const PAGES_AT_ONCE = 512

// SQLite starts over whenever another process has written. After this many pages, counted in times
// the size of the database, all of it is copied in one go, however much it has grown by then.
const PATIENCE = 2
const ALL_PAGES = 0x7fffffff

/**
 * Copies a database to a file that does not exist yet. The file appears when the copy is complete and on
 * disk; what this connection commits meanwhile is in it. Calls back when the copy has begun: until then,
 * no transaction may be open on the connection.
 */
export async function backup(database: Database, path: string, begun: () => void): Promise<void> {
  await requireNew(path)
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`
  try {
    await copyPages(database, partial, begun)
    await rename(partial, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(partial, { force: true })
    throw failure(path, error)
  }
}

function failure(path: string, error: unknown): unknown {
  const known = storageError('backup', error)
  if (isPawlError(known)) return known
  const reason = error instanceof Error ? error.message : String(error)
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

async function copyPages(database: Database, path: string, begun: () => void): Promise<void> {
  let copied = 0
  const { totalPages } = await database.backup(path, {
    progress: ({ totalPages }) => {
      begun()
      copied += PAGES_AT_ONCE
      return copied > totalPages * PATIENCE ? ALL_PAGES : PAGES_AT_ONCE
    },
  })
  if (totalPages === 0) throw NOT_BEGUN
}

// What better-sqlite3 takes for the end: the application has opened a transaction of its own.
const NOT_BEGUN = Object.assign(new Error('a transaction is open on this connection'), {
  code: 'SQLITE_BUSY',
})

/** Makes the name of a new file as durable as the file. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
