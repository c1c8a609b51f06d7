/** How does SQLite find and list deliveries? @module */

import type { Database } from 'better-sqlite3'
import { type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import type { DeliveryQuery, DeliveryReads } from '../deliveries.ts'
import {
  attemptColumns,
  deliveryColumns,
  type StoredDelivery,
  toDelivery,
} from '../delivery-columns.ts'
import { type Stretch, stretchesOf } from '../delivery-stretches.ts'
import type { Tables } from '../schema.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

type Lists = Pick<
  DeliveryReads,
  'findDelivery' | 'firstInQueue' | 'listDeliveries' | 'listAttempts' | 'commandAt'
>

/** Prepares finding and listing. */
export function createDeliveryLists(database: Database): Immediate<Lists> {
  const [find, attempts, command] = [byPlace(database), attemptsOf(database), commandAt(database)]
  const [list, first] = [lister(database), firstOf(database)]
  return {
    findDelivery: (place) => find.all({ ...place }).map(toDelivery)[0],
    firstInQueue: (place) => first.all({ ...place }).map(toDelivery)[0],
    listDeliveries: (query) => list(query).map(toDelivery),
    listAttempts: (place) => attempts.all({ ...place }),
    commandAt: (seq) => command.get({ seq })?.command ?? null,
  }
}

function deliveries() {
  return queries
    .selectFrom('pawl_deliveries as delivery')
    .innerJoin('pawl_destinations as destination', 'destination.position', 'delivery.destination')
    .select(deliveryColumns)
}

function byPlace(database: Database) {
  return prepare(database, (slot) =>
    deliveries()
      .where('delivery.seq', '=', slot('seq'))
      .where('delivery.destination', '=', slot('destination')),
  )
}

function firstOf(database: Database) {
  return prepare(database, (slot) =>
    deliveries()
      .where('delivery.destination', '=', slot('destination'))
      .where('delivery.resource_id', '=', slot('resourceId'))
      // As the index has it in its condition, though what is ready is open.
      .where(sql<SqlBool>`delivery.open = 1`)
      .where(sql<SqlBool>`delivery.ready = 1`)
      .orderBy('delivery.replay')
      .orderBy('delivery.seq')
      .limit(sql.lit(1)),
  )
}

function attemptsOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_attempts')
      .select(attemptColumns)
      .where('seq', '=', slot('seq'))
      .where('destination', '=', slot('destination'))
      .orderBy('number'),
  )
}

function commandAt(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select('command').where('seq', '=', slot('seq')),
  )
}

/** Runs a list; the statement of each shape is prepared once. */
function lister(database: Database): (query: DeliveryQuery) => StoredDelivery[] {
  const prepared = new Map<string, ReturnType<typeof prepareList>>()
  return (query) => {
    const { tenant, destination, seq, statuses, after, order } = query
    const shape = [tenant, destination, seq, after].map((value) => value !== null)
    const key = JSON.stringify([shape, statuses, order])
    const statement = prepared.get(key) ?? prepareList(database, query)
    prepared.set(key, statement)
    return statement.all({ ...query, afterSeq: after?.seq, afterDestination: after?.destination })
  }
}

type Part = SelectQueryBuilder<
  Tables & { delivery: Tables['pawl_deliveries']; destination: Tables['pawl_destinations'] },
  'delivery' | 'destination',
  StoredDelivery
>

function prepareList(database: Database, query: DeliveryQuery) {
  const { order } = query
  return prepare(database, (slot) => {
    const [first, ...rest] = stretchesOf(query).map((stretch) =>
      queries.selectFrom(partOf(query, stretch, slot).as('part') as never).selectAll(),
    )
    if (first === undefined) throw new Error('a list has to have at least one part')
    const union = rest.reduce((all, one) => all.unionAll(one), first)
    return queries
      .selectFrom(union.as('merged') as never)
      .selectAll()
      .orderBy(sql.ref('seq'), order)
      .orderBy(sql.ref('destination'), order)
      .limit(slot('limit')) as never as Part
  })
}

function partOf(
  query: DeliveryQuery,
  { status, delivering }: Stretch,
  slot: (name: string) => never,
): Part {
  const { tenant, destination, seq, after, order } = query
  let part: Part = deliveries() as never
  if (tenant !== null) part = part.where('delivery.tenant', '=', slot('tenant'))
  if (destination !== null) part = part.where('delivery.destination', '=', slot('destination'))
  if (seq !== null) part = part.where('delivery.seq', '=', slot('seq'))
  if (status !== undefined) part = part.where('delivery.status', '=', status)
  if (delivering !== undefined) part = part.where('delivery.delivering', '=', delivering)
  if (after !== null) part = part.where(beyond(order, slot))
  return part
    .orderBy('delivery.seq', order)
    .orderBy('delivery.destination', order)
    .limit(slot('limit'))
}

/** What comes after the last one of the page before, in either direction. */
function beyond(order: 'asc' | 'desc', slot: (name: string) => never) {
  const [seq, destination] = [slot('afterSeq'), slot('afterDestination')]
  return order === 'asc'
    ? sql<SqlBool>`delivery.seq >= ${seq} and (delivery.seq > ${seq} or delivery.destination > ${destination})`
    : sql<SqlBool>`delivery.seq <= ${seq} and (delivery.seq < ${seq} or delivery.destination < ${destination})`
}
