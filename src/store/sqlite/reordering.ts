/** What becomes of the deliveries that wait when a destination wants another order? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { Queue } from './delivery-queue.ts'
import { OPEN } from './open-ones.ts'
import { prepare, queries } from './statement.ts'

/** Prepares lining up anew what is open. */
export function createReordering(database: Database): Queue['reorder'] {
  const free = freeing(database)
  const [hold, promote] = [holdingAll(database), promotingAll(database)]
  return (destination, ordered) => {
    if (!ordered) return void free.run({ destination })
    hold.run({ destination })
    promote.run({ destination })
  }
}

function freeing(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ ready: 1 })
      .where('destination', '=', slot('destination'))
      .where(OPEN),
  )
}

/** What somebody is at goes on. */
function holdingAll(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ ready: 0 })
      .where('destination', '=', slot('destination'))
      .where(OPEN)
      .where('delivering', '=', 0),
  )
}

/** The first of each resource of which nothing is ready. */
function promotingAll(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ ready: 1 })
      .where('destination', '=', slot('destination'))
      .where(OPEN)
      .where(
        sql<SqlBool>`not exists (
          select 1 from pawl_deliveries as other
          where other.destination = pawl_deliveries.destination
            and other.resource_id = pawl_deliveries.resource_id
            and other.open = 1
            and (
              other.ready = 1
              or (other.replay, other.seq) < (pawl_deliveries.replay, pawl_deliveries.seq)
            )
        )`,
      ),
  )
}
