import Sqlite from 'better-sqlite3'
import { onTestFinished } from 'vitest'

/** A row as the file has it. */
export type Row = Readonly<Record<string, unknown>>

/** An engine on a file that has a table for notes, and another connection to it. */
export interface Noted<E> {
  readonly database: string
  readonly engine: E
  readonly raw: Sqlite.Database
}

/** Opens a second connection to a file, which closes with the test. */
export function openRaw(database: string): Sqlite.Database {
  const raw = new Sqlite(database)
  onTestFinished(() => void raw.close())
  return raw
}

/** Makes a table of the user's own in a file, and gives a connection to look at it. */
export function makeNotes(database: string): Sqlite.Database {
  const raw = openRaw(database)
  raw.exec('create table notes (id text not null, text text not null, n integer not null) strict')
  return raw
}

/** The notes of a file, in the order in which they were written. */
export function notesIn(raw: Sqlite.Database): unknown[] {
  return raw.prepare('select id, text, n from notes order by rowid').all()
}

/** All rows of a table, each with its `rowid`. */
export function rowsOf(raw: Sqlite.Database, table: string): Row[] {
  return raw.prepare(`select rowid as rowid, * from ${table} order by rowid`).all() as Row[]
}

/** Puts a row back, or a new one in, with the columns that it has. */
export function insertRow(raw: Sqlite.Database, table: string, row: Row): void {
  const columns = Object.keys(row)
  const values = columns.map((column) => `@${column}`)
  raw.prepare(`insert into ${table} (${columns}) values (${values})`).run(row)
}
