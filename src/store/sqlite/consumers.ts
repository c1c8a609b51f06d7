/** How does SQLite keep where consumers are, and what they have given up on? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import { consumerColumns } from '../columns.ts'
import type { ConsumerRow, Consumers, Lease } from '../consumers.ts'
import type { Immediate } from './deferred.ts'
import { createParking } from './parked.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** Prepares what consumers need. */
export function createConsumers(database: Database): Immediate<Consumers> {
  const extend = extending(database)
  return {
    ...createLeases(database),
    ...createParking(database, (lease) => extend.run({ ...lease }) === 1),
    ...createReading(database),
  }
}

type Leases =
  | 'takeConsumer'
  | 'advanceConsumer'
  | 'extendLease'
  | 'failConsumer'
  | 'releaseConsumer'
  | 'removeConsumer'

function createLeases(database: Database): Immediate<Pick<Consumers, Leases>> {
  const [insert, take, find] = [inserting(database), taking(database), consumerByName(database)]
  const [advance, extend, fail] = [advancing(database), extending(database), failing(database)]
  const [release, remove] = [releasing(database), removing(database)]
  return {
    takeConsumer: (consumer, now, until) => {
      insert.run({ ...consumer })
      if (take.run({ ...consumer, now, until }) !== 1) return undefined
      const row = find.get({ ...consumer })
      return row === undefined ? undefined : { ...row, owner: consumer.owner }
    },
    advanceConsumer: (lease, position) => advance.run({ ...lease, position }) === 1,
    extendLease: (lease) => extend.run({ ...lease }) === 1,
    failConsumer: (lease, failure) => fail.run({ ...lease, ...failure }) === 1,
    releaseConsumer: (lease) => void release.run({ ...lease }),
    removeConsumer: (consumer, now) => remove.run({ ...consumer, now }) === 1,
  }
}

function createReading(
  database: Database,
): Immediate<Pick<Consumers, 'findConsumer' | 'listConsumers'>> {
  const [find, list, all] = [
    consumerByName(database),
    consumersOf(database),
    allConsumers(database),
  ]
  return {
    findConsumer: (consumer) => find.get({ ...consumer }),
    listConsumers: (tenant) => (tenant === null ? all.all({}) : list.all({ tenant })),
  }
}

function inserting(database: Database) {
  return prepare(database, (slot) =>
    queries
      .insertInto('pawl_consumers')
      .values({
        tenant: slot('tenant'),
        name: slot('name'),
        // Whoever begins at the start begins where the log does by now.
        position: sql<number>`max(${slot('position')}, (select pruned from pawl_log))`,
        fence: 0,
        leased_until: 0,
      })
      .onConflict((conflict) => conflict.doNothing()),
  )
}

function taking(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_consumers')
      .set(({ eb }) => ({
        owner: slot('owner'),
        fence: eb('fence', '+', 1),
        leased_until: slot('until'),
      }))
      .where('tenant', '=', slot('tenant'))
      .where('name', '=', slot('name'))
      .where(({ eb, or }) =>
        or([
          eb('owner', 'is', null),
          eb('owner', '=', slot('owner')),
          eb('leased_until', '<=', slot('now')),
        ]),
      ),
  )
}

type LeaseSlot = Slot<'tenant' | 'name' | 'owner' | 'fence'>

/** Changes a consumer as long as the lease holds. One that was removed and is new again counts its owners from the start. */
function fenced(slot: LeaseSlot) {
  return queries
    .updateTable('pawl_consumers')
    .where('tenant', '=', slot('tenant'))
    .where('name', '=', slot('name'))
    .where('owner', '=', slot('owner'))
    .where('fence', '=', slot('fence'))
}

function advancing(database: Database) {
  return prepare(database, (slot: Slot<keyof Lease | 'position'>) =>
    fenced(slot).set({
      position: slot('position'),
      leased_until: slot('until'),
      attempts: 0,
      next_at: 0,
      last_error: null,
    }),
  )
}

function extending(database: Database) {
  return prepare(database, (slot: Slot<keyof Lease>) =>
    fenced(slot).set({ leased_until: slot('until') }),
  )
}

function failing(database: Database) {
  return prepare(database, (slot: Slot<keyof Lease | 'attempts' | 'nextAt' | 'error'>) =>
    fenced(slot).set({
      leased_until: slot('until'),
      attempts: slot('attempts'),
      next_at: slot('nextAt'),
      last_error: slot('error'),
    }),
  )
}

function releasing(database: Database) {
  return prepare(database, (slot: Slot<keyof Lease>) => fenced(slot).set({ owner: null }))
}

function removing(database: Database) {
  return prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_consumers')
      .where('tenant', '=', slot('tenant'))
      .where('name', '=', slot('name'))
      .where(({ eb, or }) => or([eb('owner', 'is', null), eb('leased_until', '<=', slot('now'))])),
  )
}

function allConsumers(database: Database) {
  return prepare<never, ConsumerRow>(database, () =>
    queries.selectFrom('pawl_consumers').select(consumerColumns).orderBy('tenant').orderBy('name'),
  )
}

function consumersOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_consumers')
      .select(consumerColumns)
      .where('tenant', '=', slot('tenant'))
      .orderBy('name'),
  )
}

function consumerByName(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_consumers')
      .select(consumerColumns)
      .where('tenant', '=', slot('tenant'))
      .where('name', '=', slot('name')),
  )
}
