/** How does SQLite list resources, entries and timers, at the same cost however many there are? @module */

import type { Database, Statement } from 'better-sqlite3'
import { type Compilable, type SelectQueryBuilder, sql } from 'kysely'
import type { EntryQuery, Range, ResourceQuery, TimerQuery } from '../queries.ts'
import type { Tables } from '../schema.ts'
import type { Reads } from '../store.ts'
import {
  readColumns,
  resourceColumns,
  timerColumns,
  toReadEntry,
  toResourceRow,
  toTimerRow,
} from './columns.ts'
import type { Immediate } from './deferred.ts'
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
  return {
    // A machine can have no status but the one that lists leave out.
    listResources: (query) =>
      query.statuses?.length === 0 ? [] : all(resourcesQuery(query)).map(toResourceRow),
    // As arrays, since whoever follows the log reads a million of them.
    listEntries: (query) => all(entriesQuery(query), true).map(toReadEntry),
    listTimers: (query) => all(timersQuery(query)).map(toTimerRow),
  }
}

type Part<Row = unknown> = SelectQueryBuilder<Tables, keyof Tables, Row>

// A statement takes a range of an index in order. Several ranges (of statuses, of types) are read
// as far as the limit each and merged: the cost is that of the page, whatever the table holds.
function merged<Row>(
  parts: readonly Part<Row>[],
  place: 'position' | 'seq',
  { order, limit }: Range,
): Compilable {
  const [first, ...rest] = parts.map((part) => queries.selectFrom(part.as('part')).selectAll())
  if (first === undefined) throw new Error('a list has to have at least one part')
  const union = rest.reduce((query, part) => query.unionAll(part), first)
  return queries
    .selectFrom(union.as('merged'))
    .selectAll()
    .orderBy(sql.ref(place), order)
    .limit(limit)
}

function resourcesQuery(query: ResourceQuery): Compilable {
  const [reference, ...others] = Object.entries(query.references)
  const parts =
    reference === undefined
      ? resourceRanges(query).map((statuses) => resourcesWithStatus(query, statuses))
      : [1, 0].map((live) => resourcesReferring(query, reference, others, live))
  return merged(parts, 'position', query)
}

// SQLite takes 500 parts of a compound select; merging this many is still quick.
const MOST_PARTS = 100

/** The statuses of each range of the index to read; null for a scan of all. */
function resourceRanges({ statuses }: ResourceQuery): (readonly string[] | null)[] {
  if (statuses === null) return [null]
  return statuses.length > MOST_PARTS ? [statuses] : statuses.map((status) => [status])
}

const columnsOf = (table: 'pawl_resources') =>
  resourceColumns.map((column) => `${table}.${column}` as const)

function resourcesWithStatus(query: ResourceQuery, statuses: readonly string[] | null): Part {
  let part = queries
    .selectFrom('pawl_resources')
    .select(columnsOf('pawl_resources'))
    .where('type', '=', query.type)
    .orderBy('pawl_resources.position', query.order)
    .limit(query.limit)
  // A definition that names statuses itself has not said which there are.
  part =
    statuses === null ? part.where('status', '<>', 'deleted') : part.where('status', 'in', statuses)
  if (query.tenant !== null) part = part.where('tenant', '=', query.tenant)
  if (query.after !== null) part = part.where('pawl_resources.position', ahead(query), query.after)
  if (query.createdAfter !== null) part = part.where('created_at', '>', query.createdAfter)
  if (query.createdBefore !== null) part = part.where('created_at', '<', query.createdBefore)
  return part
}

function resourcesReferring(
  query: ResourceQuery,
  [field, target]: readonly [string, string],
  others: readonly (readonly [string, string])[],
  live: number,
): Part {
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
  if (query.tenant !== null) part = part.where('tenant', '=', query.tenant)
  part =
    query.statuses === null
      ? part.where('status', '<>', 'deleted')
      : part.where('status', 'in', query.statuses)
  if (query.after !== null) part = part.where('pawl_references.position', ahead(query), query.after)
  if (query.createdAfter !== null) part = part.where('created_at', '>', query.createdAfter)
  if (query.createdBefore !== null) part = part.where('created_at', '<', query.createdBefore)
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

function ahead({ order }: Range): '>' | '<' {
  return order === 'asc' ? '>' : '<'
}

function entriesQuery(query: EntryQuery): Compilable {
  const { tenant, types, resourceId, internal } = query
  if (resourceId !== null || tenant === null) return entriesPart(query, {})
  const ranges: EntryIndex[] =
    types === null
      ? (internal ? [0, 1] : [0]).map((sort) => ({ tenant, internal: sort }))
      : types.length > MOST_PARTS
        ? [{ tenant }]
        : types.map((type) => ({ tenant, type }))
  return merged(
    ranges.map((range) => entriesPart(query, range)),
    'seq',
    query,
  )
}

/** The leading columns of the index that a part reads. */
interface EntryIndex {
  readonly tenant?: string
  readonly type?: string
  readonly internal?: number
}

function entriesPart(query: EntryQuery, index: EntryIndex) {
  let part = queries
    .selectFrom('pawl_events')
    .select(readColumns)
    .orderBy('seq', query.order)
    .limit(query.limit)
  if (query.resourceId !== null) part = part.where('resource_id', '=', query.resourceId)
  if (index.tenant !== undefined) part = part.where('tenant', '=', index.tenant)
  if (index.type !== undefined) part = part.where('type', '=', index.type)
  if (index.internal !== undefined) part = part.where('internal', '=', index.internal)
  if (query.after !== null) part = part.where('seq', ahead(query), query.after)
  if (query.upTo !== null) part = part.where('seq', '<=', query.upTo)
  // A plus keeps SQLite from choosing an index that would have to be sorted.
  if (query.tenant !== null && index.tenant === undefined)
    part = part.where(plus('tenant'), '=', query.tenant)
  if (query.types !== null && index.type === undefined)
    part = part.where(plus('type'), 'in', query.types)
  if (!query.internal && index.internal === undefined) part = part.where(plus('internal'), '=', 0)
  return withinTime(part, query)
}

function plus(column: 'tenant' | 'type' | 'internal' | 'created_at') {
  return sql<string | number>`+${sql.ref(column)}`
}

function withinTime<Row>(
  part: SelectQueryBuilder<Tables, 'pawl_events', Row>,
  { since, until }: EntryQuery,
) {
  let bounded = part
  if (since !== null) {
    const first = sql<number>`(select coalesce(min(seq), ${Number.MAX_SAFE_INTEGER}) from pawl_events where created_at >= ${since})`
    bounded = bounded.where('seq', '>=', first).where(plus('created_at'), '>=', since)
  }
  if (until !== null) {
    const last = sql<number>`(select coalesce(max(seq), 0) from pawl_events where created_at < ${until})`
    bounded = bounded.where('seq', '<=', last).where(plus('created_at'), '<', until)
  }
  return bounded
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
