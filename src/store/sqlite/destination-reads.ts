/** How does SQLite find destinations, and those with something to be done? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { DeliveryReads, DueDestination } from '../deliveries.ts'
import { destinationColumns, toDestination } from '../delivery-columns.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** What can be read of destinations. */
export type DestinationReads = Pick<
  DeliveryReads,
  | 'listDestinations'
  | 'findDestination'
  | 'destinationsBehind'
  | 'dueDestinations'
  | 'unverifiedDestinations'
  | 'acceptedAt'
  | 'nextDeliveryAt'
>

/** Prepares reading. */
export function createDestinationReads(database: Database): Immediate<DestinationReads> {
  const [all, one, behind] = [
    openDestinations(database),
    byId(database),
    destinationsBehind(database),
  ]
  const [due, unverified] = [dueDestinations(database), unverifiedDestinations(database)]
  const [accepted, next] = [acceptance(database), nextOf(database)]
  return {
    listDestinations: () => all.all({}).map(toDestination),
    findDestination: (id) => one.all({ id }).map(toDestination)[0],
    destinationsBehind: (limit) => behind.all({ limit }).map(toDestination),
    dueDestinations: (now, after, limit) =>
      due.all({ at: 0, position: 0, ...after, now, limit }).map(toDue),
    unverifiedDestinations: (now, limit) => unverified.all({ now, limit }).map(toDue),
    acceptedAt: (destination) => accepted.get({ destination })?.accepted ?? 0,
    nextDeliveryAt: (after) => next.get({ after })?.at ?? undefined,
  }
}

function toDue(row: Omit<DueDestination, 'at'> & { readonly at: number | null }): DueDestination {
  return { ...row, at: row.at ?? 0 }
}

function openDestinations(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_destinations')
      .select(destinationColumns)
      .where('phase', '<>', 'ended')
      .orderBy('position'),
  )
}

function byId(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_destinations').select(destinationColumns).where('id', '=', slot('id')),
  )
}

function destinationsBehind(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations')
      .select(destinationColumns)
      .where(sql<SqlBool>`phase = 'behind'`)
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function dueDestinations(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations')
      .select(['position', 'id', 'next_at as at'])
      .where('next_at', '<=', slot('now'))
      .where(
        sql<SqlBool>`next_at >= ${slot('at')} and (next_at > ${slot('at')} or position > ${slot('position')})`,
      )
      .orderBy('next_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function unverifiedDestinations(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations')
      .select(['position', 'id', 'verify_at as at'])
      .where('verify_at', 'is not', null)
      .where('verify_at', '<=', slot('now'))
      .orderBy('verify_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function acceptance(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations')
      .select('accepted')
      .where('position', '=', slot('destination')),
  )
}

/** The earlier of the next delivery and the next verification. */
function nextOf(database: Database) {
  return prepare(database, (slot: Slot<'after'>) =>
    queries.selectNoFrom(
      sql<number | null>`(
        select min(at) from (
          select min(next_at) as at from pawl_destinations where next_at > ${slot('after')}
          union all
          select min(verify_at) from pawl_destinations where verify_at > ${slot('after')}
        )
      )`.as('at'),
    ),
  )
}
