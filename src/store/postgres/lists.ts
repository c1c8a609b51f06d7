/** How does PostgreSQL list resources and timers, at the same cost however many there are? @module */

import type { Compilable } from 'kysely'
import { resourceColumns, timerColumns, toResourceRow, toTimerRow } from '../columns.ts'
import { MOST_PARTS, merged } from '../merged.ts'
import type { ResourceQuery, TimerQuery } from '../queries.ts'
import { resourceBounds } from '../resource-bounds.ts'
import type { Reads } from '../store.ts'
import { createEntryLister } from './entry-lists.ts'
import type { OnSession } from './on-session.ts'
import { allOf, type Statements } from './statement.ts'

/** Runs queries whose shape depends on their filters. */
export type Lister = OnSession<Pick<Reads, 'listResources' | 'listEntries' | 'listTimers'>>

/** Prepares listing. */
export function createLister(statements: Statements): Lister {
  return {
    // A machine can have no status but the one that lists leave out.
    listResources: async (session, query) =>
      query.statuses?.length === 0
        ? []
        : (await allOf(session, resourcesQuery(statements, query))).map(toResourceRow),
    listEntries: createEntryLister(statements),
    listTimers: async (session, query) =>
      (await allOf(session, timersQuery(statements, query))).map(toTimerRow),
  }
}

function resourcesQuery(statements: Statements, query: ResourceQuery): Compilable<unknown> {
  const [reference, ...others] = Object.entries(query.references)
  if (reference !== undefined) {
    const parts = [1, 0].map((live) => referring(statements, query, { reference, others, live }))
    return merged(statements.queries, parts, 'position', query)
  }
  const { tenant, statuses } = query
  if (tenant === null || statuses === null || statuses.length > MOST_PARTS)
    return ofType(statements, query)
  const parts = statuses.map((status) => ofType(statements, { ...query, statuses: [status] }))
  return merged(statements.queries, parts, 'position', query)
}

const columns = resourceColumns.map((column) => `resource.${column}` as const)

function ofType({ queries }: Statements, query: ResourceQuery) {
  let part = queries
    .selectFrom('pawl_resources as resource')
    .select(columns)
    .where('resource.type', '=', query.type)
    .orderBy('resource.position', query.order)
    .limit(query.limit)
  for (const bound of resourceBounds(query, 'resource', 'resource')) part = part.where(bound)
  return part
}

/** Which references to follow: the first leads there, the others narrow it. */
interface Referring {
  readonly reference: readonly [field: string, target: string]
  readonly others: readonly (readonly [field: string, target: string])[]
  readonly live: number
}

function referring(
  { queries }: Statements,
  query: ResourceQuery,
  { reference: [field, target], others, live }: Referring,
) {
  let part = queries
    .selectFrom('pawl_references as reference')
    .innerJoin('pawl_resources as resource', 'resource.id', 'reference.resource_id')
    .select(columns)
    .where('reference.target_id', '=', target)
    .where('reference.type', '=', query.type)
    .where('reference.field', '=', field)
    .where('reference.live', '=', live)
    .orderBy('reference.position', query.order)
    .limit(query.limit)
  for (const bound of resourceBounds(query, 'resource', 'reference')) part = part.where(bound)
  for (const [otherField, otherTarget] of others) {
    part = part.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('pawl_references as also')
          .select('also.field')
          .whereRef('also.resource_id', '=', 'reference.resource_id')
          .where('also.field', '=', otherField)
          .where('also.target_id', '=', otherTarget),
      ),
    )
  }
  return part
}

function timersQuery({ queries }: Statements, query: TimerQuery): Compilable<unknown> {
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
