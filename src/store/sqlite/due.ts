/** Which deliveries of a destination does SQLite give out, and how are they taken on? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { AttemptRow, ClaimedRow, Wish } from '../deliveries.ts'
import { LOST } from '../delivery-columns.ts'
import { holding } from './delivery-queue.ts'
import { READY } from './open-ones.ts'
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
  const read = ({ destination, most, replays }: Wish, now: number): Due[] => {
    const live = due.all({ destination, now, replay: 0, limit: most })
    const limit = Math.min(replays, most - live.length)
    const replayed = limit === 0 ? [] : due.all({ destination, now, replay: 1, limit })
    return [...live, ...replayed].map(toDue)
  }
  // Where the order has changed since, several of a resource may be due: all but the first wait for their turn.
  const oneEach = (destination: number, rows: readonly Due[]): readonly Due[] => {
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
    const rows = turn.ordered ? oneEach(destination, read(wish, now)) : read(wish, now)
    if (rows.length === 0) return []
    turn.clock += 1
    const seqs = JSON.stringify(rows.map(({ seq }) => seq))
    take.run({ seqs, destination, until: now + lease, now, clock: turn.clock })
    for (const { seq, delivering, attempts, takenAt } of rows) {
      // Its lease has run out.
      if (delivering === 1)
        log.run({ ...LOST, seq, destination, number: attempts + 1, at: takenAt })
    }
    return rows.map((row) => toClaimed(row, destination, turn))
  }
}

function toClaimed(row: Due, destination: number, { clock }: Turn): ClaimedRow {
  return {
    seq: row.seq,
    destination,
    eventId: row.eventId,
    eventType: row.eventType,
    resourceId: row.resourceId,
    replay: row.replay === 1,
    fence: row.fence + 1,
    attempts: row.attempts + row.delivering,
    tries: row.tries,
    began: row.began ?? clock,
    data: row.data,
    createdAt: row.createdAt,
  }
}

/** A delivery that is due, as it is. */
interface Due
  extends Pick<ClaimedRow, 'seq' | 'eventId' | 'eventType' | 'resourceId' | 'fence' | 'attempts'>,
    Pick<ClaimedRow, 'tries' | 'data' | 'createdAt'> {
  readonly replay: number
  readonly delivering: number
  readonly takenAt: number | null
  readonly began: number | null
}

function dueOf(database: Database) {
  const build = (slot: Slot<'destination' | 'replay' | 'now' | 'limit'>) =>
    queries
      .selectFrom('pawl_deliveries as delivery')
      .innerJoin('pawl_events as event', 'event.seq', 'delivery.seq')
      .select([
        'delivery.seq',
        'delivery.event_id',
        'delivery.event_type',
        'delivery.resource_id',
        'delivery.replay',
        'delivery.delivering',
        'delivery.taken_at',
        'delivery.fence',
        'delivery.attempts',
        'delivery.tries',
        'delivery.began',
        'event.data',
        'event.created_at',
      ])
      .where('delivery.destination', '=', slot('destination'))
      .where('delivery.replay', '=', slot('replay'))
      .where(READY)
      .where('delivery.next_at', '<=', slot('now'))
      .orderBy('delivery.next_at')
      .orderBy('delivery.seq')
      .limit(slot('limit'))
  return prepare<'destination' | 'replay' | 'now' | 'limit', unknown>(database, build, true)
}

/** Gives a delivery, as an array of the columns above, the types of a row. */
function toDue(columns: unknown): Due {
  const row = columns as readonly unknown[]
  const due = {
    seq: row[0],
    eventId: row[1],
    eventType: row[2],
    resourceId: row[3],
    replay: row[4],
    delivering: row[5],
    takenAt: row[6],
    fence: row[7],
    attempts: row[8],
    tries: row[9],
    began: row[10],
    data: row[11],
    createdAt: row[12],
  }
  return due as Due
}

function taking(database: Database) {
  return prepare(database, (slot: Slot<'seqs' | 'destination' | 'until' | 'now' | 'clock'>) =>
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
      .where(
        sql<SqlBool>`(seq, destination) in (
          select value, ${slot('destination')} from json_each(${slot('seqs')})
        )`,
      ),
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
