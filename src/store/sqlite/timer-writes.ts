/** How does SQLite set timers and do away with them? @module */

import type { Database } from 'better-sqlite3'
import type { Timer, TimerChange } from '../../core/rows.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** Prepares the statements that change timers. */
export function timerWriter(database: Database): (change: TimerChange) => void {
  const orphan = prepare(database, (slot) =>
    queries
      .updateTable('pawl_timers')
      .set({ name: null })
      .where('resource_id', '=', slot('resourceId'))
      .where('name', '=', slot('name')),
  )
  const insert = prepare(database, inserting)
  const insertIfNew = prepare(database, (slot: Slot<keyof Timer>) => inserting(slot).orIgnore())
  const cancel = prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_timers')
      .where('resource_id', '=', slot('resourceId'))
      .where('name', '=', slot('name')),
  )
  const clear = prepare(database, (slot) =>
    queries.deleteFrom('pawl_timers').where('resource_id', '=', slot('resourceId')),
  )
  const remove = prepare(database, (slot) =>
    queries.deleteFrom('pawl_timers').where('position', '=', slot('position')),
  )
  return (change) => {
    switch (change.change) {
      case 'set': {
        if (insertIfNew.run(change.timer) === 1) return
        // As in XState, an id that is used again names the new timer; the old one goes on without.
        orphan.run(change.timer)
        insert.run(change.timer)
        return
      }
      case 'cancel':
        cancel.run(change)
        return
      case 'clear':
        clear.run(change)
        return
      case 'fired':
        remove.run(change)
        return
    }
  }
}

function inserting(slot: Slot<keyof Timer>) {
  return queries.insertInto('pawl_timers').values({
    resource_id: slot('resourceId'),
    tenant: slot('tenant'),
    name: slot('name'),
    event: slot('event'),
    due_at: slot('dueAt'),
    next_at: slot('dueAt'),
  })
}
