/** How does PostgreSQL keep where consumers are, beside other processes that want to run them? @module */

import { sql } from 'kysely'
import { consumerColumns } from '../columns.ts'
import type { ConsumerName, ConsumerRow, Consumers, TakenRow } from '../consumers.ts'
import { createLeases } from './leases.ts'
import type { OnSession } from './on-session.ts'
import { createParking } from './parked.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares what consumers need. */
export function createConsumers(statements: Statements): OnSession<Consumers> {
  return {
    ...createTaking(statements),
    ...createLeases(statements),
    ...createParking(statements),
    ...createReading(statements),
  }
}

function createTaking(
  statements: Statements,
): OnSession<Pick<Consumers, 'takeConsumer' | 'removeConsumer'>> {
  const [take, begin] = [taking(statements), beginning(statements)]
  const remove = removing(statements)
  return {
    takeConsumer: async (session, consumer, now, until) => {
      const row =
        (await take.get(session, { ...consumer, now, until })) ??
        // It is new, or somebody has it. Of two that find it new, one is told that it has it.
        (await begin.get(session, { ...consumer, until }))
      return row as TakenRow | undefined
    },
    removeConsumer: async (session, consumer, now) =>
      (await remove.run(session, { ...consumer, now })) === 1,
  }
}

function createReading(
  statements: Statements,
): OnSession<Pick<Consumers, 'findConsumer' | 'listConsumers'>> {
  const find = consumerByName(statements)
  const [list, all] = [consumersOf(statements), allConsumers(statements)]
  return {
    findConsumer: (session, consumer) => find.get(session, consumer),
    listConsumers: (session, tenant) =>
      tenant === null ? all.all(session, {}) : list.all(session, { tenant }),
  }
}

type TakingSlot = Slot<keyof ConsumerName | 'owner' | 'now' | 'until'>

/** Of several that wait for the row, the first to get it takes it: the others then find its lease. */
function taking({ queries, prepare }: Statements) {
  return prepare((slot: TakingSlot) =>
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
      )
      .returning(consumerColumns),
  )
}

type BeginningSlot = Slot<keyof ConsumerName | 'position' | 'owner' | 'until'>

function beginning({ queries, table, prepare }: Statements) {
  return prepare((slot: BeginningSlot) => {
    const [tenant, name] = [sql`${slot('tenant')}::text`, sql`${slot('name')}::text`]
    // Whoever begins at the start begins where the log does by now; it is not shortened before others see this.
    const pruned = sql`select pruned from ${table('pawl_log')} where id = 1 for share`
    return queries
      .insertInto('pawl_consumers')
      .columns(['tenant', 'name', 'position', 'owner', 'fence', 'leased_until'])
      .expression(
        sql`
          select ${tenant}, ${name}, greatest(${slot('position')}::bigint, (${pruned})),
            ${slot('owner')}::text, 1, ${slot('until')}::bigint
          where not exists (
            select 1 from ${table('pawl_consumers')} where tenant = ${tenant} and name = ${name}
          )`,
      )
      .onConflict((conflict) => conflict.doNothing())
      .returning(consumerColumns)
  })
}

function removing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof ConsumerName | 'now'>) =>
    queries
      .deleteFrom('pawl_consumers')
      .where('tenant', '=', slot('tenant'))
      .where('name', '=', slot('name'))
      .where(({ eb, or }) => or([eb('owner', 'is', null), eb('leased_until', '<=', slot('now'))])),
  )
}

function allConsumers({ queries, prepare }: Statements) {
  return prepare<never, ConsumerRow>(() =>
    queries.selectFrom('pawl_consumers').select(consumerColumns).orderBy('tenant').orderBy('name'),
  )
}

function consumersOf({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'tenant'>) =>
    queries
      .selectFrom('pawl_consumers')
      .select(consumerColumns)
      .where('tenant', '=', slot('tenant'))
      .orderBy('name'),
  )
}

function consumerByName({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof ConsumerName>) =>
    queries
      .selectFrom('pawl_consumers')
      .select(consumerColumns)
      .where('tenant', '=', slot('tenant'))
      .where('name', '=', slot('name')),
  )
}
