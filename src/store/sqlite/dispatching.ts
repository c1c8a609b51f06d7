/** How does SQLite keep how far the log has been given out, and to whom? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { CatchUpStep, Deliveries, DispatchRow, DispatchStep } from '../deliveries.ts'
import type { Immediate } from './deferred.ts'
import type { Added, Queue } from './delivery-queue.ts'
import type { Destinations } from './destinations.ts'
import { prepare, queries, type Slot } from './statement.ts'

type Dispatching = Pick<Deliveries, 'dispatchRow' | 'dispatch' | 'catchUp' | 'replayDeliveries'>

/** Prepares giving out the log. */
export function createDispatching(
  database: Database,
  queue: Queue,
  destinations: Destinations,
): Immediate<Dispatching> & { readonly isAt: (from: DispatchRow) => boolean } {
  const [row, move] = [dispatchRow(database), moving(database)]
  const [wake, pruned] = [waking(database), prunedPlace(database)]
  const current = () => row.get({}) ?? { position: 0, within: 0, revision: 0 }
  const isAt = (from: DispatchRow): boolean => {
    const { position, within, revision } = current()
    return position === from.position && within === from.within && revision === from.revision
  }
  const add = (drafts: DispatchStep['deliveries'], how: Omit<Added, 'ordered'>): void => {
    const orders = new Map<number, boolean>()
    for (const draft of drafts) {
      const { destination } = draft
      const ordered = orders.get(destination) ?? queue.isOrdered(destination)
      orders.set(destination, ordered)
      queue.add(draft, { ...how, ordered })
    }
    for (const destination of orders.keys()) wake.run({ destination, now: how.now })
  }
  return {
    dispatchRow: current,
    isAt,
    dispatch: ({ from, to, deliveries, changed, now }) => {
      if (!isAt(from) || (changed !== null && !destinations.is(changed))) return false
      add(deliveries, { replay: false, again: false, now })
      if (changed !== null) destinations.put(changed, now)
      move.run({ ...to, revision: from.revision + Number(changed !== null) })
      return true
    },
    catchUp: (step: CatchUpStep) => {
      const { position, within, revision } = current()
      const meets = position === step.place && within === 0
      if ((step.joins && !meets) || !destinations.advance(step)) return false
      add(step.deliveries, { replay: false, again: true, now: step.now })
      if (step.joins) move.run({ position, within, revision: revision + 1 })
      return true
    },
    replayDeliveries: (drafts, now) => {
      const isOver = (destination: number) => destinations.isOver(destination)
      // The log may have been shortened since they were read from it.
      const last = pruned.get({})?.pruned ?? 0
      add(
        drafts.filter(({ seq, destination }) => seq > last && !isOver(destination)),
        { replay: true, again: true, now },
      )
    },
  }
}

function dispatchRow(database: Database) {
  return prepare(database, () =>
    queries.selectFrom('pawl_dispatch').select(['position', 'within', 'revision']),
  )
}

function prunedPlace(database: Database) {
  return prepare(database, () => queries.selectFrom('pawl_log').select('pruned'))
}

function moving(database: Database) {
  return prepare(database, (slot) =>
    queries.updateTable('pawl_dispatch').set({
      position: slot('position'),
      within: slot('within'),
      revision: slot('revision'),
    }),
  )
}

/** Has a destination looked at now, if anything may be sent to it. */
export function waking(database: Database) {
  return prepare(database, (slot: Slot<'destination' | 'now'>) =>
    queries
      .updateTable('pawl_destinations')
      .set({ next_at: slot('now') })
      .where('position', '=', slot('destination'))
      .where(sql<SqlBool>`phase in ('following', 'behind')`)
      .where(({ eb, or }) => or([eb('next_at', 'is', null), eb('next_at', '>', slot('now'))])),
  )
}
