/** How does SQLite keep the events that consumers have put aside? @module */

import type { Database } from 'better-sqlite3'
import { parkedColumns } from '../columns.ts'
import type { Consumers, Lease, ParkedRow } from '../consumers.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares putting events aside. `extend` extends a lease and tells whether it still holds. */
export function createParking(
  database: Database,
  extend: (lease: Lease) => boolean,
): Immediate<
  Pick<Consumers, 'parkEvent' | 'unparkEvent' | 'retryParked' | 'listParked' | 'nextRetry'>
> {
  const [park, unpark, retry] = [parking(database), unparking(database), retrying(database)]
  const [parked, next] = [parkedOf(database), nextRetry(database)]
  return {
    parkEvent: (lease, event) => {
      if (!extend(lease)) return false
      park.run({ ...lease, ...event })
      return true
    },
    unparkEvent: (lease, seq) => {
      if (!extend(lease)) return false
      unpark.run({ ...lease, seq })
      return true
    },
    retryParked: (consumer, eventId) => retry.run({ ...consumer, eventId }) === 1,
    listParked: (consumer) => parked.all({ ...consumer }).map(toParked),
    nextRetry: (consumer) => next.all({ ...consumer }).map(toParked)[0],
  }
}

function toParked(row: Omit<ParkedRow, 'retry'> & { readonly retry: number }): ParkedRow {
  return { ...row, retry: row.retry === 1 }
}

function parking(database: Database) {
  return prepare(database, (slot) =>
    queries.replaceInto('pawl_parked').values({
      tenant: slot('tenant'),
      consumer: slot('name'),
      seq: slot('seq'),
      event_id: slot('eventId'),
      error: slot('error'),
      attempts: slot('attempts'),
      parked_at: slot('parkedAt'),
      retry: 0,
    }),
  )
}

function unparking(database: Database) {
  return prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_parked')
      .where('tenant', '=', slot('tenant'))
      .where('consumer', '=', slot('name'))
      .where('seq', '=', slot('seq')),
  )
}

function retrying(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_parked')
      .set({ retry: 1 })
      .where('tenant', '=', slot('tenant'))
      .where('consumer', '=', slot('name'))
      .where('event_id', '=', slot('eventId')),
  )
}

function parkedOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_parked')
      .select(parkedColumns)
      .where('tenant', '=', slot('tenant'))
      .where('consumer', '=', slot('name'))
      .orderBy('seq'),
  )
}

function nextRetry(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_parked')
      .select(parkedColumns)
      .where('tenant', '=', slot('tenant'))
      .where('consumer', '=', slot('name'))
      .where('retry', '=', 1)
      .orderBy('seq')
      .limit(1),
  )
}
