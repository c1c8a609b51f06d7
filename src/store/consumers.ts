/** What does the database keep about consumers? @module */

/** Which consumer. */
export interface ConsumerName {
  readonly tenant: string
  readonly name: string
}

/** A consumer as it is stored. */
export interface ConsumerRow extends ConsumerName {
  /** The last place of the log that it is done with. */
  readonly position: number
  /** Who runs it; null when nobody does. */
  readonly owner: string | null
  /** Counts the owners. */
  readonly fence: number
  /** Milliseconds since 1970, like all times here. */
  readonly leasedUntil: number
  /** How often the event after the position has failed. */
  readonly attempts: number
  /** When that event is tried next. */
  readonly nextAt: number
  readonly lastError: string | null
}

/** What a runner of a consumer holds: proof that nobody has taken over. */
export interface Lease extends ConsumerName {
  readonly owner: string
  readonly fence: number
  readonly until: number
}

/** A consumer that somebody runs. */
export interface TakenRow extends ConsumerRow {
  readonly owner: string
}

/** An event that a consumer has given up on. */
export interface ParkedRow {
  readonly seq: number
  readonly eventId: string
  readonly error: string
  readonly attempts: number
  readonly parkedAt: number
  /** Whether it is to be tried once more. */
  readonly retry: boolean
}

/** What a failed attempt leaves behind. */
export interface Failure {
  readonly attempts: number
  readonly error: string
  readonly nextAt: number
}

/**
 * Where consumers are, who runs them and what they have given up on.
 *
 * What takes a lease changes nothing and gives false once somebody else has taken over.
 */
export interface Consumers {
  /**
   * Takes a consumer over when it is free, its lease has run out, or is this owner's, noting it at `position` if it is
   * new; `owner` is nobody else's, ever. Gives the row with the new fence, or undefined while another runner has it.
   */
  takeConsumer(
    consumer: ConsumerName & { readonly owner: string; readonly position: number },
    now: number,
    until: number,
  ): Promise<TakenRow | undefined>
  /** Moves the position on, forgets the failures of the event before it, and extends the lease. */
  advanceConsumer(lease: Lease, position: number): Promise<boolean>
  /** Extends the lease and changes nothing else. */
  extendLease(lease: Lease): Promise<boolean>
  /** Notes that the event after the position has failed. */
  failConsumer(lease: Lease, failure: Failure): Promise<boolean>
  /** Puts an event aside; one that was put aside before gets its new error. */
  parkEvent(lease: Lease, parked: Omit<ParkedRow, 'retry'>): Promise<boolean>
  /** Takes an event off those that were put aside. */
  unparkEvent(lease: Lease, seq: number): Promise<boolean>
  /** Gives a consumer up, so that another runner can take it at once. */
  releaseConsumer(lease: Lease): Promise<void>
  findConsumer(consumer: ConsumerName): Promise<ConsumerRow | undefined>
  /** The consumers of a tenant by name; of all tenants for null. */
  listConsumers(tenant: string | null): Promise<readonly ConsumerRow[]>
  listParked(consumer: ConsumerName): Promise<readonly ParkedRow[]>
  /** The first parked event that is to be tried once more. */
  nextRetry(consumer: ConsumerName): Promise<ParkedRow | undefined>
  /** Asks for another try of a parked event; false when it is not parked. */
  retryParked(consumer: ConsumerName, eventId: string): Promise<boolean>
  /** Forgets a consumer and what it has put aside; false when there is none or somebody runs it. */
  removeConsumer(consumer: ConsumerName, now: number): Promise<boolean>
}
