/** How are several ranges of an index read as one list? @module */

import { type Compilable, type SelectQueryBuilder, sql } from 'kysely'
import type { Range } from '../queries.ts'
import type { Tables } from '../schema.ts'
import { queries } from './statement.ts'

/** What one range of an index gives, in order and no longer than the limit. */
export type Part<Row = unknown> = SelectQueryBuilder<Tables, keyof Tables, Row>

/** SQLite takes 500 parts of a compound select; merging this many is still quick. */
export const MOST_PARTS = 100

// A statement takes a range of an index in order. Several ranges (of statuses, of types) are read
// as far as the limit each and merged: the cost is that of the page, whatever the table holds.

/** Merges parts into one list. */
export function merged<Row>(
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
