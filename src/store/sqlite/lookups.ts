/** How does SQLite find single rows, and the timers that are due? @module */

import type { Database } from 'better-sqlite3'
import { firstIdAt } from '../../ids.ts'
import { entryColumns, timerColumns, toEntryRow, toTimerRow } from '../columns.ts'
import { BEFORE_ALL } from '../queries.ts'
import type { LogRow, Reads } from '../store.ts'
import { resourceReader } from './answers.ts'
import type { Immediate } from './deferred.ts'
import { following } from './distinct.ts'
import { LISTED, logRow } from './listing.ts'
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
  const [resource, entry] = [resourceReader(database), entryById(database)]
  const [entryAt, place, log] = [entryByPlace(database), placeByTime(database), logRow(database)]
  const [due, next] = [timersUntil(database), nextTimer(database)]
  return {
    findResource: resource,
    findEntry: (id) => optional(entry.get({ id }), toEntryRow),
    entriesAt: (places) => places.flatMap((seq) => entryAt.all({ seq }).map(toEntryRow)),
    placeAt: (time) => place.get({ time, id: firstIdAt('evt', time) })?.seq ?? undefined,
    log: () => log() ?? NO_LOG,
    entryTypes: typeReader(database),
    dueTimers: (time, limit, { nextAt, position } = BEFORE_ALL) =>
      due.all({ time, limit, nextAt, position }).map(toTimerRow),
    nextTimerAt: () => next.get({})?.next_at,
  }
}

// Somebody has deleted the row: nothing that claims to be in the log can be.
const NO_LOG: LogRow = { head: 0, pruned: 0, identity: '' }

/** Prepares naming the types of the entries of a tenant, or of all. */
function typeReader(database: Database): (tenant: string | null) => readonly string[] {
  const [nextType, nextTenant] = [typeAfter(database), tenantAfter(database)]
  const latest = latestTypes(database)
  const types = (tenant: string) => following((after) => nextType.get({ tenant, after })?.type)
  return (tenant) => {
    const tenants =
      tenant === null ? following((after) => nextTenant.get({ after })?.tenant) : [tenant]
    const unlisted = latest.all({}).filter((row) => tenant === null || row.tenant === tenant)
    return [...new Set([...tenants.flatMap(types), ...unlisted.map(({ type }) => type)])]
  }
}

/** The types of the entries that the indexes do not have yet. */
function latestTypes(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_events')
      .select(['tenant', 'type'])
      .distinct()
      .where('seq', '>', LISTED),
  )
}

function typeAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_listing')
      .select(({ fn }) => fn.min<string | null>('type').as('type'))
      .where('tenant', '=', slot('tenant'))
      .where('type', '>', slot('after')),
  )
}

function tenantAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_listing')
      .select(({ fn }) => fn.min<string | null>('tenant').as('tenant'))
      .where('tenant', '>', slot('after')),
  )
}

function optional<T, U>(value: T | undefined, convert: (value: T) => U): U | undefined {
  return value === undefined ? undefined : convert(value)
}

function entryById(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('seq', '=', (from) =>
        from.selectFrom('pawl_listing').select('seq').where('id', '=', slot('id')),
      )
      .where('id', '=', slot('id'))
      .unionAll(
        queries
          .selectFrom('pawl_events')
          .select(entryColumns)
          .where('seq', '>', LISTED)
          .where('id', '=', slot('id')),
      ),
  )
}

function entryByPlace(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('seq', '=', slot('seq')),
  )
}

/** Of the entries from a time on the one that comes first in the log; an id begins with its time. */
function placeByTime(database: Database) {
  return prepare(database, (slot) => {
    const listed = queries
      .selectFrom('pawl_listing')
      .select(({ fn }) => fn.min<number | null>('seq').as('seq'))
      .where('id', '>=', slot('id'))
    const unlisted = queries
      .selectFrom('pawl_events')
      .select(({ fn }) => fn.min<number | null>('seq').as('seq'))
      .where('seq', '>', LISTED)
      .where('created_at', '>=', slot('time'))
    return queries.selectNoFrom(({ fn }) => fn.coalesce(listed, unlisted).as('seq'))
  })
}

function timersUntil(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('next_at', '<=', slot('time'))
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('next_at', 'position'), '>', tuple(slot('nextAt'), slot('position'))),
      )
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
