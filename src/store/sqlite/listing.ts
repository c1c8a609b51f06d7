/** How far does the log reach, and how far does the listing of it? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { LogRow } from '../store.ts'
import { prepare, queries } from './statement.ts'

// An index that every commit adds to costs every commit a page; one that some commits add many entries
// to costs next to nothing. Whoever reads looks through so many entries besides: tens of microseconds.
const AT_ONCE = 128

/**
 * The last place that is listed, within a query: what stands behind it is not in the listing yet. Where all that was
 * listed has been pruned, the last of that.
 */
export const LISTED = sql<number>`(
  select coalesce(max(seq), (select pruned from pawl_log where id = 1), 0) from pawl_listing
)`

/** The resources with entries that are not listed yet, within a query. */
export const UNLISTED = queries
  .selectFrom('pawl_events')
  .select('resource_id')
  .where('seq', '>', LISTED)

/** Lists what has come. */
export interface Listing {
  /** Lists it if the log has grown past a multiple of so many places. */
  afterGrowth(before: number, head: number): void
  /** Lists it now. */
  now(): void
}

/** Prepares listing. */
export function createListing(database: Database): Listing {
  const list = prepare(database, () =>
    queries
      .insertInto('pawl_listing')
      .columns(['seq', 'id', 'tenant', 'type', 'internal'])
      .expression(
        queries
          .selectFrom('pawl_events')
          .select(['seq', 'id', 'tenant', 'type', 'internal'])
          .where('seq', '>', LISTED)
          .orderBy('seq'),
      ),
  )
  const noteStatuses = notingStatuses(database)
  const now = (): void => {
    noteStatuses.run({})
    list.run({})
  }
  return {
    now,
    afterGrowth: (before, head) => {
      if (Math.floor(head / AT_ONCE) > Math.floor(before / AT_ONCE)) now()
    },
  }
}

/** Of the resources that have entries since, the statuses that they have now. */
function notingStatuses(database: Database) {
  return prepare(database, () =>
    queries
      .insertInto('pawl_statuses')
      .columns(['position', 'tenant', 'type', 'status'])
      .expression(
        queries
          .selectFrom('pawl_resources')
          .select(['position', 'tenant', 'type', 'status'])
          .where('id', 'in', UNLISTED),
      )
      .onConflict((conflict) =>
        conflict
          .column('position')
          .doUpdateSet({ status: ({ ref }) => ref('excluded.status') })
          .whereRef('pawl_statuses.status', '<>', 'excluded.status'),
      ),
  )
}

/** Prepares reading the last place that is listed. */
export function listedPlace(database: Database): () => number {
  const statement = prepare(database, () => queries.selectNoFrom(LISTED.as('seq')))
  return () => statement.get({})?.seq ?? 0
}

/** Prepares reading where the log begins and ends. */
export function logRow(database: Database): () => LogRow | undefined {
  const statement = prepare(database, () =>
    queries
      .selectFrom('pawl_log')
      .select([
        sql<number>`max(pruned, coalesce((select max(seq) from pawl_events), 0))`.as('head'),
        'pruned',
        'identity',
      ])
      .where('id', '=', 1),
  )
  return () => statement.get({})
}

/** Prepares reading where the log ends. */
export function headReader(database: Database): () => number {
  const latest = prepare(database, () =>
    queries.selectFrom('pawl_events').select('seq').orderBy('seq', 'desc').limit(1),
  )
  const log = logRow(database)
  return () => latest.get({})?.seq ?? log()?.head ?? 0
}
