/** How does a whole database move from SQLite to PostgreSQL? @module */

import type { Database } from 'better-sqlite3'
import { type Issue, refuseIssues } from './errors.ts'
import { taken } from './given.ts'
import { unknownKeys } from './runtime/options.ts'
import { nextTurn } from './runtime/wait.ts'
import { isServerAddress } from './store/address.ts'
import { type CopiedRow, type CopiedTable, copiedTables } from './store/copied-tables.ts'
import type { Import } from './store/postgres/import.ts'
import { openTarget } from './store/postgres/target.ts'
import { openSnapshot, type Snapshot } from './store/sqlite/export.ts'
import type { StoreSource } from './store/store.ts'

/** How far a copy has come, in rows. */
export interface CopyProgress {
  /** How many the source has. */
  readonly total: number
  /** How many of them are in the target. */
  readonly copied: number
  /** How many of these have been compared with the source, after the copy. */
  readonly compared: number
}

/** Options of `copy`. */
export interface CopyOptions {
  /** Called after every thousand rows or so; what it throws ends the copy, which can be run again. */
  readonly onProgress?: (progress: CopyProgress) => void
}

/** What a copy has come to. */
export interface CopyReport {
  /** How many rows the target has, all tables together. */
  readonly rows: number
  /** How many of them this call has copied: what an earlier one had copied, it has only compared. */
  readonly copied: number
}

/**
 * Copies a whole database of pawl from SQLite to PostgreSQL, row for row: events with their places and hashes,
 * resources, timers, secrets as they are encrypted, idempotency keys, consumers, deliveries. The source stays as it
 * is. Tables of the application's own are not copied.
 *
 * Stop every engine that uses the source first: what is written to it during the copy is noticed at its end, and
 * refused. When it has been interrupted, running it again goes on where it stopped; until it has ended, no engine can
 * be opened on the target.
 *
 * Throws `invalid_input` for a source that is written to, and for a target that holds another database;
 * `schema_too_new` for a source or a target of a later version; and the `storage_*` errors.
 *
 * @example
 * await copy('app.db', postgres(pool, { schema: 'pawl' }))
 */
export async function copy(
  from: string | Database,
  to: StoreSource,
  options: CopyOptions = {},
): Promise<CopyReport> {
  const { onProgress } = takenOptions(from, options)
  const opening = openTarget(to)
  refuseIssues('the target of the copy', opening === undefined ? [NO_TARGET] : [])
  const target = (await opening) as Import
  try {
    return await copyTo(target, from, onProgress ?? (() => {}))
  } finally {
    await target.close()
  }
}

type Report = NonNullable<CopyOptions['onProgress']>

const NO_TARGET = {
  ...{ path: [], code: 'invalid_type' },
  message: 'has to be what postgres({ connectionString }) gives',
}

function takenOptions(from: unknown, given: CopyOptions): CopyOptions {
  refuseIssues('the source of the copy', isDatabase(from) ? [] : [NO_SOURCE])
  const options = taken(given)
  refuseIssues('the options of copy', [
    ...unknownKeys(options, ['onProgress']),
    ...progressIssues(options.onProgress),
  ])
  return options
}

const NO_SOURCE = {
  ...{ path: [], code: 'invalid_type' },
  message: 'has to be the path of a file, or an open better-sqlite3 Database',
}

function isDatabase(from: unknown): boolean {
  if (typeof from === 'string') return from !== '' && from !== ':memory:' && !isServerAddress(from)
  return typeof Reflect.get(Object(from), 'serialize') === 'function'
}

function progressIssues(onProgress: unknown): Issue[] {
  if (onProgress === undefined || typeof onProgress === 'function') return []
  return [{ path: ['onProgress'], code: 'invalid_option', message: 'has to be a function' }]
}

type Progress = { -readonly [Count in keyof CopyProgress]: number }

async function copyTo(
  target: Import,
  from: string | Database,
  report: Report,
): Promise<CopyReport> {
  const progress: Progress = { total: 0, copied: 0, compared: 0 }
  const moved = (moves: Partial<Progress>): void => {
    progress.copied += moves.copied ?? 0
    progress.compared += moves.compared ?? 0
    report({ ...progress })
  }
  const copied = await reading(from, async (source) => {
    const found = await target.begin(source.rest)
    progress.total = totalOf(source)
    progress.copied = await countIn(target)
    const before = progress.copied
    if (found === 'unfinished') await copyRows(source, target, moved)
    return { found, count: progress.copied - before }
  })
  // Read anew: what has been written to the source meanwhile is seen.
  await reading(from, async (source) => {
    const isWhole = copied.found === 'whole'
    const isSame = await compareRows(source, target, moved)
    if (!isSame || (isWhole && !(await target.isSameRest(source.rest))))
      throw target.differing(copied.found)
    if (!isWhole) await target.end(source.rest)
  })
  return { rows: progress.total, copied: copied.count }
}

async function reading<T>(
  from: string | Database,
  work: (source: Snapshot) => Promise<T>,
): Promise<T> {
  const source = openSnapshot(from)
  try {
    return await work(source)
  } finally {
    source.close()
  }
}

function totalOf(source: Snapshot): number {
  return copiedTables.reduce((total, { name }) => total + source.count(name), 0)
}

async function countIn(target: Import): Promise<number> {
  let total = 0
  for (const table of copiedTables) total += await target.count(table)
  return total
}

/** Copies what is missing: rows are written in the order of their keys, so that is what comes after the last one. */
async function copyRows(
  source: Snapshot,
  target: Import,
  moved: (moves: Partial<Progress>) => void,
): Promise<void> {
  for (const table of copiedTables) {
    for await (const rows of slices(source, table, await target.lastKey(table))) {
      await target.insert(table, rows)
      moved({ copied: rows.length })
    }
  }
}

/** Whether both sides have the same rows; stops where they have not. */
async function compareRows(
  source: Snapshot,
  target: Import,
  moved: (moves: Partial<Progress>) => void,
): Promise<boolean> {
  for (const table of copiedTables) {
    if (source.count(table.name) !== (await target.count(table))) return false
    for await (const rows of slices(source, table, null)) {
      if ((await target.countSame(table, rows)) !== rows.length) return false
      moved({ compared: rows.length })
    }
  }
  return true
}

async function* slices(
  source: Snapshot,
  table: CopiedTable,
  after: readonly unknown[] | null,
): AsyncIterable<readonly CopiedRow[]> {
  for (let key = after; ; ) {
    const rows = source.after(table, key)
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows
    key = table.key.map((column) => last[column])
    // Reading goes on without waiting for anybody: others have their turn.
    await nextTurn()
  }
}
