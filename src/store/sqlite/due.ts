/** Which deliveries of a destination does SQLite give out, and how are they taken on? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { AttemptRow, ClaimedRow, Wish } from '../deliveries.ts'
import { holding, READY } from './delivery-queue.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** A destination while its deliveries are settled and given out. */
export interface Turn {
  readonly ordered: boolean
  /** The version of the resource. */
  readonly version: number
  clock: number
  accepted: number
}

/** Prepares giving out. */
export function claimer(database: Database): (turn: Turn, wish: Wish, now: number) => ClaimedRow[] {
  const [due, take, log] = [dueOf(database), taking(database), loggingAttempt(database)]
  const hold = holding(database)
  const read = (wish: Wish, now: number) => {
    const { destination, most } = wish
    const live = due.all({ destination, now, replay: 0, limit: most })
    const limit = Math.min(wish.replays, most - live.length)
    return limit === 0 ? live : [...live, ...due.all({ destination, now, replay: 1, limit })]
  }
  // Where the order has changed since, several of a resource may be due: all but the first wait for their turn.
  const oneEach = (destination: number, rows: ReturnType<typeof read>) => {
    const seen = new Set<string>()
    return rows.filter(({ seq, resourceId }) => {
      const isFirst = !seen.has(resourceId)
      if (isFirst) seen.add(resourceId)
      else hold.run({ seq, destination })
      return isFirst
    })
  }
  return (turn, wish, now) => {
    const { destination, lease } = wish
    const until = now + lease
    const rows = turn.ordered ? oneEach(destination, read(wish, now)) : read(wish, now)
    if (rows.length > 0) turn.clock += 1
    return rows.map(({ delivering, replay, began, takenAt, ...row }) => {
      const { seq } = row
      take.run({ seq, destination, until, now, clock: turn.clock })
      // Its lease has run out.
      if (delivering === 1)
        log.run({ ...LOST, seq, destination, number: row.attempts + 1, at: takenAt })
      return {
        ...{ ...row, destination, replay: replay === 1, began: began ?? turn.clock },
        ...{ fence: row.fence + 1, attempts: row.attempts + delivering },
      }
    })
  }
}

// What whoever took it on has not lived to tell.
const LOST = {
  statusCode: null,
  durationMs: 0,
  error: 'interrupted: the process that sent it ended before the answer was noted',
  responseBody: null,
}

function dueOf(database: Database) {
  return prepare(database, (slot: Slot<'destination' | 'replay' | 'now' | 'limit'>) =>
    queries
      .selectFrom('pawl_deliveries as delivery')
      .innerJoin('pawl_events as event', 'event.seq', 'delivery.seq')
      .select([
        'delivery.seq',
        'delivery.event_id as eventId',
        'delivery.event_type as eventType',
        'delivery.resource_id as resourceId',
        'delivery.replay',
        'delivery.delivering',
        'delivery.taken_at as takenAt',
        'delivery.fence',
        'delivery.attempts',
        'delivery.tries',
        'delivery.began',
        'event.data',
        'event.created_at as createdAt',
      ])
      .where('delivery.destination', '=', slot('destination'))
      .where('delivery.replay', '=', slot('replay'))
      .where(READY)
      .where('delivery.next_at', '<=', slot('now'))
      .orderBy('delivery.next_at')
      .orderBy('delivery.seq')
      .limit(slot('limit')),
  )
}

function taking(database: Database) {
  return prepare(database, (slot: Slot<'seq' | 'destination' | 'until' | 'now' | 'clock'>) =>
    queries
      .updateTable('pawl_deliveries')
      .set((eb) => ({
        delivering: 1,
        fence: eb('fence', '+', 1),
        next_at: slot('until'),
        taken_at: slot('now'),
        attempts: sql<number>`attempts + delivering`,
        began: sql<number>`coalesce(began, ${slot('clock')})`,
      }))
      .where('seq', '=', slot('seq'))
      .where('destination', '=', slot('destination')),
  )
}

/** Prepares noting an attempt. */
export function loggingAttempt(database: Database) {
  return prepare(database, (slot: Slot<keyof AttemptRow | 'seq' | 'destination'>) =>
    queries.insertInto('pawl_attempts').values({
      seq: slot('seq'),
      destination: slot('destination'),
      number: slot('number'),
      at: slot('at'),
      status_code: slot('statusCode'),
      duration_ms: slot('durationMs'),
      error: slot('error'),
      response_body: slot('responseBody'),
    }),
  )
}
