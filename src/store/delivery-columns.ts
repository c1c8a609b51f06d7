/** How do rows of deliveries and destinations become what callers read? @module */

import type { AttemptRow, DeliveryRow, DestinationRow } from './deliveries.ts'
import { isGoing, isOpen, type Phase } from './delivery-schema.ts'

/** The columns of a delivery and of its destination, which are called just that. */
export const deliveryColumns = [
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

/** What comes back for the columns of a delivery. */
export type StoredDelivery = Omit<DeliveryRow, 'replay' | 'ready' | 'isGoing' | 'isOver'> & {
  readonly replay: number
  readonly ready: number
  readonly delivering: number
  readonly phase: Phase
}

/** Gives a row the fields of a delivery. */
export function toDelivery(row: StoredDelivery): DeliveryRow {
  const { delivering, replay, ready, phase, ...same } = row
  return {
    ...same,
    status: delivering === 1 && isOpen(row.status) ? 'delivering' : row.status,
    isOver: phase === 'ended',
    isGoing: isGoing(phase),
    replay: replay === 1,
    ready: ready === 1,
  }
}

/** The columns of a destination. */
export const destinationColumns = [
  'position',
  'id',
  'tenant',
  'patterns',
  'ordered',
  'phase',
  'place',
  'verify_at as verifyAt',
] as const

/** What comes back for the columns of a destination. */
export type StoredDestination = Omit<DestinationRow, 'patterns' | 'ordered'> & {
  readonly patterns: string
  readonly ordered: number
}

/** Gives a row the fields of a destination. */
export function toDestination(row: StoredDestination): DestinationRow {
  return { ...row, patterns: JSON.parse(row.patterns), ordered: row.ordered === 1 }
}

/** The columns of an attempt. */
export const attemptColumns = [
  'number',
  'at',
  'status_code as statusCode',
  'duration_ms as durationMs',
  'error',
  'response_body as responseBody',
] as const

/** What is noted of an attempt that whoever made it has not lived to tell. */
export const LOST: Omit<AttemptRow, 'number' | 'at'> = {
  statusCode: null,
  durationMs: 0,
  error: 'interrupted: the process that sent it ended before the answer was noted',
  responseBody: null,
}
