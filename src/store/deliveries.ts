/** What is delivered to whom, and how far has that come? @module */

import type { Phase } from './delivery-schema.ts'

/** How far the log has been given out. */
export interface DispatchRow {
  /** The last place that is done with. */
  readonly position: number
  /** Of the place after it, the last destination that is done with; 0 for none. */
  readonly within: number
  /** Another one when destinations have changed. */
  readonly revision: number
}

/** How the log is given out to a destination. */
export interface DestinationRow {
  /** The order of creation. */
  readonly position: number
  readonly id: string
  readonly tenant: string
  /** The types of events that it wants. */
  readonly patterns: readonly string[]
  /** Whether the events of a resource go one after the other. */
  readonly ordered: boolean
  readonly phase: Phase
  /** The last place that it is done with; null where that is the dispatcher's. */
  readonly place: number | null
  readonly verifyAt: number | null
}

/** A destination as it is to be from now on. */
export type DestinationDraft = Omit<DestinationRow, 'position'>

/** An event that is to be delivered to a destination. */
export interface DeliveryDraft {
  readonly seq: number
  /** The destination's position. */
  readonly destination: number
  readonly tenant: string
  readonly eventId: string
  readonly eventType: string
  readonly resourceId: string
}

/** What an entry of the log makes of a destination. */
export interface DestinationChange {
  /** Undefined for a new one. */
  readonly before: DestinationRow | undefined
  readonly after: DestinationDraft
}

/** A step of the dispatcher, all or nothing. */
export interface DispatchStep {
  /** Where it began: nothing is written unless that still holds. */
  readonly from: DispatchRow
  readonly to: Pick<DispatchRow, 'position' | 'within'>
  readonly deliveries: readonly DeliveryDraft[]
  /** The destination that the last entry has changed, and how it was: it has to be so still. */
  readonly changed: DestinationChange | null
  readonly now: number
}

/** A step of a destination that catches up, all or nothing. */
export interface CatchUpStep {
  readonly destination: DestinationRow
  /** The last place that it is done with after it. */
  readonly place: number
  /** Whether it follows from there on: nothing is written unless the dispatcher is there as well. */
  readonly joins: boolean
  readonly deliveries: readonly DeliveryDraft[]
  readonly now: number
}

/** How a delivery is. */
export type DeliveryStatus =
  | 'pending'
  | 'delivering'
  | 'waiting'
  | 'succeeded'
  | 'exhausted'
  | 'canceled'

/** An event that is, was or will not be delivered to a destination. */
export interface DeliveryRow {
  readonly seq: number
  readonly destination: number
  readonly destinationId: string
  /** Whether anything may be sent to the destination. */
  readonly isGoing: boolean
  /** Whether the destination has been deleted. */
  readonly isOver: boolean
  readonly tenant: string
  readonly eventId: string
  readonly eventType: string
  readonly resourceId: string
  readonly replay: boolean
  readonly status: DeliveryStatus
  readonly ready: boolean
  readonly nextAt: number
  readonly fence: number
  readonly attempts: number
  readonly tries: number
  readonly began: number | null
  readonly lastError: string | null
  readonly createdAt: number
  readonly deliveredAt: number | null
}

/** An attempt at a delivery. */
export interface AttemptRow {
  readonly number: number
  readonly at: number
  readonly statusCode: number | null
  readonly durationMs: number
  readonly error: string | null
  readonly responseBody: string | null
}

/** A delivery that somebody has taken on, with the event. */
export interface ClaimedRow {
  readonly seq: number
  readonly destination: number
  readonly eventId: string
  readonly eventType: string
  readonly resourceId: string
  readonly replay: boolean
  readonly fence: number
  readonly attempts: number
  readonly tries: number
  readonly began: number
  /** The data of the event as JSON text, as the log has it. */
  readonly data: string
  readonly createdAt: number
}

/** How an attempt at a delivery has left it. */
export interface Settlement {
  readonly seq: number
  readonly destination: number
  readonly resourceId: string
  readonly fence: number
  /** `pending` where nothing has been tried. */
  readonly status: 'pending' | 'waiting' | 'succeeded' | 'exhausted' | 'canceled'
  readonly tries: number
  readonly nextAt: number
  /** Null where nothing has been tried. */
  readonly attempt: AttemptRow | null
}

