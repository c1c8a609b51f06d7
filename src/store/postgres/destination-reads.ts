/** How does PostgreSQL find destinations, and those with something to be done? @module */

import { type SqlBool, sql } from 'kysely'
import type { DeliveryReads, DueDestination } from '../deliveries.ts'
import { destinationColumns, toDestination } from '../delivery-columns.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

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
export function createDestinationReads(statements: Statements): OnSession<DestinationReads> {
  const [all, one, behind] = [
    openDestinations(statements),
    byId(statements),
    destinationsBehind(statements),
  ]
  const [due, unverified] = [dueDestinations(statements), unverifiedDestinations(statements)]
  const [accepted, next] = [acceptance(statements), nextOf(statements)]
  return {
    listDestinations: async (session) => (await all.all(session, {})).map(toDestination),
    findDestination: async (session, id) => {
      const found = await one.get(session, { id })
      return found && toDestination(found)
    },
    destinationsBehind: async (session, limit) =>
      (await behind.all(session, { limit })).map(toDestination),
    dueDestinations: async (session, now, after, limit) =>
      (await due.all(session, { at: 0, position: 0, ...after, now, limit })).map(toDue),
    unverifiedDestinations: async (session, now, limit) =>
      (await unverified.all(session, { now, limit })).map(toDue),
    acceptedAt: async (session, destination) =>
      (await accepted.get(session, { destination }))?.accepted ?? 0,
    nextDeliveryAt: async (session, after) => (await next.get(session, { after }))?.at ?? undefined,
  }
}

function toDue(row: Omit<DueDestination, 'at'> & { readonly at: number | null }): DueDestination {
  return { ...row, at: row.at ?? 0 }
}

function openDestinations({ queries, prepare }: Statements) {
  return prepare(() =>
    queries
      .selectFrom('pawl_destinations')
      .select(destinationColumns)
      .where('phase', '<>', 'ended')
      .orderBy('position'),
  )
}

function byId({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'id'>) =>
    queries.selectFrom('pawl_destinations').select(destinationColumns).where('id', '=', slot('id')),
  )
}

function destinationsBehind({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'limit'>) =>
    queries
      .selectFrom('pawl_destinations')
      .select(destinationColumns)
      // As it stands in the condition of the index.
      .where(sql<SqlBool>`phase = 'behind'`)
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function dueDestinations({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'now' | 'at' | 'position' | 'limit'>) =>
    queries
      .selectFrom('pawl_destinations')
      .select(['position', 'id', 'next_at as at'])
      .where('next_at', '<=', slot('now'))
      .where(
        sql<SqlBool>`(next_at, position) > (${slot('at')}::bigint, ${slot('position')}::bigint)`,
      )
      .orderBy('next_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function unverifiedDestinations({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'now' | 'limit'>) =>
    queries
      .selectFrom('pawl_destinations')
      .select(['position', 'id', 'verify_at as at'])
      .where('verify_at', '<=', slot('now'))
      .orderBy('verify_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function acceptance({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'destination'>) =>
    queries
      .selectFrom('pawl_destinations')
      .select('accepted')
      .where('position', '=', slot('destination')),
  )
}

/** The earlier of the next delivery and the next verification. */
function nextOf({ table, prepare }: Statements) {
  return prepare((slot: Slot<'after'>) => {
    const [destinations, after] = [table('pawl_destinations'), sql`${slot('after')}::bigint`]
    return sql<{ readonly at: number | null }>`
      select least(
        (select min(next_at) from ${destinations} where next_at > ${after}),
        (select min(verify_at) from ${destinations} where verify_at > ${after})
      ) as at`
  })
}
