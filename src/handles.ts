/** What can users of an engine do? Its public face, as types. @module */

import type { Kysely } from 'kysely'
import type { DeliveriesHandle } from './delivery/handle.ts'
import type { Lifecycle, Upkeep } from './lifecycle.ts'
import type { Event, EventOf } from './log/event.ts'
import type { EventFilter } from './log/events.ts'
import type { Moment } from './log/filters.ts'
import type { HistoryEntry } from './log/history.ts'
import type { PageOptions, PagePromise } from './log/page.ts'
import type { ResourceFilter } from './log/resources.ts'
import type { Timer, TimerFilter } from './log/timers.ts'
import type { DefinedResource, ResourceOf, ResourceTypes, SummaryOf, TypesOf } from './resource.ts'
import type { Attempt, Explanation } from './runtime/commands.ts'
import type { ConsumeOptions } from './runtime/consumer.ts'
import type { Consumer, ParkedEvent } from './runtime/consumers.ts'
import type { CreateOptions, RevealOptions, SendOptions } from './runtime/options.ts'
import type { Outcome } from './runtime/outcomes.ts'
import type { Subscription } from './runtime/subscribe.ts'
import type { AnyTables, AnyTransaction } from './store/store.ts'

/** Definitions, by the property of the engine that each gets. */
export type Definitions<D = Readonly<Record<string, DefinedResource>>> = {
  readonly [Property in keyof D]: DefinedResource
}

/** Every public event of an engine's resources: a union that `type` narrows. */
export type EventsOf<D extends Definitions<D>> = {
  [Property in keyof D]: EventOf<TypesOf<D[Property]>>
}[keyof D]

/** The event destinations among an engine's resources. */
export type DestinationsOf<D extends Definitions<D>> = {
  [Property in keyof D]: TypesOf<D[Property]>['type'] extends 'event_destination'
    ? ResourceOf<TypesOf<D[Property]>>
    : never
}[keyof D]

/** What can be done with one kind of resource. */
export interface ResourceHandle<T extends ResourceTypes, AnyEvent> {
  /**
   * Creates a resource.
   *
   * Throws `invalid_input`; `not_found` for an id in the input that does not exist;
   * `illegal_transition`, reason `reference`, when what it refers to does not allow it.
   */
  create(...args: CreateArguments<T>): Promise<Outcome<ResourceOf<T>, AnyEvent>>
  /**
   * Sends a command; resolves when it is on disk.
   *
   * Throws `illegal_transition` with the reason when the command is not legal now, `not_found`,
   * `invalid_input`, `version_conflict`, `idempotency_mismatch`.
   */
  send(
    id: string,
    command: T['command'],
    options?: SendOptions,
  ): Promise<Outcome<ResourceOf<T>, AnyEvent>>
  /** Sends a command; gives a refusal or a version conflict as a value, throws anything else. */
  trySend(
    id: string,
    command: T['command'],
    options?: SendOptions,
  ): Promise<Attempt<Outcome<ResourceOf<T>, AnyEvent>>>
  /** Reads a resource. Throws `not_found`. */
  get(id: string): Promise<ResourceOf<T>>
  /** Reads a resource; undefined when there is none. */
  find(id: string): Promise<ResourceOf<T> | undefined>
  /** Lists resources, newest first by default; deleted ones only when asked for by status. */
  list(filter?: ResourceFilter<T['status'], T['reference']>): PagePromise<ResourceOf<T>>
  /** Names the commands that are legal now. A guard that looks at the payload counts as open. */
  accepts(id: string): Promise<readonly T['command']['type'][]>
  /** Tells whether a command would be accepted now and why not, without sending it. */
  explain(id: string, command: T['command']): Promise<Explanation>
  /** Lists what a resource has been through, internal entries included, oldest first. */
  history(id: string, options?: PageOptions): PagePromise<HistoryEntry<Event<string, SummaryOf<T>>>>
  /**
   * Reads a resource as it was at a time, or after the change that the entry at a place of the log (its
   * `seq`) belongs to.
   *
   * Throws `not_found` for a moment before it was created, or one that has been pruned.
   */
  at(id: string, moment: number | Moment): Promise<ResourceOf<T>>
  /**
   * Reads the secrets of a resource, decrypted, by name; leaves an internal entry in its log.
   *
   * Throws `decryption_failed` when no key fits or a ciphertext has been altered.
   */
  reveal(id: string, options?: RevealOptions): Promise<Readonly<Record<string, unknown>>>
}

/** What `create` takes: the input may be left out where nothing in it is required. */
export type CreateArguments<T extends ResourceTypes> =
  Record<never, never> extends T['input']
    ? [input?: T['input'], options?: CreateOptions]
    : [input: T['input'], options?: CreateOptions]

/** The log of all resources, as it is. */
export interface LogHandle<AnyEvent extends { readonly type: string }> {
  /** Lists events, newest first by default. */
  list(filter?: EventFilter<AnyEvent['type']>): PagePromise<AnyEvent>
  /** Reads one event, or one internal entry. Throws `not_found`. */
  get(id: string): Promise<AnyEvent>
}

