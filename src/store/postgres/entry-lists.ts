/** How does PostgreSQL list entries of the log, at the same cost however many there are? @module */

import type { Compilable } from 'kysely'
import { readColumns } from '../columns.ts'
import { MOST_PARTS, merged } from '../merged.ts'
import type { EntryQuery, ReadEntry } from '../queries.ts'
import { createPlaces } from './places.ts'
import type { Session } from './session.ts'
import { allOf, type Statements } from './statement.ts'

/** Prepares listing entries. */
export function createEntryLister(
  statements: Statements,
): (session: Session, query: EntryQuery) => Promise<readonly ReadEntry[]> {
  const places = createPlaces(statements)
  return async (session, query) => {
    const { since, until } = query
    const first = since === null ? 0 : ((await places.first(session, since)) ?? NOWHERE)
    const last = until === null ? NOWHERE : await places.last(session, until)
    const rows = await allOf(session, entriesQuery(statements, query, [first, last]))
    return rows.map(toEntry)
  }
}

// Behind the end of any log.
const NOWHERE = Number.MAX_SAFE_INTEGER

/** Places of the log, both included. */
type Stretch = readonly [first: number, last: number]

function entriesQuery(
  statements: Statements,
  query: EntryQuery,
  stretch: Stretch,
): Compilable<unknown> {
  const { tenant, resourceId, types, internal } = query
  const isIndexed = tenant !== null && resourceId === null
  if (!isIndexed || (types?.length ?? 0) > MOST_PARTS)
    return entriesPart(statements, query, stretch, {})
  // Each range of an index by itself: together they would have to be sorted.
  const ranges: Range[] =
    types === null
      ? (internal ? [0, 1] : [0]).map((sort) => ({ sort }))
      : types.map((type) => ({ type }))
  return merged(
    statements.queries,
    ranges.map((range) => entriesPart(statements, query, stretch, range)),
    'seq',
    query,
  )
}

/** What an index is read for: entries that are internal or not, or of one type. */
interface Range {
  readonly sort?: number
  readonly type?: string
}

function entriesPart(
  { queries }: Statements,
  query: EntryQuery,
  [first, last]: Stretch,
  { sort, type }: Range,
) {
  const { tenant, resourceId, types, internal, since, until, after, upTo, order, limit } = query
  let part = queries
    .selectFrom('pawl_events')
    .select(readColumns)
    .where('seq', '>=', first)
    .where('seq', '<=', Math.min(last, upTo ?? last))
    .orderBy('seq', order)
    .limit(limit)
  if (after !== null) part = part.where('seq', order === 'asc' ? '>' : '<', after)
  if (tenant !== null) part = part.where('tenant', '=', tenant)
  if (resourceId !== null) part = part.where('resource_id', '=', resourceId)
  if (since !== null) part = part.where('created_at', '>=', since)
  if (until !== null) part = part.where('created_at', '<', until)
  if (sort !== undefined) return part.where('internal', '=', sort)
  if (!internal) part = part.where('internal', '=', 0)
  if (type !== undefined) return part.where('type', '=', type)
  return types === null ? part : part.where('type', 'in', types)
}

function toEntry(columns: unknown): ReadEntry {
  const row = columns as Readonly<Record<(typeof readColumns)[number], unknown>>
  const entry = {
    seq: row.seq,
    id: row.id,
    tenant: row.tenant,
    type: row.type,
    internal: row.internal === 1,
    resourceId: row.resource_id,
    resourceVersion: row.resource_version,
    data: row.data,
    previousStatus: row.previous_status,
    previousMs: row.previous_ms,
    cause: row.cause,
    actor: row.actor,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    createdAt: row.created_at,
  }
  return entry as ReadEntry
}