/** How many deliveries of a destination somebody wants to take on. */
export interface Wish {
  readonly destination: number
  readonly most: number
  /** How many of them may be replays. */
  readonly replays: number
  /** The version of the destination that it is meant for: of another one, nothing is taken on. */
  readonly version: number
  /** How long they may take, in milliseconds. */
  readonly lease: number
}

/** What has been taken on. */
export interface Claims {
  readonly claimed: readonly ClaimedRow[]
  /** Whether a destination has another version by now than was wished for. */
  readonly isStale: boolean
}

/** Which deliveries to list. */
export interface DeliveryQuery {
  /** Null for all. */
  readonly tenant: string | null
  readonly destination: number | null
  readonly seq: number | null
  /** Null for all. */
  readonly statuses: readonly DeliveryStatus[] | null
  /** Read on after this one; null from the beginning of the direction. */
  readonly after: { readonly seq: number; readonly destination: number } | null
  readonly order: 'asc' | 'desc'
  readonly limit: number
}

/** A destination that has something to be done, and when. */
export interface DueDestination {
  readonly position: number
  readonly id: string
  readonly at: number
}

/** Which event of which destination. */
export type DeliveryPlace = Pick<DeliveryRow, 'seq' | 'destination'>

/** What can be read of it. */
export interface DeliveryReads {
  dispatchRow(): Promise<DispatchRow>
  /** All destinations but those that have ended. */
  listDestinations(): Promise<readonly DestinationRow[]>
  findDestination(id: string): Promise<DestinationRow | undefined>
  /** The destinations that catch up. */
  destinationsBehind(limit: number): Promise<readonly DestinationRow[]>
  /** The command that led to an entry of the log, as JSON text. */
  commandAt(seq: number): Promise<string | null>
  /** When the destination last accepted an event, by its clock. */
  acceptedAt(destination: number): Promise<number>
  /** The destinations with deliveries that are due after one, those first that have waited longest for their turn. */
  dueDestinations(
    now: number,
    after: Pick<DueDestination, 'at' | 'position'> | null,
    limit: number,
  ): Promise<readonly DueDestination[]>
  /** The destinations that are to be verified. */
  unverifiedDestinations(now: number, limit: number): Promise<readonly DueDestination[]>
  /** When there is something to be done next, after a time. */
  nextDeliveryAt(after: number): Promise<number | undefined>
  findDelivery(place: DeliveryPlace): Promise<DeliveryRow | undefined>
  /** Of the deliveries about a resource to a destination, the one that the others wait for. */
  firstInQueue(
    place: Pick<DeliveryRow, 'destination' | 'resourceId'>,
  ): Promise<DeliveryRow | undefined>
  listDeliveries(query: DeliveryQuery): Promise<readonly DeliveryRow[]>
  listAttempts(place: DeliveryPlace): Promise<readonly AttemptRow[]>
}

/** What is written of it. A step gives false, and writes nothing, where another process has been faster. */
export interface DeliveryWrites {
  dispatch(step: DispatchStep): Promise<boolean>
  catchUp(step: CatchUpStep): Promise<boolean>
  /** Cancels open deliveries of a destination up to a place of the log; tells how many. */
  cancelDeliveries(from: DispatchRow, upTo: DeliveryPlace, limit: number): Promise<number>
  /** Asks for events once more, in the lane of replays; those that are open stay, and what is deleted gets nothing. */
  replayDeliveries(drafts: readonly DeliveryDraft[], now: number): Promise<void>
  /** Asks for a delivery at once; one that somebody is at stays as it is. Gives it as it is then. */
  resendDelivery(place: DeliveryPlace, now: number): Promise<DeliveryRow | undefined>
  /** Writes how attempts have gone, and takes on what is due; in one transaction. */
  settleAndClaim(
    settlements: readonly Settlement[],
    wishes: readonly Wish[],
    clock: () => number,
  ): Promise<Claims>
  /** Takes on a verification until a time, or gives it up for null. */
  moveVerification(destination: number, from: number, to: number | null): Promise<boolean>
}

/** What is delivered to whom. */
export type Deliveries = DeliveryReads & DeliveryWrites
