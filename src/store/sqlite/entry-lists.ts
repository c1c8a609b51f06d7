/** How does SQLite list entries of the log, at the same cost however many there are? @module */

import type { Database } from 'better-sqlite3'
import { type Compilable, type RawBuilder, type SqlBool, sql } from 'kysely'
import { firstIdAt } from '../../ids.ts'
import { readColumns, toReadEntry } from '../columns.ts'
import { MOST_PARTS, merged } from '../merged.ts'
import type { EntryQuery, ReadEntry } from '../queries.ts'
import { type Chain, createChain } from './chain.ts'
import { LISTED, listedPlace } from './listing.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** Runs a query whose shape depends on its filters; each row is an array of its columns. */
export type Run = (query: Compilable) => unknown[]

/** Prepares listing entries. As arrays, since whoever follows the log reads a million of them. */
export function createEntryLister(database: Database, run: Run) {
  const chain = createChain<unknown>(database, readColumns, true)
  const [place, unlisted] = [listedPlace(database), stretchReader(database)]
  const narrowed = narrowing(database)
  return (query: EntryQuery): ReadEntry[] => {
    const stretch = stretchOf(query)
    if (query.resourceId !== null)
      return alongChain(chain, query.resourceId, query, narrowed(query, stretch))
    if (query.tenant === null) return run(entriesPart(query, stretch)).map(toReadEntry)
    const listed = place()
    const [after, through] = stretch
    const indexed = (limit: number) =>
      run(listedQuery({ ...query, limit }, [after, Math.min(through, listed)])).map(toReadEntry)
    const rest = (limit: number) =>
      unlisted(query.order, [Math.max(after, listed), through])
        .filter((entry) => isAskedFor(entry, query))
        .slice(0, limit)
    return oneAfterTheOther(query, indexed, rest)
  }
}

/** Places of the log: behind the first, up to the second. */
type Stretch = readonly [after: number, through: number]

function stretchOf({ order, after, upTo }: EntryQuery): Stretch {
  const end = upTo ?? Number.MAX_SAFE_INTEGER
  if (order === 'asc') return [after ?? 0, end]
  return [0, Math.min(end, (after ?? Number.MAX_SAFE_INTEGER) - 1)]
}

function alongChain(
  { after, before }: Chain<unknown>,
  id: string,
  query: EntryQuery,
  [first, last]: Stretch,
): ReadEntry[] {
  const { order, limit } = query
  const found: ReadEntry[] = []
  let place = order === 'asc' ? first : last + 1
  // What is asked for may be rare among all that the resource has been through.
  for (let size = limit; ; size = Math.max(limit, Math.min(2 * size, MOST_AT_ONCE))) {
    const rows = order === 'asc' ? after(id, place, size) : before(id, place, size)
    const entries = rows.map(toReadEntry)
    const isWithin = ({ seq }: ReadEntry) => seq > first && seq <= last
    found.push(...entries.filter((entry) => isWithin(entry) && isAskedFor(entry, query)))
    const end = entries.at(-1)
    if (end === undefined || entries.length < size || !isWithin(end) || found.length >= limit)
      return found.slice(0, limit)
    place = end.seq
  }
}

const MOST_AT_ONCE = 1000

/** Prepares narrowing a stretch of the log to a time. */
function narrowing(database: Database) {
  const bound = (place: (slot: Slot<'time' | 'id'>) => RawBuilder<number>) => {
    const statement = prepare(database, (slot: Slot<'time' | 'id'>) =>
      queries.selectNoFrom(place(slot).as('seq')),
    )
    return (time: number) => statement.get({ time, id: firstIdAt('evt', time) })?.seq ?? 0
  }
  const first = bound((slot) => firstSince(slot('id')))
  const last = bound((slot) => lastUntil(slot('id'), slot('time')))
  return ({ since, until }: EntryQuery, [after, through]: Stretch): Stretch => [
    since === null ? after : Math.max(after, first(since) - 1),
    until === null ? through : Math.min(through, last(until)),
  ]
}

function isAskedFor(entry: ReadEntry, query: EntryQuery): boolean {
  const { tenant, types, internal, since, until } = query
  return (
    (tenant === null || entry.tenant === tenant) &&
    (types === null || types.includes(entry.type)) &&
    (internal || !entry.internal) &&
    (since === null || entry.createdAt >= since) &&
    (until === null || entry.createdAt < until)
  )
}

type Reader = (limit: number) => ReadEntry[]

/** What is listed and what is not yet: two parts of the log, of which the second may not be needed. */
function oneAfterTheOther({ order, limit }: EntryQuery, listed: Reader, rest: Reader): ReadEntry[] {
  const [first, second] = order === 'asc' ? [listed, rest] : [rest, listed]
  const found = first(limit)
  return found.length === limit ? found : [...found, ...second(limit - found.length)]
}

