/** How are several ranges of an index read as one list? @module */

import { type Compilable, type Kysely, type SelectQueryBuilder, sql } from 'kysely'
import type { Range } from './queries.ts'

/** What one range of an index gives, in order and no longer than the limit. */
export type Part<Row = unknown> = SelectQueryBuilder<AnyTables, never, Row>

// A part gives its tables names of its own.
// biome-ignore lint/suspicious/noExplicitAny: whatever a part reads from
type AnyTables = any

/** SQLite takes 500 parts of a compound select; merging this many is still quick. */
export const MOST_PARTS = 100

/** Merges parts into one list: each is read as far as the limit, so the cost is that of the page, whatever the table holds. */
export function merged<Row>(
  queries: Kysely<AnyTables>,
  parts: readonly Part<Row>[],
  place: 'position' | 'seq',
  { order, limit }: Range,
): Compilable<unknown> {
  const [first, ...rest] = parts.map((part) => queries.selectFrom(part.as('part')).selectAll())
  if (first === undefined) throw new Error('a list has to have at least one part')
  const union = rest.reduce((query, part) => query.unionAll(part), first)
  return queries
    .selectFrom(union.as('merged'))
    .selectAll()
    .orderBy(sql.ref(place), order)
    .limit(limit)
}
