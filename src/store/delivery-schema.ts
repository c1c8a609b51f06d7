/** Which tables say what is delivered to whom? @module */

import type { Generated } from 'kysely'

/** One row: how far the log has been given out to the destinations. */
export interface DispatchTable {
  id: number
  /** The last place of the log that is done with. */
  position: number
  /** Of the place after it, the last destination that is done with; 0 for none. */
  within: number
  /** Counts the changes of destinations: who has them in memory sees from it whether they still hold. */
  revision: number
}

/** One row per event destination: how the log is given out to it. */
export interface DestinationsTable {
  position: Generated<number>
  id: string
  tenant: string
  /** The types of events that it wants, as a JSON list. */
  patterns: string
  /** Whether the events of a resource go one after the other. */
  ordered: number
  /** `new` before it first became active, `behind` while it catches up, `stopped` while it is not active. */
  phase: Phase
  /** The last place of the log that it is done with; null where that is the dispatcher's. */
  place: number | null
  /** Ticks with every claim and every success: what comes first is told by it, not by the time. */
  clock: Generated<number>
  /** When it last accepted an event, by its clock. */
  accepted: Generated<number>
  /** When its next delivery is due; null when there is none, or nothing may be sent. */
  next_at: number | null
  /** When it is to be verified; null when it is not. */
  verify_at: number | null
}

/** How the log is given out to a destination. */
export type Phase = 'new' | 'following' | 'behind' | 'stopped' | 'ended'

/** One row per event and destination. */
export interface DeliveriesTable {
  seq: number
  destination: number
  tenant: string
  event_id: string
  event_type: string
  resource_id: string
  /** Whether it was asked for by a replay: it waits for what goes out anyway. */
  replay: number
  status: 'pending' | 'waiting' | 'succeeded' | 'exhausted' | 'canceled'
  /** Whether it is still to be delivered. */
  open: number
  /** Whether no other delivery has to come before it. */
  ready: number
  /** Whether somebody is at it, also when it has been canceled since. */
  delivering: number
  /** When it is to be tried or, while somebody is at it, when that one has had its time. */
  next_at: number
  /** When somebody was at it last, or began to be. */
  taken_at: number | null
  /** Counts those who were at it: what an earlier one still writes is refused. */
  fence: number
  /** How many attempts there have been. */
  attempts: number
  /** How many have failed since it was last asked for. */
  tries: number
  /** When its first attempt began, by the destination's clock. */
  began: number | null
  last_error: string | null
  created_at: number
  delivered_at: number | null
}

/** One row per attempt at a delivery. */
export interface AttemptsTable {
  seq: number
  destination: number
  number: number
  at: number
  status_code: number | null
  duration_ms: number
  error: string | null
  response_body: string | null
}

/** Whether a delivery that is so is still to be made. */
export function isOpen(status: string): boolean {
  return status === 'pending' || status === 'waiting'
}

/** Whether anything may be sent to a destination in a phase. */
export function isGoing(phase: Phase): boolean {
  return phase === 'following' || phase === 'behind'
}