/** Prepares reading a short stretch of the log, whatever is in it. */
function stretchReader(database: Database) {
  const reading = (order: 'asc' | 'desc') =>
    prepare(
      database,
      (slot) =>
        queries
          .selectFrom('pawl_events')
          .select(readColumns)
          .where('seq', '>', slot('after'))
          .where('seq', '<=', slot('through'))
          .orderBy('seq', order),
      true,
    )
  const statements = { asc: reading('asc'), desc: reading('desc') }
  return (order: 'asc' | 'desc', [after, through]: Stretch): ReadEntry[] =>
    after >= through ? [] : statements[order].all({ after, through }).map(toReadEntry)
}

function listedQuery(query: EntryQuery, stretch: Stretch): Compilable {
  const { tenant, types, internal } = query
  if (types !== null && types.length > MOST_PARTS) return entriesPart(query, stretch)
  const ranges: Range[] =
    types === null
      ? (internal ? [0, 1] : [0]).map((sort) => ({ tenant, internal: sort }))
      : types.map((type) => ({ tenant, type }))
  return merged(
    queries,
    ranges.map((range) => listedPart(query, stretch, range)),
    'seq',
    query,
  )
}

/** The leading columns of the index to read. */
interface Range {
  readonly tenant: string | null
  readonly type?: string
  readonly internal?: number
}

/** A range of the listing, with the entries that it leads to. */
function listedPart(query: EntryQuery, [after, through]: Stretch, range: Range) {
  let part = queries
    .selectFrom('pawl_listing')
    .innerJoin('pawl_events', 'pawl_events.seq', 'pawl_listing.seq')
    .select(readColumns.map((column) => `pawl_events.${column}` as const))
    .where('pawl_listing.tenant', '=', range.tenant ?? '')
    .where('pawl_listing.seq', '>', after)
    .where('pawl_listing.seq', '<=', through)
    .orderBy('pawl_listing.seq', query.order)
    .limit(query.limit)
  if (range.type !== undefined) part = part.where('pawl_listing.type', '=', range.type)
  if (range.internal !== undefined) part = part.where('pawl_listing.internal', '=', range.internal)
  // The plus keeps SQLite from reading the index of all public entries instead of that of the type.
  if (range.internal === undefined && !query.internal)
    part = part.where(sql<number>`+pawl_listing.internal`, '=', 0)
  for (const bound of timeBounds(query, 'pawl_listing.seq', 'pawl_events.created_at'))
    part = part.where(bound)
  return part
}

/** A stretch of the log, place by place. */
function entriesPart(query: EntryQuery, [after, through]: Stretch) {
  let part = queries
    .selectFrom('pawl_events')
    .select(readColumns)
    .where('seq', '>', after)
    .where('seq', '<=', through)
    .orderBy('seq', query.order)
    .limit(query.limit)
  if (query.tenant !== null) part = part.where('tenant', '=', query.tenant)
  if (query.types !== null) part = part.where('type', 'in', query.types)
  if (!query.internal) part = part.where('internal', '=', 0)
  for (const bound of timeBounds(query, 'seq', 'created_at')) part = part.where(bound)
  return part
}

/** What narrows a list to a time. An id begins with its time, so the index of ids is one of times as well. */
function timeBounds(
  { since, until }: EntryQuery,
  seq: 'seq' | 'pawl_listing.seq',
  created: 'created_at' | 'pawl_events.created_at',
): RawBuilder<SqlBool>[] {
  const bounds: RawBuilder<SqlBool>[] = []
  if (since !== null) {
    const first = firstSince(firstIdAt('evt', since))
    bounds.push(sql`${sql.ref(seq)} >= ${first}`, sql`${sql.ref(created)} >= ${since}`)
  }
  if (until !== null) {
    const last = lastUntil(firstIdAt('evt', until), until)
    bounds.push(sql`${sql.ref(seq)} <= ${last}`, sql`${sql.ref(created)} < ${until}`)
  }
  return bounds
}

/** The first place from a time on, or an earlier one; `id` is what sorts right before the ids of that time. */
function firstSince(id: string): RawBuilder<number> {
  return sql<number>`coalesce((select min(seq) from pawl_listing where id >= ${id}), ${LISTED} + 1)`
}

/** The last place from before a time. */
function lastUntil(id: string, time: number): RawBuilder<number> {
  return sql<number>`coalesce(
    (select max(seq) from pawl_events where seq > ${LISTED} and created_at < ${time}),
    (select max(seq) from pawl_listing where id < ${id}),
    0
  )`
}
