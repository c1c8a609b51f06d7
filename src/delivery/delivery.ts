/** What is a delivery to those who read of it? @module */

import { toIso } from '../clock.ts'
import type { AttemptRow, DeliveryRow, DeliveryStatus } from '../store/deliveries.ts'
import { isOpen } from '../store/delivery-schema.ts'

/** An event on its way to a destination. */
export interface Delivery {
  readonly id: string
  readonly object: 'event_delivery'
  /**
   * `pending` before the first attempt, `delivering` during one, `waiting` after one that failed; `exhausted` when the
   * last has failed, `canceled` when the destination was deleted or has passed over it.
   */
  readonly status: DeliveryStatus
  readonly event_id: string
  readonly event_type: string
  readonly destination_id: string
  /** How many attempts there have been. */
  readonly attempts: number
  /** ISO 8601, UTC; null where none is due: it has ended, another event comes first, or the destination is not active. */
  readonly next_attempt_at: string | null
  /** Why the last attempt failed: a stable name and what happened; null when it has not. */
  readonly last_error: string | null
  /** ISO 8601, UTC. */
  readonly created_at: string
  /** ISO 8601, UTC; null as long as it is not delivered. */
  readonly delivered_at: string | null
}

/** One try of a delivery. */
export interface DeliveryAttempt {
  /** From 1. */
  readonly number: number
  /** When it began, ISO 8601, UTC. */
  readonly at: string
  /** Of the answer; null when none came. */
  readonly status_code: number | null
  readonly duration_ms: number
  /** Why it failed; null when it did not. */
  readonly error: string | null
  /** The first 2 KB of the answer; null when none came. */
  readonly response_body: string | null
}

/** A delivery with all that has been tried. */
export interface DeliveryWithAttempts extends Delivery {
  /** The first one first. */
  readonly attempt_log: readonly DeliveryAttempt[]
}

/** What readers get of a row. */
export function toDelivery(row: DeliveryRow): Delivery {
  const isDue = isOpen(row.status) && row.ready && row.isGoing
  return {
    id: deliveryId(row.eventId, row.destinationId),
    object: 'event_delivery',
    status: row.status,
    event_id: row.eventId,
    event_type: row.eventType,
    destination_id: row.destinationId,
    attempts: row.attempts,
    next_attempt_at: isDue ? toIso(row.nextAt) : null,
    last_error: row.lastError,
    created_at: toIso(row.createdAt),
    delivered_at: row.deliveredAt === null ? null : toIso(row.deliveredAt),
  }
}

/** What readers get of an attempt. */
export function toAttempt(row: AttemptRow): DeliveryAttempt {
  return {
    number: row.number,
    at: toIso(row.at),
    status_code: row.statusCode,
    duration_ms: row.durationMs,
    error: row.error,
    response_body: row.responseBody,
  }
}

const PREFIX = 'edlv_'

/** There is one delivery of an event to a destination, and its id says of which to which. */
function deliveryId(eventId: string, destinationId: string): string {
  return `${PREFIX}${partOf(eventId)}${partOf(destinationId)}`
}

function partOf(id: string): string {
  return id.slice(id.indexOf('_') + 1)
}

// An id has a time and random digits, of one length in all.
const PART_LENGTH = 22

/** The ids of the event and the destination of a delivery; undefined for what is no such id. */
export function partsOf(
  id: string,
): { readonly eventId: string; readonly destinationId: string } | undefined {
  const parts = id.slice(PREFIX.length)
  if (!id.startsWith(PREFIX) || parts.length !== 2 * PART_LENGTH) return undefined
  return {
    eventId: `evt_${parts.slice(0, PART_LENGTH)}`,
    destinationId: `evtd_${parts.slice(PART_LENGTH)}`,
  }
}
