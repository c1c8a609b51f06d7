/** How does PostgreSQL keep the events that consumers have put aside? @module */

import { sql } from 'kysely'
import { parkedColumns } from '../columns.ts'
import type { ConsumerName, Consumers, Lease, ParkedRow } from '../consumers.ts'
import { keepable } from './keepable.ts'
import { extended } from './leases.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

type Parking = 'parkEvent' | 'unparkEvent' | 'retryParked' | 'listParked' | 'nextRetry'

/** Prepares putting events aside. */
export function createParking(statements: Statements): OnSession<Pick<Consumers, Parking>> {
  const [park, unpark, retry] = [parking(statements), unparking(statements), retrying(statements)]
  const [parked, next] = [parkedOf(statements), nextRetry(statements)]
  return {
    parkEvent: async (session, lease, event) => {
      const error = keepable(event.error)
      return (await park.run(session, { ...lease, ...event, error })) === 1
    },
    unparkEvent: async (session, lease, seq) =>
      (await unpark.run(session, { ...lease, seq })) === 1,
    retryParked: async (session, consumer, eventId) =>
      (await retry.run(session, { ...consumer, eventId })) === 1,
    listParked: async (session, consumer) => (await parked.all(session, consumer)).map(toParked),
    nextRetry: async (session, consumer) => (await next.all(session, consumer)).map(toParked)[0],
  }
}

function toParked(row: Omit<ParkedRow, 'retry'> & { readonly retry: number }): ParkedRow {
  return { ...row, retry: row.retry === 1 }
}

type ParkingSlot = Slot<keyof Lease | 'seq' | 'eventId' | 'error' | 'attempts' | 'parkedAt'>

function parking({ queries, prepare }: Statements) {
  return prepare((slot: ParkingSlot) =>
    queries
      .with('held', (own) => extended(own, slot).returning(['tenant', 'name']))
      .insertInto('pawl_parked')
      .columns(['tenant', 'consumer', 'seq', 'event_id', 'error', 'attempts', 'parked_at'])
      .expression((from) =>
        from
          .selectFrom('held')
          .select([
            'tenant',
            'name',
            sql<number>`${slot('seq')}::bigint`.as('seq'),
            sql<string>`${slot('eventId')}::text`.as('event_id'),
            sql<string>`${slot('error')}::text`.as('error'),
            sql<number>`${slot('attempts')}::bigint`.as('attempts'),
            sql<number>`${slot('parkedAt')}::bigint`.as('parked_at'),
          ]),
      )
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'consumer', 'seq']).doUpdateSet(({ ref }) => ({
          event_id: ref('excluded.event_id'),
          error: ref('excluded.error'),
          attempts: ref('excluded.attempts'),
          parked_at: ref('excluded.parked_at'),
          retry: 0,
        })),
      ),
  )
}

function unparking({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof Lease | 'seq'>) =>
    queries
      .with('held', (own) => extended(own, slot).returning(['tenant', 'name']))
      .with('gone', (own) =>
        own
          .deleteFrom('pawl_parked')
          .using('held')
          .whereRef('pawl_parked.tenant', '=', 'held.tenant')
          .whereRef('pawl_parked.consumer', '=', 'held.name')
          .where('pawl_parked.seq', '=', slot('seq')),
      )
      .selectFrom('held')
      .select('name'),
  )
}

function retrying({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof ConsumerName | 'eventId'>) =>
    queries
      .updateTable('pawl_parked')
      .set({ retry: 1 })
      .where('tenant', '=', slot('tenant'))
      .where('consumer', '=', slot('name'))
      .where('event_id', '=', slot('eventId')),
  )
}

function parkedOf({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof ConsumerName>) =>
    queries
      .selectFrom('pawl_parked')
      .select(parkedColumns)
      .where('tenant', '=', slot('tenant'))
      .where('consumer', '=', slot('name'))
      .orderBy('seq'),
  )
}

function nextRetry({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof ConsumerName>) =>
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
