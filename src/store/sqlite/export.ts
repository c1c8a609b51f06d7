/** How is an SQLite database read as a whole, to be copied elsewhere? @module */

import Sqlite, { type Database } from 'better-sqlite3'
import { invalidInput, isPawlError } from '../../errors.ts'
import {
  type CopiedName,
  type CopiedRest,
  type CopiedRow,
  type CopiedTable,
  dispatchColumns,
  type Numbered,
  numbered,
} from '../copied-tables.ts'
import { storageError } from './failures.ts'
import { logRow } from './listing.ts'
import { isCurrent, openReader } from './open.ts'

/** A database as it was at one moment, whatever is written to it meanwhile. */
export interface Snapshot {
  readonly rest: CopiedRest
  count(name: CopiedName): number
  /** The rows that follow after a key, in the order of keys: as many as are read at once. */
  after(table: CopiedTable, key: readonly unknown[] | null): readonly CopiedRow[]
  close(): void
}

// Whichever is reached first: what is read at once is held in memory several times over.
const ROWS_AT_ONCE = 1000
const CHARACTERS_AT_ONCE = 4_000_000

/**
 * Reads a file, or a database that the application has open: that one through another connection, so that it stays
 * free. Throws `invalid_input` for what is no current database of pawl, `schema_too_new` for one of a later version.
 */
export function openSnapshot(from: string | Database): Snapshot {
  const database = openBeside(from)
  try {
    database.exec('begin')
    requireCurrent(database)
    return createSnapshot(database)
  } catch (error) {
    database.close()
    throw storageError('copy', error)
  }
}

function openBeside(from: string | Database): Database {
  if (typeof from === 'string') return openReader(from)
  if (from.inTransaction) throw refused('open_transaction', 'a transaction is open on it; end it')
  return from.memory ? new Sqlite(from.serialize()) : openReader(from.name)
}

function requireCurrent(database: Database): void {
  if (isCurrent(database)) return
  const advice = 'open it once with createEngine, which takes it to this version'
  throw refused('not_current', `is no database of this version of pawl; ${advice}`)
}

function refused(code: string, message: string): Error {
  return invalidInput('the source of the copy', [{ path: [], code, message }])
}

function createSnapshot(database: Database): Snapshot {
  const mapped = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw isPawlError(error) ? error : storageError('copy', error)
    }
  }
  return {
    rest: restOf(database),
    count: (name) =>
      mapped(() => database.prepare<[], number>(`select count(*) from ${name}`).pluck().get() ?? 0),
    after: (table, key) => mapped(() => rowsAfter(database, table, key)),
    close: () => void database.close(),
  }
}

function restOf(database: Database): CopiedRest {
  const log = logRow(database)()
  const dispatch = database
    .prepare<[], CopiedRow>(`select ${dispatchColumns} from pawl_dispatch where id = 1`)
    .get()
  if (log === undefined || dispatch === undefined)
    throw refused('damaged', 'lacks the row that says what its log is; restore a backup')
  const sequence = database
    .prepare<[string], number>('select seq from sqlite_sequence where name = ?')
    .pluck()
  const positions = numbered.map((name) => [name, sequence.get(name) ?? 0])
  return { log, dispatch, positions: Object.fromEntries(positions) as Record<Numbered, number> }
}

function rowsAfter(
  database: Database,
  { name, key, columns }: CopiedTable,
  after: readonly unknown[] | null,
): readonly CopiedRow[] {
  const behind = after === null ? '' : `where (${quoted(key)}) > (${key.map(() => '?')})`
  const statement = database.prepare<unknown[], CopiedRow>(
    `select ${quoted(Object.keys(columns))} from ${name} ${behind}
     order by ${quoted(key)} limit ${ROWS_AT_ONCE}`,
  )
  const rows: CopiedRow[] = []
  let characters = 0
  for (const row of statement.iterate(...(after ?? []))) {
    rows.push(row)
    characters += lengthOf(row)
    if (characters >= CHARACTERS_AT_ONCE) break
  }
  return rows
}

function quoted(columns: readonly string[]): string {
  return columns.map((column) => `"${column}"`).join(', ')
}

function lengthOf(row: CopiedRow): number {
  let length = 0
  for (const value of Object.values(row)) {
    if (typeof value === 'string' || value instanceof Uint8Array) length += value.length
  }
  return length
}
