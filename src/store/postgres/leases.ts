/** How does whoever runs a consumer change it, as long as nobody has taken over? @module */

import type { QueryCreator } from 'kysely'
import type { Consumers, Failure, Lease } from '../consumers.ts'
import { keepable } from './keepable.ts'
import type { OnSession } from './on-session.ts'
import type { Tables } from './schema.ts'
import type { Slot, Statements } from './statement.ts'

type Leases = 'advanceConsumer' | 'extendLease' | 'failConsumer' | 'releaseConsumer'

/** Prepares what a lease allows. */
export function createLeases(statements: Statements): OnSession<Pick<Consumers, Leases>> {
  const [advance, extend] = [advancing(statements), extending(statements)]
  const [fail, release] = [failing(statements), releasing(statements)]
  return {
    advanceConsumer: async (session, lease, position) =>
      (await advance.run(session, { ...lease, position })) === 1,
    extendLease: async (session, lease) => (await extend.run(session, lease)) === 1,
    failConsumer: async (session, lease, failure) => {
      const error = keepable(failure.error)
      return (await fail.run(session, { ...lease, ...failure, error })) === 1
    },
    releaseConsumer: async (session, lease) => void (await release.run(session, lease)),
  }
}

/** Changes a consumer as long as the lease holds. One that was removed and is new again counts its owners from the start. */
function fenced(queries: QueryCreator<Tables>, slot: Slot<keyof Lease>) {
  return queries
    .updateTable('pawl_consumers')
    .where('tenant', '=', slot('tenant'))
    .where('name', '=', slot('name'))
    .where('owner', '=', slot('owner'))
    .where('fence', '=', slot('fence'))
}

/** Extends a lease that still holds: the row stays locked, so that nobody takes over before the commit. */
export function extended(queries: QueryCreator<Tables>, slot: Slot<keyof Lease>) {
  return fenced(queries, slot).set({ leased_until: slot('until') })
}

function extending({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof Lease>) => extended(queries, slot))
}

function advancing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof Lease | 'position'>) =>
    fenced(queries, slot).set({
      position: slot('position'),
      leased_until: slot('until'),
      attempts: 0,
      next_at: 0,
      last_error: null,
    }),
  )
}

function failing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof Lease | keyof Failure>) =>
    fenced(queries, slot).set({
      leased_until: slot('until'),
      attempts: slot('attempts'),
      next_at: slot('nextAt'),
      last_error: slot('error'),
    }),
  )
}

function releasing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<Exclude<keyof Lease, 'until'>>) =>
    fenced(queries, slot as Slot<keyof Lease>).set({ owner: null }),
  )
}
