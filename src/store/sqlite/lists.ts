/** How does SQLite list resources, entries and timers, at the same cost however many there are? @module */

import type { Database, Statement } from 'better-sqlite3'
import type { Compilable } from 'kysely'
import { resourceColumns, timerColumns, toResourceRow, toTimerRow } from '../columns.ts'
import { MOST_PARTS, merged, type Part } from '../merged.ts'
import type { ResourceQuery, TimerQuery } from '../queries.ts'
import { resourceBounds } from '../resource-bounds.ts'
import type { Reads } from '../store.ts'
import type { Immediate } from './deferred.ts'
import { notedStatuses } from './distinct.ts'
import { createEntryLister } from './entry-lists.ts'
import { UNLISTED } from './listing.ts'
import { queries } from './statement.ts'

/** Runs queries whose shape depends on their filters. */
export type Lister = Immediate<Pick<Reads, 'listResources' | 'listEntries' | 'listTimers'>>

// Filters come in a few dozen shapes at most; the bound is against shapes made on purpose.
const KEPT_STATEMENTS = 200

/** Keeps the statements of the shapes that have been asked for. */
export function createLister(database: Database): Lister {
  const statements = new Map<string, Statement<unknown[], unknown>>()
  const all = (query: Compilable, asArrays = false): unknown[] => {
    const { sql: text, parameters } = query.compile()
    const statement =
      statements.get(text) ?? database.prepare<unknown[], unknown>(text).raw(asArrays)
    if (statements.size >= KEPT_STATEMENTS) statements.clear()
    statements.set(text, statement)
    return statement.all(...parameters)
  }
  const noted = notedStatuses(database)
  return {
    // A machine can have no status but the one that lists leave out.
    listResources: (query) =>
      query.statuses?.length === 0 ? [] : all(resourcesQuery(query, noted)).map(toResourceRow),
    listEntries: createEntryLister(database, (query) => all(query, true)),
    listTimers: (query) => all(timersQuery(query)).map(toTimerRow),
  }
}

type Noted = ReturnType<typeof notedStatuses>

function resourcesQuery(query: ResourceQuery, noted: Noted): Compilable {
  const [reference, ...others] = Object.entries(query.references)
  if (reference === undefined)
    return merged(queries, resourcesByStatus(query, noted), 'position', query)
  const parts = [1, 0].map((live) => resourcesReferring(query, reference, others, live))
  return merged(queries, parts, 'position', query)
}

function resourcesByStatus(query: ResourceQuery, noted: Noted): Part[] {
  const { tenant, type } = query
  if (tenant === null) return [resourcesOfType(query)]
  // A definition that names statuses itself has not said which there are.
  const statuses = query.statuses ?? noted(tenant, type, MOST_PARTS + 1).filter(isListed)
  if (statuses.length > MOST_PARTS) return [resourcesOfType(query)]
  return [...statuses.map((status) => resourcesNoted(query, status)), resourcesSince(query)]
}

const isListed = (status: string) => status !== 'deleted'

const columnsOf = (table: 'pawl_resources') =>
  resourceColumns.map((column) => `${table}.${column}` as const)

function resourcesOfType(query: ResourceQuery) {
  let part = queries
    .selectFrom('pawl_resources')
    .select(columnsOf('pawl_resources'))
    .where('type', '=', query.type)
    .orderBy('pawl_resources.position', query.order)
    .limit(query.limit)
  for (const bound of resourceBounds(query, 'pawl_resources', 'pawl_resources'))
    part = part.where(bound)
  return part
}

/** Those that had a status when the log was listed last, and have it still. */
function resourcesNoted(query: ResourceQuery, status: string) {
  let part = queries
    .selectFrom('pawl_statuses')
    .innerJoin('pawl_resources', 'pawl_resources.position', 'pawl_statuses.position')
    .select(columnsOf('pawl_resources'))
    .where('pawl_statuses.tenant', '=', query.tenant ?? '')
    .where('pawl_statuses.type', '=', query.type)
    .where('pawl_statuses.status', '=', status)
    .whereRef('pawl_resources.status', '=', 'pawl_statuses.status')
    .orderBy('pawl_statuses.position', query.order)
    .limit(query.limit)
  for (const bound of resourceBounds(query, 'pawl_resources', 'pawl_statuses'))
    part = part.where(bound)
  return part
}

/** Those that have got their status since. */
function resourcesSince(query: ResourceQuery) {
  return resourcesOfType(query)
    .where('id', 'in', UNLISTED)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('pawl_statuses')
            .select('pawl_statuses.position')
            .whereRef('pawl_statuses.position', '=', 'pawl_resources.position')
            .whereRef('pawl_statuses.status', '=', 'pawl_resources.status'),
        ),
      ),
    )
}

function resourcesReferring(
  query: ResourceQuery,
  [field, target]: readonly [string, string],
  others: readonly (readonly [string, string])[],
  live: number,
) {
  let part = queries
    .selectFrom('pawl_references')
    .innerJoin('pawl_resources', 'pawl_resources.id', 'pawl_references.resource_id')
    .select(columnsOf('pawl_resources'))
    .where('pawl_references.target_id', '=', target)
    .where('pawl_references.type', '=', query.type)
    .where('pawl_references.field', '=', field)
    .where('pawl_references.live', '=', live)
    .orderBy('pawl_references.position', query.order)
    .limit(query.limit)
  for (const bound of resourceBounds(query, 'pawl_resources', 'pawl_references'))
    part = part.where(bound)
  for (const [otherField, otherTarget] of others) {
    part = part.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('pawl_references as also')
          .select('also.field')
          .whereRef('also.resource_id', '=', 'pawl_references.resource_id')
          .where('also.field', '=', otherField)
          .where('also.target_id', '=', otherTarget),
      ),
    )
  }
  return part
}

function timersQuery(query: TimerQuery): Compilable {
  let list = queries.selectFrom('pawl_timers').select(timerColumns)
  if (query.tenant !== null) list = list.where('tenant', '=', query.tenant)
  if (query.resourceId !== null) list = list.where('resource_id', '=', query.resourceId)
  if (query.after !== null) {
    const { dueAt, position } = query.after
    list = list.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('due_at', 'position'), '>', tuple(dueAt, position)),
    )
  }
  return list.orderBy('due_at').orderBy('position').limit(query.limit)
}
