/** What can users of an engine do? Its public face, as types. @module */

import type { Event, EventOf } from './log/event.ts'
import type { EventFilter } from './log/events.ts'
import type { HistoryEntry } from './log/history.ts'
import type { PageOptions, PagePromise } from './log/page.ts'
import type { ResourceFilter } from './log/resources.ts'
import type { Timer, TimerFilter } from './log/timers.ts'
import type { DefinedResource, ResourceOf, ResourceTypes, SummaryOf, TypesOf } from './resource.ts'
import type { Attempt, Explanation } from './runtime/commands.ts'
import type { CreateOptions, SendOptions } from './runtime/options.ts'
import type { Outcome } from './runtime/outcomes.ts'

/** Definitions, by the property of the engine that each gets. */
export type Definitions<D = Readonly<Record<string, DefinedResource>>> = {
  readonly [Property in keyof D]: DefinedResource
}

/** Every public event of an engine's resources: a union that `type` narrows. */
export type EventsOf<D extends Definitions<D>> = {
  [Property in keyof D]: EventOf<TypesOf<D[Property]>>
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
}

/** What `create` takes: the input may be left out where nothing in it is required. */
export type CreateArguments<T extends ResourceTypes> =
  Record<never, never> extends T['input']
    ? [input?: T['input'], options?: CreateOptions]
    : [input: T['input'], options?: CreateOptions]

/** The log of all resources. */
export interface EventsHandle<AnyEvent extends { readonly type: string }> {
  /** Lists events, newest first by default. */
  list(filter?: EventFilter<AnyEvent['type']>): PagePromise<AnyEvent>
  /** Reads one event, or one internal entry. Throws `not_found`. */
  get(id: string): Promise<AnyEvent>
}

/** The timers of all resources. */
export interface TimersHandle {
  /** Lists the timers that are set, those due first first. */
  list(filter?: TimerFilter): PagePromise<Timer>
}

/** What belongs to one tenant: for a scoped handle, nothing of others exists. */
export type Scope<D extends Definitions<D>> = {
  readonly [Property in keyof D]: ResourceHandle<TypesOf<D[Property]>, EventsOf<D>>
} & {
  readonly events: EventsHandle<EventsOf<D>>
  readonly timers: TimersHandle
}

/** An engine. The handle itself is that of the tenant `default`. */
export type Engine<D extends Definitions<D>> = Scope<D> &
  Lifecycle & {
    /** The same engine for another tenant. */
    tenant(id: string): Scope<D>
  }

/** How an engine is run and ended. */
export interface Lifecycle {
  /** Fires timers from now on, until `stop` or `close`; resolves when those overdue have fired. */
  start(): Promise<void>
  /** Stops firing timers; resolves when those under way have been settled. */
  stop(): Promise<void>
  /** Fires the timers that are due now, for those who call it from a schedule of their own. */
  tick(): Promise<{ readonly fired: number }>
  /** Ends the engine: waits for what has been sent, then refuses everything with `closed`. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}
