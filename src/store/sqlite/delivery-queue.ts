/** How do deliveries of one destination wait for one another in SQLite? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { DeliveryDraft } from '../deliveries.ts'
import { OPEN, READY } from './open-ones.ts'
import { createReordering } from './reordering.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** The deliveries of a destination that are about one resource. */
export interface QueuePlace {
  readonly destination: number
  readonly resourceId: string
}

/** How deliveries are added. */
export interface Added {
  readonly replay: boolean
  /** Whether the destination wants the events of a resource in order. */
  readonly ordered: boolean
  /** Whether there may have been a delivery of the same event before, which somebody may still be at. */
  readonly again: boolean
  readonly now: number
}

/** Lines up the deliveries of each destination and resource: of those that are in order, one is ready at a time. */
export interface Queue {
  /** Adds a delivery, or asks for one that has ended once more; one that is open stays as it is. */
  add(draft: DeliveryDraft, how: Added): void
  /** Lets the first one be ready, unless somebody is at another. What is asked for by a replay comes last. */
  arrange(place: QueuePlace): void
  /** Lets the first of those that wait be ready, unless another one is. */
  advance(place: QueuePlace): void
  /** Lines up what is open anew, where a destination wants the events of a resource in order, or no longer does. */
  reorder(destination: number, ordered: boolean): void
  /** Whether a destination gets the events of a resource one after the other. */
  isOrdered(destination: number): boolean
  /** When the next delivery of a destination is due; null when none is ready. */
  nextAt(destination: number): number | null
}

const WAITING = sql<SqlBool>`ready = 0`

/** Prepares lining up. */
export function createQueue(database: Database): Queue {
  const [insert, ready, promote] = [inserting(database), readyOne(database), promoting(database)]
  const [hold, holdOthers] = [holding(database), holdingOthers(database)]
  const earliest = earliestReady(database)
  const order = orderOf(database)
  const isOrdered = (destination: number) => order.get({ destination })?.ordered === 1
  const arrange = (place: QueuePlace): void => {
    const current = ready.get(place)
    if (current?.delivering === 1) return void holdOthers.run(place)
    if (current !== undefined) hold.run({ ...place, ...current })
    promote.run(place)
  }
  return {
    add: (draft, { replay, ordered, again, now }) => {
      const { seq } = draft
      // Whoever is ready stands for all that are open: `arrange` and `advance` leave nobody to wait for nobody.
      const current = ordered ? ready.get(draft) : undefined
      insert.run({ ...draft, replay, now, ready: current === undefined })
      if (current !== undefined && (again || isBefore({ seq, replay }, current))) arrange(draft)
    },
    arrange,
    // Where only one is ready at a time, this is all that is left of arranging when that one has ended.
    advance: (place) => promote.run(place),
    reorder: createReordering(database),
    isOrdered,
    nextAt: (destination) => {
      const [live, replayed] = [0, 1].map((replay) => earliest.get({ destination, replay })?.at)
      if (live === undefined || replayed === undefined) return live ?? replayed ?? null
      return Math.min(live, replayed)
    },
  }
}

/** Whether a delivery comes before what has been the first one. */
function isBefore(
  { seq, replay }: { readonly seq: number; readonly replay: boolean },
  front: { readonly seq: number; readonly replay: number },
): boolean {
  const lane = Number(replay)
  return lane < front.replay || (lane === front.replay && seq < front.seq)
}

function inserting(database: Database) {
  return prepare(database, (slot: Slot<keyof DeliveryDraft | 'replay' | 'now' | 'ready'>) =>
    queries
      .insertInto('pawl_deliveries')
      .values({
        seq: slot('seq'),
        destination: slot('destination'),
        tenant: slot('tenant'),
        event_id: slot('eventId'),
        event_type: slot('eventType'),
        resource_id: slot('resourceId'),
        replay: slot('replay'),
        status: 'pending',
        open: 1,
        ready: slot('ready'),
        delivering: 0,
        next_at: slot('now'),
        taken_at: null,
        fence: 0,
        attempts: 0,
        tries: 0,
        began: null,
        last_error: null,
        created_at: slot('now'),
        delivered_at: null,
      })
      .onConflict((conflict) =>
        conflict
          .columns(['seq', 'destination'])
          .doUpdateSet((eb) => ({
            replay: eb.ref('excluded.replay'),
            status: 'pending',
            open: 1,
            // Somebody may be at it still: then it is theirs.
            ready: sql<number>`delivering or excluded.ready`,
            next_at: sql<number>`
              case delivering when 1 then pawl_deliveries.next_at else excluded.next_at end`,
            tries: 0,
            began: null,
            delivered_at: null,
          }))
          .where('pawl_deliveries.open', '=', 0),
      ),
  )
}

/** One that is ready; one that somebody is at, if there is any. */
function readyOne(database: Database) {
  return prepare(database, (slot: Slot<keyof QueuePlace>) =>
    openOnes(slot, READY)
      .select(['seq', 'replay', 'delivering'])
      .orderBy('delivering', 'desc')
      .limit(sql.lit(1)),
  )
}

/** Lets the first of those that wait be ready, where nobody is. */
function promoting(database: Database) {
  return prepare(database, (slot: Slot<keyof QueuePlace>) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ ready: 1 })
      .where('destination', '=', slot('destination'))
      .where(
        'seq',
        '=',
        openOnes(slot, WAITING).select('seq').orderBy('replay').orderBy('seq').limit(sql.lit(1)),
      )
      .where(({ not, exists }) => not(exists(openOnes(slot, READY).select('seq')))),
  )
}

/** The open deliveries of a resource. */
function openOnes(slot: Slot<keyof QueuePlace>, which: typeof READY) {
  return queries
    .selectFrom('pawl_deliveries')
    .where('destination', '=', slot('destination'))
    .where('resource_id', '=', slot('resourceId'))
    .where(OPEN)
    .where(which)
}

/** Has all wait but those that somebody is at. */
function holdingOthers(database: Database) {
  return prepare(database, (slot: Slot<keyof QueuePlace>) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ ready: 0 })
      .where('destination', '=', slot('destination'))
      .where('resource_id', '=', slot('resourceId'))
      .where(OPEN)
      .where(READY)
      .where('delivering', '=', 0),
  )
}

/** Has a delivery wait for its turn; whoever was at it has had their time. */
export function holding(database: Database) {
  return prepare(database, (slot: Slot<'seq' | 'destination'>) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ ready: 0, delivering: 0 })
      .where('seq', '=', slot('seq'))
      .where('destination', '=', slot('destination')),
  )
}

function orderOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations')
      .select('ordered')
      .where('position', '=', slot('destination')),
  )
}

function earliestReady(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_deliveries')
      .select('next_at as at')
      .where('destination', '=', slot('destination'))
      .where('replay', '=', slot('replay'))
      .where(READY)
      .orderBy('next_at')
      .limit(1),
  )
}
