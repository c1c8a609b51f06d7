/** What is delivered to whom? `deliveries.list` and `deliveries.get` @module */

import type { Context } from '../context.ts'
import { type Issue, notFound, refuseIssues } from '../errors.ts'
import type { Reader } from '../log/events.ts'
import { listOf, tenantOf } from '../log/filters.ts'
import {
  fetchPage,
  fromCursor,
  type List,
  limitOf,
  PAGE_OPTIONS,
  type PageOptions,
  type PagePromise,
  pageIssues,
  toCursor,
} from '../log/page.ts'
import { idIssues, unknownKeys } from '../runtime/options.ts'
import type { DeliveryQuery, DeliveryRow, DeliveryStatus } from '../store/deliveries.ts'
import {
  type Delivery,
  type DeliveryWithAttempts,
  partsOf,
  toAttempt,
  toDelivery,
} from './delivery.ts'

/** Which deliveries to list, those of the newest events first by default. */
export interface DeliveryFilter extends PageOptions {
  /** The id of a destination. */
  readonly destination?: string
  /** The id of an event. */
  readonly event?: string
  /** One or many. */
  readonly status?: DeliveryStatus | readonly DeliveryStatus[]
  /** On the root handle: another tenant, or `*` for all. */
  readonly tenant?: string
}

const FILTERS = [...PAGE_OPTIONS, 'destination', 'event', 'status', 'tenant']

const STATUSES: readonly DeliveryStatus[] = [
  ...(['pending', 'delivering', 'waiting', 'succeeded', 'exhausted', 'canceled'] as const),
]

/** Lists deliveries. Throws `invalid_input` for filters that cannot match anything. */
export function listDeliveries(
  context: Context,
  reader: Reader,
  filter: DeliveryFilter = {},
): PagePromise<Delivery> {
  return fetchPage(
    {
      limit: limitOf(filter),
      read: (cursor) => readDeliveries(context, reader, filter, cursor),
      cursorAfter: ({ seq, destination }: DeliveryRow) =>
        toCursor(deliveryList(context), [seq, destination]),
      toItem: toDelivery,
    },
    filter?.cursor,
  )
}

async function readDeliveries(
  context: Context,
  reader: Reader,
  filter: DeliveryFilter,
  cursor: string | undefined,
): Promise<readonly DeliveryRow[]> {
  const issues: Issue[] = [...unknownKeys(filter, FILTERS), ...filterIssues(filter)]
  const tenant = tenantOf(reader.tenant, reader.root, filter.tenant, issues)
  refuseIssues('the filter', issues)
  const [seq = 0, destination = 0] = fromCursor(deliveryList(context), cursor, 2) ?? []
  const after = cursor === undefined ? null : { seq, destination }
  const places = await placesOf(context, filter)
  if (places === null) return []
  const { status, order = 'desc' } = filter
  const statuses = status === undefined ? null : [...new Set(listOf(status))].sort()
  const query = { tenant, statuses, after, order, limit: limitOf(filter) + 1 }
  return context.store.listDeliveries({ ...query, ...places })
}

function deliveryList({ identity }: Context): List {
  return { identity, name: 'deliveries' }
}

function filterIssues(filter: DeliveryFilter): Issue[] {
  const { destination, event, status } = filter
  const issues = pageIssues(filter)
  if (destination !== undefined) issues.push(...idIssues('destination', destination))
  if (event !== undefined) issues.push(...idIssues('event', event))
  const statuses: readonly DeliveryStatus[] = status === undefined ? STATUSES : listOf(status)
  if (statuses.length > 0 && statuses.every((one) => STATUSES.includes(one))) return issues
  const message = `has to be one or more of ${STATUSES.join(', ')}`
  return [...issues, { path: ['status'], code: 'unknown_status', message }]
}

/** Where to look; null where there can be nothing. */
async function placesOf(
  { store }: Context,
  { destination, event }: DeliveryFilter,
): Promise<Pick<DeliveryQuery, 'destination' | 'seq'> | null> {
  const of = destination === undefined ? null : await store.findDestination(destination)
  const entry = event === undefined ? null : await store.findEntry(event)
  if (of === undefined || entry === undefined) return null
  return { destination: of?.position ?? null, seq: entry?.seq ?? null }
}

/** Finds a delivery of this tenant. Throws `not_found`. */
export async function findDelivery(
  { store }: Context,
  { tenant }: Reader,
  id: string,
): Promise<DeliveryRow> {
  refuseIssues('the id', idIssues('id', id))
  const { eventId, destinationId } = partsOf(id) ?? {}
  const destination = destinationId && (await store.findDestination(destinationId))
  const entry = destination && eventId && (await store.findEntry(eventId))
  const row =
    entry && (await store.findDelivery({ seq: entry.seq, destination: destination.position }))
  if (!row || row.tenant !== tenant) throw notFound(id, 'delivery')
  return row
}

/** Reads a delivery with its attempts. Throws `not_found`. */
export async function getDelivery(
  context: Context,
  reader: Reader,
  id: string,
): Promise<DeliveryWithAttempts> {
  const row = await findDelivery(context, reader, id)
  const attempts = await context.store.listAttempts(row)
  return { ...toDelivery(row), attempt_log: attempts.map(toAttempt) }
}
