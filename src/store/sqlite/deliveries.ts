/** How does SQLite keep what is delivered to whom? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type {
  DeliveryPlace,
  DeliveryReads,
  DeliveryRow,
  DeliveryWrites,
  DispatchRow,
} from '../deliveries.ts'
import { createClaims } from './claims.ts'
import type { Immediate } from './deferred.ts'
import { createDeliveryLists } from './delivery-lists.ts'
import { createQueue, type Queue } from './delivery-queue.ts'
import { createDestinations } from './destinations.ts'
import { createDispatching, waking } from './dispatching.ts'
import { OPEN } from './open-ones.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** What deliveries need: what reads, and what writes. */
export interface DeliveryStatements {
  readonly reads: Immediate<DeliveryReads>
  readonly writes: Immediate<DeliveryWrites>
}

/** Prepares what deliveries need. */
export function createDeliveries(database: Database): DeliveryStatements {
  const queue = createQueue(database)
  const lists = createDeliveryLists(database)
  const destinations = createDestinations(database, queue)
  const { dispatchRow, isAt, ...dispatching } = createDispatching(database, queue, destinations)
  return {
    reads: { ...lists, ...destinations.reads, dispatchRow },
    writes: {
      ...dispatching,
      ...createClaims(database, queue),
      ...createChanges(database, queue, lists.findDelivery, isAt),
      moveVerification: destinations.moveVerification,
    },
  }
}

type Changes = Pick<DeliveryWrites, 'cancelDeliveries' | 'resendDelivery'>

function createChanges(
  database: Database,
  queue: Queue,
  find: (place: DeliveryPlace) => DeliveryRow | undefined,
  isAt: (from: DispatchRow) => boolean,
): Immediate<Changes> {
  const [open, cancel] = [openUpTo(database), canceling(database)]
  const resend = resending(database)
  const wake = waking(database)
  const arrange = (destination: number, resourceIds: readonly string[]): void => {
    if (!queue.isOrdered(destination)) return
    for (const resourceId of resourceIds) queue.arrange({ destination, resourceId })
  }
  return {
    cancelDeliveries: (from, { destination, seq: through }, limit) => {
      if (!isAt(from)) return 0
      const rows = open.all({ destination, through, limit })
      for (const { seq } of rows) cancel.run({ seq, destination })
      arrange(
        destination,
        rows.map(({ resourceId }) => resourceId),
      )
      return rows.length
    },
    resendDelivery: (place, now) => {
      const row = find(place)
      if (row === undefined || row.status === 'delivering' || row.isOver) return row
      const ready = !queue.isOrdered(place.destination)
      resend.run({ ...place, now, ready })
      arrange(place.destination, [row.resourceId])
      wake.run({ ...place, now })
      return find(place)
    },
  }
}

function openUpTo(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_deliveries')
      .select(['seq', 'resource_id as resourceId'])
      .where('destination', '=', slot('destination'))
      .where(OPEN)
      // Not by the index of all of them: the open ones are few.
      .where(sql<SqlBool>`+seq <= ${slot('through')}`)
      .limit(slot('limit')),
  )
}

function canceling(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_deliveries')
      // What somebody is at stays theirs: it may arrive yet.
      .set({ status: 'canceled', open: 0, ready: 0 })
      .where('seq', '=', slot('seq'))
      .where('destination', '=', slot('destination')),
  )
}

function resending(database: Database) {
  return prepare(database, (slot: Slot<'seq' | 'destination' | 'now' | 'ready'>) =>
    queries
      .updateTable('pawl_deliveries')
      .set({
        // Whoever asks by hand for what has ended gives it all its attempts again.
        tries: sql<number>`case open when 1 then tries else 0 end`,
        began: sql<number | null>`case open when 1 then began end`,
        replay: 0,
        status: 'pending',
        open: 1,
        // Somebody may be at what has been canceled: then it is theirs.
        ready: sql<number>`delivering or ${slot('ready')}`,
        next_at: sql<number>`case delivering when 1 then next_at else ${slot('now')} end`,
        delivered_at: null,
      })
      .where('seq', '=', slot('seq'))
      .where('destination', '=', slot('destination')),
  )
}