/** The log of all resources, as it is and as it grows. */
export interface EventsHandle<AnyEvent extends { readonly type: string }>
  extends LogHandle<AnyEvent> {
  /**
   * Follows the log: history, then what comes, each event once, in order. Commits of other processes
   * are seen within 50 ms.
   *
   * Holds one page in memory, however slow the loop is. Ends with its signal and with the engine;
   * the first step throws `invalid_input` for a filter or a place that cannot be, `not_found` for a
   * resource that does not exist.
   */
  subscribe(options?: Subscription<AnyEvent['type']>): AsyncIterableIterator<AnyEvent>
}

/** The timers of all resources. */
export interface TimersHandle {
  /** Lists the timers that are set, those due first first. */
  list(filter?: TimerFilter): PagePromise<Timer>
}

/** What can be done with resources, within a transaction or not. */
export type Resources<D extends Definitions<D>> = {
  readonly [Property in keyof D]: ResourceHandle<TypesOf<D[Property]>, EventsOf<D>>
} & {
  readonly events: LogHandle<EventsOf<D>>
  readonly timers: TimersHandle
}

/** The engine within a transaction: what is written through it happens with the rest, or not at all. */
export type Transaction<D extends Definitions<D>, Db = Kysely<AnyTables>> = Resources<D> & {
  /** The application's own tables; `db.withTables<Tables>()` types them. */
  readonly db: Db
  /** The same transaction for another tenant, on the root handle. */
  tenant(id: string): Resources<D>
}

/** What a consumer's handler gets besides the event. */
export interface Handled<D extends Definitions<D>> {
  /** The transaction that stores the position; it begins with its first use. */
  readonly tx: Transaction<D>
  /** 1 the first time that the event is tried. */
  readonly attempt: number
  /** Aborted when the consumer stops or the time is up. */
  readonly signal: AbortSignal
}

/** Does something about an event; what it throws makes the event be tried again. */
export type Handler<D extends Definitions<D>> = (event: EventsOf<D>, handled: Handled<D>) => unknown

/** Where consumers are, and what they have put aside. */
export interface ConsumersHandle {
  /** Lists the consumers by name. */
  list(): Promise<readonly Consumer[]>
  /** Lists the events that a consumer has given up on, oldest first. */
  parked(name: string): Promise<readonly ParkedEvent[]>
  /** Has a consumer try a parked event once more, before the events that come next. Throws `not_found`. */
  retry(name: string, eventId: string): Promise<void>
  /** Forgets a consumer and what it has put aside. Throws `not_found`, and `already_exists` while it runs. */
  remove(name: string): Promise<void>
}

/** What belongs to one tenant: for a scoped handle, nothing of others exists. */
export type Scope<D extends Definitions<D>> = Resources<D> & Following<D>

/** What goes beyond one call: to follow the log, and to share a transaction. */
export interface Following<D extends Definitions<D>> {
  readonly events: EventsHandle<EventsOf<D>>
  readonly consumers: ConsumersHandle
  readonly deliveries: DeliveriesHandle<DestinationsOf<D>>
  /**
   * Runs work in one transaction: its commands and its own rows are kept together or, when it
   * throws, not at all. Everybody else waits meanwhile, so await nothing slow in it.
   *
   * Throws what the work throws; `transaction_misuse` where the engine is used instead of `tx`.
   */
  transaction<T>(work: (tx: Transaction<D>) => Promise<T>): Promise<T>
  /**
   * Gives the engine within a transaction of Kysely that the application has open on the same PostgreSQL database,
   * and ends itself: what is written through it is kept or undone with the rest. A command that is refused leaves
   * the transaction as it was. Await everything before the transaction ends; meanwhile, `engine` itself may have to
   * wait for it.
   *
   * Those who follow the log hear of it once its commit has been seen, within 50 ms.
   *
   * Throws `transaction_misuse` on SQLite, and for a Kysely that is in no transaction.
   *
   * @example
   * await db.transaction().execute(async (trx) => {
   *   const { resource } = await engine.within(trx).sessions.create()
   *   await trx.insertInto('bookings').values({ session_id: resource.id }).execute()
   * })
   */
  within<Trx extends AnyTransaction>(trx: Trx): Transaction<D, Trx>
  /**
   * Gives a handler every event, in order, at least once; resolves when it has been stopped. What
   * the handler writes through `tx` is stored together with the position: exactly once.
   *
   * While another runner has the name, it stands by. Rejects with `invalid_input` for options that
   * cannot be.
   */
  consume(
    name: string,
    options: ConsumeOptions<EventsOf<D>['type']>,
    handler: Handler<D>,
  ): Promise<void>
}

/** An engine. The handle itself is that of the tenant `default`. */
export type Engine<D extends Definitions<D>> = Scope<D> &
  Lifecycle &
  Upkeep & {
    /** The same engine for another tenant. */
    tenant(id: string): Scope<D>
  }
