/** How does SQLite find and list deliveries? @module */

import type { Database } from 'better-sqlite3'
import { type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import type { DeliveryQuery, DeliveryReads, DeliveryRow, DeliveryStatus } from '../deliveries.ts'
import type { Phase } from '../delivery-schema.ts'
import type { Tables } from '../schema.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

type Lists = Pick<DeliveryReads, 'findDelivery' | 'listDeliveries' | 'listAttempts' | 'commandAt'>

/** Prepares finding and listing. */
export function createDeliveryLists(database: Database): Immediate<Lists> {
  const [find, attempts, command] = [byPlace(database), attemptsOf(database), commandAt(database)]
  const list = lister(database)
  return {
    findDelivery: (place) => find.all({ ...place }).map(toDelivery)[0],
    listDeliveries: (query) => list(query).map(toDelivery),
    listAttempts: (place) => attempts.all({ ...place }),
    commandAt: (seq) => command.get({ seq })?.command ?? null,
  }
}

const deliveryColumns = [
  'delivery.seq',
  'delivery.destination',
  'destination.id as destinationId',
  'destination.phase',
  'delivery.tenant',
  'delivery.event_id as eventId',
  'delivery.event_type as eventType',
  'delivery.resource_id as resourceId',
  'delivery.replay',
  'delivery.status',
  'delivery.ready',
  'delivery.delivering',
  'delivery.next_at as nextAt',
  'delivery.fence',
  'delivery.attempts',
  'delivery.tries',
  'delivery.began',
  'delivery.last_error as lastError',
  'delivery.created_at as createdAt',
  'delivery.delivered_at as deliveredAt',
] as const

function deliveries() {
  return queries
    .selectFrom('pawl_deliveries as delivery')
    .innerJoin('pawl_destinations as destination', 'destination.position', 'delivery.destination')
    .select(deliveryColumns)
}

type Columns = Omit<DeliveryRow, 'replay' | 'ready' | 'isGoing'> & {
  readonly replay: number
  readonly ready: number
  readonly delivering: number
  readonly phase: Phase
}

function toDelivery({ delivering, replay, ready, phase, ...row }: Columns): DeliveryRow {
  return {
    ...row,
    status: delivering === 1 ? 'delivering' : row.status,
    isGoing: phase === 'following' || phase === 'behind',
    replay: replay === 1,
    ready: ready === 1,
  }
}

function byPlace(database: Database) {
  return prepare(database, (slot) =>
    deliveries()
      .where('delivery.seq', '=', slot('seq'))
      .where('delivery.destination', '=', slot('destination')),
  )
}

function attemptsOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_attempts')
      .select([
        'number',
        'at',
        'status_code as statusCode',
        'duration_ms as durationMs',
        'error',
        'response_body as responseBody',
      ])
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

const STORED = ['pending', 'waiting', 'succeeded', 'exhausted', 'canceled'] as const

/** Runs a list; the statement of each shape is prepared once. */
function lister(database: Database): (query: DeliveryQuery) => Columns[] {
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
  Columns
>

/** An index leads to the deliveries of one status: those of several are read as far as the page reaches, and merged. */
function prepareList(database: Database, query: DeliveryQuery) {
  const { order } = query
  const isNarrow = query.destination !== null || query.seq !== null || query.tenant === null
  const parts = query.statuses ?? (isNarrow ? [null] : STORED)
  return prepare(database, (slot) => {
    const part = (one: DeliveryStatus | null) => {
      let selected = filtered(deliveries() as never, query, one, slot)
      if (query.after !== null) selected = selected.where(beyond(order, slot))
      return selected
        .orderBy('delivery.seq', order)
        .orderBy('delivery.destination', order)
        .limit(slot('limit'))
    }
    const [first, ...rest] = parts.map((one) =>
      queries.selectFrom(part(one).as('part') as never).selectAll(),
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

function filtered(
  part: Part,
  { tenant, destination, seq }: DeliveryQuery,
  status: DeliveryStatus | null,
  slot: (name: string) => never,
): Part {
  let selected = part
  if (tenant !== null) selected = selected.where('delivery.tenant', '=', slot('tenant'))
  if (destination !== null)
    selected = selected.where('delivery.destination', '=', slot('destination'))
  if (seq !== null) selected = selected.where('delivery.seq', '=', slot('seq'))
  return status === null ? selected : withStatus(selected, status)
}

function withStatus(part: Part, status: DeliveryStatus): Part {
  // Whoever is at it does so in one of the two.
  if (status === 'delivering')
    return part
      .where('delivery.status', 'in', ['pending', 'waiting'])
      .where('delivery.delivering', '=', 1)
  const selected = part.where('delivery.status', '=', status)
  const isOpen = status === 'pending' || status === 'waiting'
  return isOpen ? selected.where('delivery.delivering', '=', 0) : selected
}

/** What comes after the last one of the page before, in either direction. */
function beyond(order: 'asc' | 'desc', slot: (name: string) => never) {
  const [seq, destination] = [slot('afterSeq'), slot('afterDestination')]
  return order === 'asc'
    ? sql<SqlBool>`delivery.seq >= ${seq} and (delivery.seq > ${seq} or delivery.destination > ${destination})`
    : sql<SqlBool>`delivery.seq <= ${seq} and (delivery.seq < ${seq} or delivery.destination < ${destination})`
}
