/** Which resources does a list ask for? @module */

import { type RawBuilder, type SqlBool, sql } from 'kysely'
import type { ResourceQuery } from './queries.ts'

/** What a list of resources asks for besides its type; `positions` is the table whose order it follows, by its name there. */
export function resourceBounds(
  { order, tenant, statuses, after, createdAfter, createdBefore }: ResourceQuery,
  resources: string,
  positions: string,
): RawBuilder<SqlBool>[] {
  const column = (name: string) => sql.ref(`${resources}.${name}`)
  const position = sql.ref(`${positions}.position`)
  const all = [
    statuses === null
      ? sql<SqlBool>`${column('status')} <> 'deleted'`
      : sql<SqlBool>`${column('status')} in (${sql.join(statuses)})`,
    tenant !== null && sql<SqlBool>`${column('tenant')} = ${tenant}`,
    after !== null && sql<SqlBool>`${position} ${sql.raw(order === 'asc' ? '>' : '<')} ${after}`,
    createdAfter !== null && sql<SqlBool>`${column('created_at')} > ${createdAfter}`,
    createdBefore !== null && sql<SqlBool>`${column('created_at')} < ${createdBefore}`,
  ]
  return all.filter((bound) => bound !== false)
}
