/** How are the entries of one resource found, without an index of them all? @module */

import type { Database } from 'better-sqlite3'
import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { prepare, queries, type Slot } from './statement.ts'

// Each entry knows the one before it of its resource, and an index leads to every 32nd: whichever is
// asked for, it is at most so many steps away from one that is found at once.
export const STEPS = 32

/** Whether an entry is one that the index leads to, within a query. */
export const MILESTONE = sql<SqlBool>`ordinal % ${sql.lit(STEPS)} = 0`

/** Reads stretches of a resource's entries, in the order of the log or against it. */
export interface Chain<Row> {
  /** The first entries after a place. */
  after(id: string, place: number, limit: number): Row[]
  /** The last entries before a place, or of all for null; the latest first. */
  before(id: string, place: number | null, limit: number): Row[]
}

/** Prepares reading these columns along the chains; each row is an array of them if need be. */
export function createChain<Row>(
  database: Database,
  columns: readonly string[],
  asArrays = false,
): Chain<Row> {
  const selected = sql.join(columns.map((column) => sql.raw(column)))
  const compiled = (build: (slot: Slot<keyof Stretch>) => RawBuilder<unknown>) =>
    prepare<keyof Stretch, Row>(
      database,
      (slot) => ({ compile: () => build(slot).compile(queries) as never }),
      asArrays,
    )
  const after = compiled((slot) => forwards(selected, slot))
  const before = compiled((slot) => backwards(selected, slot))
  return {
    after: (id, place, limit) => after.all({ id, place, limit, skip: Math.ceil(limit / STEPS) }),
    before: (id, place, limit) =>
      before.all({ id, place: place ?? Number.MAX_SAFE_INTEGER, limit, skip: 0 }),
  }
}

interface Stretch {
  readonly id: string
  readonly place: number
  readonly limit: number
  /** How many milestones are too near. */
  readonly skip: number
}

/** Back from a milestone that is far enough ahead, or from the end, to the place. */
function forwards(selected: RawBuilder<unknown>, slot: Slot<keyof Stretch>) {
  const [id, place] = [slot('id'), slot('place')]
  return sql`
    with recursive chain (seq) as (
      select * from (${startAfter(slot, sql`seq > ${place}`)}) where seq > ${place}
      union all
      select previous from chain cross join pawl_events using (seq)
      where previous > ${place} and previous < seq
    )
    select ${selected} from pawl_events
    where seq in (select seq from chain) and resource_id = ${id}
    order by seq limit ${slot('limit')} + 0`
}

/** Back from the first milestone at the place or behind it, or from the end, for as many as are asked for. */
function backwards(selected: RawBuilder<unknown>, slot: Slot<keyof Stretch>) {
  const [id, place, limit] = [slot('id'), slot('place'), slot('limit')]
  // What is passed on the way to the place does not count.
  const lacking = sql`lacking - (seq < ${place})`
  return sql`
    with recursive chain (seq, lacking) as (
      select start.seq, ${limit} from (${startAfter(slot, sql`seq >= ${place}`)}) as start
      union all
      select previous, ${lacking} from chain cross join pawl_events using (seq)
      where previous between 1 and seq - 1 and ${lacking} > 0
    )
    select ${selected} from pawl_events
    where seq in (select seq from chain where seq < ${place}) and resource_id = ${id}
    order by seq desc limit ${limit} + 0`
}

function startAfter(slot: Slot<keyof Stretch>, isAhead: RawBuilder<unknown>) {
  return sql`
    select coalesce(
      (
        select seq from pawl_events
        where resource_id = ${slot('id')} and ${MILESTONE} and ${isAhead}
        order by seq limit 1 offset ${slot('skip')}
      ),
      (select latest from pawl_resources where id = ${slot('id')})
    ) as seq`
}
