/** Why was an event delivered to a destination, or why not? `deliveries.explain` @module */

import { toIso } from '../clock.ts'
import type { Context } from '../context.ts'
import type { ResourceView } from '../core/definition.ts'
import type { ResourceRow } from '../core/rows.ts'
import { isPawlError, notFound, refuseIssues } from '../errors.ts'
import type { Reader } from '../log/events.ts'
import { resourceAt } from '../log/time-travel.ts'
import { idIssues, unknownKeys } from '../runtime/options.ts'
import type { DeliveryRow, DestinationRow } from '../store/deliveries.ts'
import type { EntryQuery, ReadEntry } from '../store/queries.ts'
import { DESTINATION, type Deliverer, problemWith } from './deliverer.ts'
import { givenOutTo } from './dispatch.ts'
import { isWanted } from './patterns.ts'

/** Which event, and to which destination. */
export interface DeliveryQuestion {
  /** The id of an event. */
  readonly event: string
  /** The id of a destination. */
  readonly destination: string
}

/** Why an event has not been delivered. */
export type UndeliveredReason =
  | 'pending'
  | 'delivering'
  | 'waiting'
  | 'blocked'
  | 'exhausted'
  | 'canceled'
  | 'destination_inactive'
  | 'not_sendable'
  | 'not_dispatched'
  | 'internal'
  | 'own_event'
  | 'not_matched'
  | 'before_activation'
  | 'skipped'

/** Whether an event has been delivered, and why not. */
export interface DeliveryExplanation {
  readonly delivered: boolean
  /** A stable name; null when it has been delivered. */
  readonly reason: UndeliveredReason | null
  /** The same for people. */
  readonly message: string
}

/** Tells whether an event has been delivered to a destination, and why not. Throws `not_found`. */
export async function explainDelivery(
  deliverer: Deliverer,
  { tenant }: Reader,
  asked: DeliveryQuestion,
): Promise<DeliveryExplanation> {
  refuseIssues('the question', [
    ...unknownKeys(asked, ['event', 'destination']),
    ...idIssues('event', asked.event),
    ...idIssues('destination', asked.destination),
  ])
  const { context } = deliverer
  const { store } = context
  const entry = await store.findEntry(asked.event)
  if (entry === undefined || entry.tenant !== tenant) throw notFound(asked.event, 'event')
  const resource = await store.findResource(asked.destination)
  if (resource?.type !== DESTINATION || resource.tenant !== tenant)
    throw notFound(asked.destination, DESTINATION)
  const destination = await store.findDestination(asked.destination)
  const place = destination && { seq: entry.seq, destination: destination.position }
  const delivery = place && (await store.findDelivery(place))
  return delivery === undefined
    ? explainAbsence(context, entry, resource, destination)
    : explainDeliveryRow(deliverer, delivery)
}

function because(reason: UndeliveredReason, message: string): DeliveryExplanation {
  return { delivered: false, reason, message }
}

/** Says how it is with a delivery. */
async function explainDeliveryRow(
  deliverer: Deliverer,
  row: DeliveryRow,
): Promise<DeliveryExplanation> {
  const { status, attempts, lastError, isGoing, ready } = row
  const failed = `${attempts} attempts have failed, the last one with ${lastError}`
  if (status === 'succeeded') {
    const message = `it was delivered at ${toIso(row.deliveredAt ?? 0)}, with attempt ${attempts}`
    return { delivered: true, reason: null, message }
  }
  if (status === 'exhausted') return because(status, `${failed}; resend it, or replay`)
  if (status === 'canceled')
    return because(status, 'the destination has been deleted, or has passed over it since')
  if (status === 'delivering') return because(status, `attempt ${attempts + 1} is under way`)
  if (!isGoing)
    return because(
      'destination_inactive',
      'the destination is not active; it goes on from here when it is',
    )
  if (!ready) {
    const first = await deliverer.context.store.firstInQueue(row)
    const which = first === undefined ? 'another event' : `${first.eventId} (${first.eventType})`
    return because('blocked', `${which} of ${row.resourceId} comes first, and is ${first?.status}`)
  }
  const problem = await problemWith(deliverer, row.destinationId)
  if (problem !== null) return because('not_sendable', problem)
  if (status === 'waiting')
    return because(status, `${failed}; the next one is due at ${toIso(row.nextAt)}`)
  return because('pending', 'its first attempt is due')
}

/** Says why there is no delivery. */
async function explainAbsence(
  context: Context,
  entry: ReadEntry,
  resource: ResourceRow,
  destination: DestinationRow | undefined,
): Promise<DeliveryExplanation> {
  if (entry.internal) return because('internal', 'it is an internal entry, which nobody is sent')
  if (entry.resourceId === resource.id)
    return because('own_event', 'no destination is sent what is about itself')
  const position = await givenOutTo(context)
  if (entry.seq > Math.min(position, destination?.place ?? position)) return notYet(destination)
  return explainPassing(context, entry, resource, destination)
}

/** Says why an event that has been given out went past a destination: from what that was at the time. */
async function explainPassing(
  context: Context,
  { seq, type }: ReadEntry,
  resource: ResourceRow,
  destination: DestinationRow | undefined,
): Promise<DeliveryExplanation> {
  const then = await asItWas(context, resource, seq)
  const cure = resource.status === 'deleted' ? 'by now it is deleted' : 'replay sends it anyway'
  if (then === undefined)
    return because('before_activation', `the destination did not exist yet; ${cure}`)
  if (destination === undefined) return notYet(destination)
  const { status, events } = then
  if (await isBeforeActivation(context, status, destination, seq)) {
    const message = `the destination was ${status} at that time, and had never been active; ${cure}`
    return because('before_activation', message)
  }
  if (!isWanted(events, type)) {
    const message = `the destination wanted ${events.join(', ')} at that time, and ${type} is none of these`
    return because('not_matched', message)
  }
  if (status === 'active') return because('skipped', 'the destination has passed over it since')
  return because('skipped', `the destination was ${status} at that time; ${cure}`)
}

function notYet(destination: DestinationRow | undefined): DeliveryExplanation {
  if (destination?.phase === 'stopped')
    return because(
      'destination_inactive',
      'the destination is not active; it goes on before this event when it is',
    )
  return because('not_dispatched', 'it has not been given out to destinations yet')
}

interface Then {
  readonly status: string
  readonly events: readonly string[]
}

/** What a destination was at a place of the log, also where that has been pruned; undefined before there was one. */
async function asItWas(
  context: Context,
  { id, tenant, type }: ResourceRow,
  place: number,
): Promise<Then | undefined> {
  const kind = context.registry.byType.get(type)
  if (kind === undefined) throw notFound(id, type)
  try {
    return (await resourceAt(context, tenant, kind, id, place)) as ResourceView & Then
  } catch (error) {
    if (isPawlError(error, 'not_found')) return undefined
    throw error
  }
}

/** Whether a destination had not been active yet at a place of the log; one whose beginning has been pruned had. */
async function isBeforeActivation(
  { store }: Context,
  status: string,
  { id, phase }: DestinationRow,
  place: number,
): Promise<boolean> {
  if (status === 'active' || status === 'deleted') return false
  if (phase === 'new') return true
  const query: Omit<EntryQuery, 'types'> = {
    ...{ tenant: null, resourceId: id, internal: true, since: null, until: null },
    ...{ after: null, upTo: place, order: 'asc', limit: 1 },
  }
  const [first] = await store.listEntries({ ...query, types: null })
  const [activated] = await store.listEntries({ ...query, types: [`${DESTINATION}.activated`] })
  return first?.resourceVersion === 1 && activated === undefined
}
