/** How do deliveries of one destination wait for one another in SQLite? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { DeliveryDraft } from '../deliveries.ts'
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

// As they stand in the conditions of the indexes: SQLite does not look for a bound value there.
export const OPEN = sql<SqlBool>`open = 1`
export const READY = sql<SqlBool>`ready = 1`
const WAITING = sql<SqlBool>`ready = 0`

/** Prepares lining up. */
export function createQueue(database: Database): Queue {
  const [insert, ready, promote] = [inserting(database), readyOne(database), promoting(database)]
  const [hold, earliest] = [holding(database), earliestReady(database)]
  const order = orderOf(database)
  const isOrdered = (destination: number) => order.get({ destination })?.ordered === 1
  const [free, holdAll, promoteAll] = [
    freeing(database),
    holdingAll(database),
    promotingAll(database),
  ]
  const arrange = (place: QueuePlace): void => {
    const current = ready.get(place)
    if (current?.delivering === 1) return
    if (current !== undefined) hold.run({ ...place, ...current })
    promote.run(place)
  }
  return {
    add: (draft, { replay, ordered, now }) => {
      const { seq } = draft
      // Nobody waits unless somebody is ready.
      const front = ordered ? ready.get(draft) : undefined
      insert.run({ ...draft, replay, now, ready: front === undefined })
      if (front !== undefined && isBefore({ seq, replay }, front)) arrange(draft)
    },
    arrange,
    advance: (place) => promote.run(place),
    reorder: (destination, ordered) => {
      if (!ordered) return void free.run({ destination })
      holdAll.run({ destination })
      promoteAll.run({ destination })
    },
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
