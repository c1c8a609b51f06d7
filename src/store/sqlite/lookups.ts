/** How does SQLite find single rows, and the timers that are due? @module */

import type { Database } from 'better-sqlite3'
import type { Store } from '../store.ts'
import { resourceById } from './answers.ts'
import { entryColumns, timerColumns, toEntryRow, toResourceRow, toTimerRow } from './columns.ts'
import { prepare, queries } from './statement.ts'

/** Runs a piece of work once the database is free for it. */
export type WhenFree = <T>(work: () => T) => Promise<T>

/** Prepares the lookups. */
export function createLookups(
  database: Database,
  reading: WhenFree,
): Pick<Store, 'findResource' | 'findEntry' | 'entriesAt' | 'dueTimers' | 'nextTimerAt'> {
  const resource = resourceById(database)
  const [entry, entryAt] = [entryById(database), entryByPlace(database)]
  const [due, next] = [timersUntil(database), nextTimer(database)]
  return {
    findResource: (id) => reading(() => optional(resource.get({ id }), toResourceRow)),
    findEntry: (id) => reading(() => optional(entry.get({ id }), toEntryRow)),
    entriesAt: (places) =>
      reading(() => places.flatMap((seq) => entryAt.all({ seq }).map(toEntryRow))),
    dueTimers: (time, limit) => reading(() => due.all({ time, limit }).map(toTimerRow)),
    nextTimerAt: () => reading(() => next.get({})?.next_at),
  }
}

function optional<T, U>(value: T | undefined, convert: (value: T) => U): U | undefined {
  return value === undefined ? undefined : convert(value)
}

function entryById(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('id', '=', slot('id')),
  )
}

function entryByPlace(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('seq', '=', slot('seq')),
  )
}

function timersUntil(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('next_at', '<=', slot('time'))
      .orderBy('next_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function nextTimer(database: Database) {
  return prepare(database, () =>
    queries.selectFrom('pawl_timers').select('next_at').orderBy('next_at').limit(1),
  )
}
