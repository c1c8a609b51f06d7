/** How does SQLite find the resources that an earlier machine wrote? @module */

import type { Database } from 'better-sqlite3'
import type { Reads } from '../store.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares finding them stretch by stretch: no index leads to them, and no read may take long. */
export function createMigrationLists(database: Database): Immediate<Pick<Reads, 'rowsBehind'>> {
  const [end, behind] = [endOfStretch(database), behindWithin(database)]
  return {
    rowsBehind: (type, machine, after, limit) => {
      const last = end.get({ after, limit })?.last ?? null
      return { last, rows: last === null ? [] : behind.all({ type, machine, after, last }) }
    },
  }
}

function endOfStretch(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom((from) =>
        from
          .selectFrom('pawl_resources')
          .select('position')
          .where('position', '>', slot('after'))
          .orderBy('position')
          .limit(slot('limit'))
          .as('stretch'),
      )
      .select(({ fn }) => fn.max<number | null>('position').as('last')),
  )
}

function behindWithin(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_resources')
      .select(['id', 'tenant'])
      .where('position', '>', slot('after'))
      .where('position', '<=', slot('last'))
      .where('type', '=', slot('type'))
      .where('machine', '<>', slot('machine'))
      .orderBy('position'),
  )
}
