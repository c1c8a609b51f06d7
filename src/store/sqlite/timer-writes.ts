/** How does SQLite set timers and do away with them? @module */

import type { Database } from 'better-sqlite3'
import type { TimerChange } from '../../core/rows.ts'
import { prepare, queries } from './statement.ts'

/** Prepares the statements that change timers. */
export function timerWriter(database: Database): (change: TimerChange) => void {
  const orphan = prepare(database, (slot) =>
    queries
      .updateTable('pawl_timers')
      .set({ name: null })
      .where('resource_id', '=', slot('resourceId'))
      .where('name', '=', slot('name')),
  )
  const insert = prepare(database, (slot) =>
    queries.insertInto('pawl_timers').values({
      resource_id: slot('resourceId'),
      tenant: slot('tenant'),
      name: slot('name'),
      event: slot('event'),
      due_at: slot('dueAt'),
      next_at: slot('dueAt'),
    }),
  )
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
        const { resourceId, name } = change.timer
        // As in XState, an id that is used again names the new timer; the old one goes on without.
        if (name !== null) orphan.run({ resourceId, name })
        insert.run({ ...change.timer })
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
