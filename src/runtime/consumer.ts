/** What is a consumer, and is what it was given what it has to be? @module */

import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Context } from '../context.ts'
import { type Duration, toMilliseconds } from '../duration.ts'
import { type Issue, refuseIssues } from '../errors.ts'
import type { Event } from '../log/event.ts'
import { type EntryFilter, type EventSelection, type Reader, toFilter } from '../log/events.ts'
import { type From, fromIssues } from '../log/place.ts'
import type { ConsumerName, Lease } from '../store/consumers.ts'
import type { AnyTables } from '../store/store.ts'
import { idIssues, unknownKeys } from './options.ts'
import type { Life } from './running.ts'
import { signalIssues } from './subscribe.ts'
import { requireFunction } from './transaction.ts'

/** How to consume. */
export interface ConsumeOptions<Type extends string = string>
  extends Pick<EventSelection<Type>, 'type' | 'tenant'> {
  /** Where a name that is new begins. @defaultValue 'start' */
  readonly from?: From
  /** How often an event is tried before it is parked. @defaultValue 10 */
  readonly tries?: number
  /** The wait after a first failure; it doubles with each further one, up to an hour. @defaultValue '1s' */
  readonly backoff?: Duration
  /**
   * How long the handler may take for one event, and how long a runner that has died keeps others
   * from taking over. At least 100 ms. @defaultValue '30s'
   */
  readonly lease?: Duration
  /** Stops the consumer when it is aborted, after the event that it is at. */
  readonly signal?: AbortSignal
}

/** What a handler gets besides the event. */
export interface Handling {
  /** The engine, in the transaction that stores the position. */
  readonly context: Context
  /** The application's own tables, in the same transaction. */
  readonly db: Kysely<AnyTables>
  /** 1 the first time that the event is tried. */
  readonly attempt: number
  /** Aborted when the consumer stops or the time is up. */
  readonly signal: AbortSignal
}

/** Does something about an event; what it throws makes the event be tried again. */
export type EventHandler = (event: Event, handling: Handling) => unknown

/** A consumer that runs. */
export interface Runner {
  readonly context: Context
  readonly consumer: ConsumerName
  /** Whom its lease belongs to: nobody else, ever. */
  readonly owner: string
  readonly filter: EntryFilter
  readonly handler: EventHandler
  readonly tries: number
  /** Milliseconds. */
  readonly backoff: number
  /** Milliseconds. */
  readonly lease: number
  readonly life: Life
}

/** Where a runner is, as long as it has the lease. */
export interface Held extends ConsumerName {
  readonly owner: string
  readonly fence: number
  /** When the lease runs out. */
  until: number
  /** The last place of the log that it is done with. */
  position: number
  /** The position that is stored. */
  stored: number
  /** When to store one that is ahead of it. */
  storeAt: number
  /** How often the event after the position has failed. */
  attempts: number
  /** When it is tried next. */
  nextAt: number
}

/** Somebody else has taken over: what this runner still wanted to write is theirs to decide. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
}

/** Throws `LeaseLost` when the store says that the lease no longer holds. */
export function requireHeld(holds: boolean): void {
  if (!holds) throw new LeaseLost('another runner has taken over')
}

/** The proof that a runner shows with all that it writes. */
export function leaseOf({ tenant, name, owner, fence, until }: Held): Lease {
  return { tenant, name, owner, fence, until }
}

/** The time, in milliseconds since 1970. */
export function nowOf({ clock }: Context): number {
  return clock.now().getTime()
}

const OPTIONS = ['type', 'tenant', 'from', 'tries', 'backoff', 'lease', 'signal']

const SHORTEST_LEASE_MS = 100

/** Checks what a consumer was given. Throws `invalid_input` with all issues. */
export async function toRunner(
  context: Context,
  reader: Reader,
  name: string,
  options: ConsumeOptions,
  handler: EventHandler,
): Promise<Omit<Runner, 'life'> & { readonly from?: From | undefined }> {
  const issues: Issue[] = [...unknownKeys(options, OPTIONS), ...idIssues('name', name)]
  const { from, tries = 10, signal } = options
  if (from !== undefined) issues.push(...fromIssues(from))
  if (!(Number.isSafeInteger(tries) && tries >= 1)) {
    issues.push({ path: ['tries'], code: 'invalid_tries', message: 'has to be 1 or more' })
  }
  const lease = toMilliseconds(options.lease ?? '30s', 'lease')
  if (lease < SHORTEST_LEASE_MS) {
    const message = `has to be at least ${SHORTEST_LEASE_MS} ms`
    issues.push({ path: ['lease'], code: 'invalid_duration', message })
  }
  issues.push(...signalIssues(signal))
  const filter = await toFilter(context, reader, options, issues)
  refuseIssues('the options of the consumer', issues)
  requireFunction('the handler of the consumer', handler)
  const backoff = toMilliseconds(options.backoff ?? '1s', 'backoff')
  const consumer = { tenant: reader.tenant, name }
  // Not from the engine's ids: two engines with one seed are two owners all the same.
  const owner = randomBytes(8).toString('hex')
  return { context, consumer, owner, filter, handler, tries, backoff, lease, from }
}
