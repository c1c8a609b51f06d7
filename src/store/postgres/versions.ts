/** How are the entries of a version found, without an index of versions? @module */

import { type RawBuilder, sql } from 'kysely'
import { entryColumns } from '../columns.ts'
import type { Slot, Statements } from './statement.ts'

/**
 * Prepares finding the entries of a resource's version. Along the log a resource's versions only rise: where one of
 * them begins, halving the log finds, however many entries there are.
 */
export function entriesOfVersion(statements: Statements) {
  const { queries, prepare } = statements
  return prepare((slot: Slot<'id' | 'version'>) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('resource_id', '=', slot('id'))
      .where('resource_version', '=', slot('version'))
      .where('seq', '>', lastBefore(statements, slot('id'), sql`${slot('version')}::bigint`))
      .where('seq', '<=', lastBefore(statements, slot('id'), sql`${slot('version')}::bigint + 1`))
      .orderBy('seq'),
  )
}

/** The place of the last entry before a version; 0 for none. It is never outside of what is left to halve. */
function lastBefore({ table }: Statements, id: string, version: RawBuilder<unknown>) {
  return sql<number>`(
    with recursive half (low, high) as (
      select 0::bigint, latest from ${table('pawl_resources')} where id = ${id}
      union all
      select
        case when next.resource_version < ${version} then next.seq else low end,
        case when next.resource_version < ${version} then high else (low + high) / 2 end
      from half left join lateral (
        select seq, resource_version from ${table('pawl_events')}
        where resource_id = ${id} and seq > (low + high) / 2
        order by seq limit 1
      ) as next on true
      where low < high
    )
    select max(low) from half
  )`
}
