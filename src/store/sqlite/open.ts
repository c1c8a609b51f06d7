/** How is an SQLite database opened so that it keeps its promises? @module */

import { createRequire } from 'node:module'
import Sqlite, { type Database, type Options } from 'better-sqlite3'
import { Kysely, Migrator, SqliteDialect } from 'kysely'
import { PawlError } from '../../errors.ts'
import { migrations } from '../migrations.ts'
import type { Tables } from '../schema.ts'
import type { Durability } from '../store.ts'
import { storageError } from './failures.ts'

// SQLite waits natively for this long, blocking the event loop; after that the engine waits on its own.
const NATIVE_BUSY_MS = 5

// A checkpoint writes each changed page once, however often it changed since the last one, and syncs twice: the
// fewer, the better. But as long as the WAL grows, each sync has to note that it does, which takes as long again.
// 8 MB between two checkpoints (SQLite's default is 4 MB) are the best of both.
const CHECKPOINT_PAGES = 2000

// SQLite's default of 2 MB holds the inner pages of few indexes: whatever is not in it has to be read again.
const CACHE_KILOBYTES = 32_768

const SYNCHRONOUS = { full: 2, relaxed: 1 } as const

/** Opens a file, or takes a database that the application has open, and sets what pawl relies on. */
export function openDatabase(database: string | Database, durability: Durability): Database {
  const opened = typeof database === 'string' ? openFile(database) : database
  if (opened.inTransaction) throw unsupported('a transaction is open on it; end it first')
  try {
    // The application's own connection waits as the application wants.
    if (typeof database === 'string') {
      opened.pragma(`busy_timeout = ${NATIVE_BUSY_MS}`)
      opened.pragma(`cache_size = -${CACHE_KILOBYTES}`)
      // What it takes to undo a single statement would go to a file of its own otherwise.
      opened.pragma('temp_store = memory')
    }
    setPragmas(opened, durability)
    return opened
  } catch (cause) {
    if (typeof database === 'string') opened.close()
    throw storageError('open', cause)
  }
}

/** Opens a file that is there, only to read it. */
export function openReader(path: string): Database {
  return openFile(path, { readonly: true, fileMustExist: true })
}

function openFile(path: string, options?: Options): Database {
  refuseCrashingVersion()
  try {
    return new Sqlite(path, options)
  } catch (cause) {
    if (cause instanceof TypeError) throw cannotOpen(path, cause)
    throw storageError('open', cause)
  }
}

function cannotOpen(path: string, cause: TypeError): PawlError<'storage_failed'> {
  const message = `open: ${JSON.stringify(path)} cannot be opened (${cause.message}); check the path`
  return new PawlError('storage_failed', message, { operation: 'open' }, { cause })
}

/** better-sqlite3 13 needs Node 22; on an older one it dies with a segmentation fault and no message. */
function refuseCrashingVersion(): void {
  const { version } = createRequire(import.meta.url)('better-sqlite3/package.json') as {
    version: string
  }
  const [major, node] = [Number.parseInt(version, 10), Number.parseInt(process.versions.node, 10)]
  if (major < 13 || node >= 22) return
  const message = `open: better-sqlite3 ${version} crashes on Node ${node}; install better-sqlite3@12 or use Node 22`
  throw new PawlError('storage_failed', message, { operation: 'open' })
}

function setPragmas(database: Database, durability: Durability): void {
  database.pragma('foreign_keys = on')
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  const mode = database.pragma('journal_mode = wal', { simple: true })
  if (mode !== 'wal' && !database.memory)
    throw unsupported(`journal_mode is "${mode}" instead of "wal"`)
  requireSynchronous(database, durability)
}

/**
 * Sets `synchronous` and reads it back. A connection that turned a new file to WAL falls back to
 * NORMAL with its first write, so this is done again after the migrations.
 */
export function requireSynchronous(database: Database, durability: Durability): void {
  const wanted = SYNCHRONOUS[durability]
  database.pragma(`synchronous = ${wanted}`)
  const found = database.pragma('synchronous', { simple: true })
  if (found !== wanted) throw unsupported(`synchronous is ${found} instead of ${wanted}`)
}

function unsupported(reason: string): PawlError<'storage_failed'> {
  return new PawlError(
    'storage_failed',
    `open: the database does not take pawl's settings: ${reason}`,
    { operation: 'open' },
  )
}

// Engines that are opened on one connection at the same time migrate one after the other.
const migrating = new WeakMap<Database, Promise<void>>()

/** Runs the migrations that the database lacks, all or none. Throws `schema_too_new` for one from a later version. */
export function migrate(database: Database): Promise<void> {
  const before = migrating.get(database) ?? Promise.resolve()
  const own = before.catch(() => {}).then(() => migrateNow(database))
  migrating.set(database, own)
  return own
}

async function migrateNow(database: Database): Promise<void> {
  if (mapped(() => isCurrent(database))) return
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) })
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: 'pawl_migrations',
    migrationLockTableName: 'pawl_migrations_lock',
    disableTransactions: true,
  })
  try {
    database.exec('begin immediate')
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw error
    database.exec('commit')
  } catch (error) {
    if (database.inTransaction) database.exec('rollback')
    throw storageError('migrate', error)
  }
}

function mapped<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw storageError('open', error)
  }
}

/** Whether the database has all migrations. Throws `schema_too_new` for one from a later version. */
export function isCurrent(database: Database): boolean {
  const known = Object.keys(migrations)
  const applied = appliedMigrations(database)
  const unknown = applied.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    const message = `the database has been migrated by a later version of pawl (${unknown}); upgrade pawl`
    throw new PawlError('schema_too_new', message, { found: unknown })
  }
  return applied.length === known.length
}

function appliedMigrations(database: Database): string[] {
  const table = database.prepare("select 1 from sqlite_master where name = 'pawl_migrations'").get()
  if (table === undefined) return []
  return database.prepare<[], string>('select name from pawl_migrations').pluck().all()
}
