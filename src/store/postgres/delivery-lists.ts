/** How does PostgreSQL find and list deliveries? @module */

import { type SqlBool, sql } from 'kysely'
import type { DeliveryQuery, DeliveryReads } from '../deliveries.ts'
import { attemptColumns, deliveryColumns, toDelivery } from '../delivery-columns.ts'
import { type Stretch, stretchesOf } from '../delivery-stretches.ts'
import type { OnSession } from './on-session.ts'
import { allOf, type Slot, type Statements } from './statement.ts'

type Lists = Pick<
  DeliveryReads,
  'findDelivery' | 'firstInQueue' | 'listDeliveries' | 'listAttempts' | 'commandAt'
>

/** Prepares finding and listing. */
export function createDeliveryLists(statements: Statements): OnSession<Lists> {
  const [find, first] = [byPlace(statements), firstOf(statements)]
  const [attempts, command] = [attemptsOf(statements), commandAt(statements)]
  return {
    findDelivery: async (session, place) => {
      const found = await find.get(session, place)
      return found && toDelivery(found)
    },
    firstInQueue: async (session, place) => {
      const found = await first.get(session, place)
      return found && toDelivery(found)
    },
    listDeliveries: async (session, query) => {
      const list = listOf(statements, query)
      return list === undefined ? [] : (await allOf(session, list)).map(toDelivery)
    },
    listAttempts: (session, place) => attempts.all(session, place),
    commandAt: async (session, seq) => (await command.get(session, { seq }))?.command ?? null,
  }
}

function deliveries({ queries }: Statements) {
  return queries
    .selectFrom('pawl_deliveries as delivery')
    .innerJoin('pawl_destinations as destination', 'destination.position', 'delivery.destination')
    .select(deliveryColumns)
}

function byPlace(statements: Statements) {
  return statements.prepare((slot: Slot<'seq' | 'destination'>) =>
    deliveries(statements)
      .where('delivery.seq', '=', slot('seq'))
      .where('delivery.destination', '=', slot('destination')),
  )
}

function firstOf(statements: Statements) {
  return statements.prepare((slot: Slot<'destination' | 'resourceId'>) =>
    deliveries(statements)
      .where('delivery.destination', '=', slot('destination'))
      .where('delivery.resource_id', '=', slot('resourceId'))
      .where(sql<SqlBool>`delivery.open = 1 and delivery.ready = 1`)
      .orderBy('delivery.replay')
      .orderBy('delivery.seq')
      .limit(sql.lit(1)),
  )
}

function attemptsOf({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'seq' | 'destination'>) =>
    queries
      .selectFrom('pawl_attempts')
      .select(attemptColumns)
      .where('seq', '=', slot('seq'))
      .where('destination', '=', slot('destination'))
      .orderBy('number'),
  )
}

function commandAt({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'seq'>) =>
    queries.selectFrom('pawl_events').select('command').where('seq', '=', slot('seq')),
  )
}

/** A list; undefined where nothing can be in it. */
function listOf({ queries }: Statements, query: DeliveryQuery) {
  const { order, limit } = query
  const [first, ...rest] = stretchesOf(query).map((stretch) =>
    // In brackets, since each has an order and a limit of its own.
    queries.selectFrom(partOf(queries, query, stretch).as('part')).selectAll(),
  )
  if (first === undefined) return undefined
  const union = rest.reduce((all, one) => all.unionAll(one), first)
  return queries
    .selectFrom(union.as('delivery'))
    .innerJoin('pawl_destinations as destination', 'destination.position', 'delivery.destination')
    .select(deliveryColumns)
    .orderBy('delivery.seq', order)
    .orderBy('delivery.destination', order)
    .limit(limit)
}

function partOf(
  queries: Statements['queries'],
  { tenant, destination, seq, after, order, limit }: DeliveryQuery,
  { status, delivering }: Stretch,
) {
  let part = queries.selectFrom('pawl_deliveries').selectAll()
  if (tenant !== null) part = part.where('tenant', '=', tenant)
  if (destination !== null) part = part.where('destination', '=', destination)
  if (seq !== null) part = part.where('seq', '=', seq)
  if (status !== undefined) part = part.where('status', '=', status)
  if (delivering !== undefined) part = part.where('delivering', '=', delivering)
  if (after !== null) part = part.where(beyond(order, after))
  return part.orderBy('seq', order).orderBy('destination', order).limit(limit)
}

/** What comes after the last one of the page before, in either direction. */
function beyond(order: 'asc' | 'desc', { seq, destination }: NonNullable<DeliveryQuery['after']>) {
  const sign = sql.raw(order === 'asc' ? '>' : '<')
  return sql<SqlBool>`(seq, destination) ${sign} (${seq}::bigint, ${destination}::bigint)`
}
