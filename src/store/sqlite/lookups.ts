/** How does SQLite find single rows, and the timers that are due? @module */

import type { Database } from 'better-sqlite3'
import type { LogRow, Reads } from '../store.ts'
import { resourceById } from './answers.ts'
import { entryColumns, timerColumns, toEntryRow, toResourceRow, toTimerRow } from './columns.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

type Lookups = Pick<
  Reads,
  | 'findResource'
  | 'findEntry'
  | 'entriesAt'
  | 'placeAt'
  | 'log'
  | 'entryTypes'
  | 'dueTimers'
  | 'nextTimerAt'
>

/** Prepares the lookups. */
export function createLookups(database: Database): Immediate<Lookups> {
  const [resource, entry] = [resourceById(database), entryById(database)]
  const [entryAt, place, log] = [entryByPlace(database), placeByTime(database), logRow(database)]
  const [due, next] = [timersUntil(database), nextTimer(database)]
  const [nextType, nextTenant] = [typeAfter(database), tenantAfter(database)]
  const types = (tenant: string) => following((after) => nextType.get({ tenant, after })?.type)
  const tenants = (tenant: string | null) =>
    tenant === null ? following((after) => nextTenant.get({ after })?.tenant) : [tenant]
  return {
    findResource: (id) => optional(resource.get({ id }), toResourceRow),
    findEntry: (id) => optional(entry.get({ id }), toEntryRow),
    entriesAt: (places) => places.flatMap((seq) => entryAt.all({ seq }).map(toEntryRow)),
    placeAt: (time) => place.get({ time })?.seq ?? undefined,
    log: () => log.get({}) ?? NO_LOG,
    entryTypes: (tenant) => [...new Set(tenants(tenant).flatMap(types))],
    dueTimers: (time, limit) => due.all({ time, limit }).map(toTimerRow),
    nextTimerAt: () => next.get({})?.next_at,
  }
}

// Somebody has deleted the row: nothing that claims to be in the log can be.
const NO_LOG: LogRow = { head: 0, pruned: 0, identity: '' }

/** Goes from one to the next of an index, passing over all that are alike: their number does not matter. */
function following(next: (after: string) => string | null | undefined): string[] {
  const found: string[] = []
  for (let one = next(''); typeof one === 'string'; one = next(one)) found.push(one)
  return found
}

function typeAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(({ fn }) => fn.min<string | null>('type').as('type'))
      .where('tenant', '=', slot('tenant'))
      .where('type', '>', slot('after')),
  )
}

function tenantAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(({ fn }) => fn.min<string | null>('tenant').as('tenant'))
      .where('tenant', '>', slot('after')),
  )
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

function placeByTime(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(({ fn }) => fn.min<number | null>('seq').as('seq'))
      .where('created_at', '>=', slot('time')),
  )
}

/** Prepares reading where the log begins and ends. */
export function logRow(database: Database) {
  return prepare(database, () =>
    queries.selectFrom('pawl_log').select(['head', 'pruned', 'identity']).where('id', '=', 1),
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
