/** What does the engine ask of a database? @module */

import type { Plan } from '../core/questions.ts'
import type {
  OutcomeRow,
  ReferenceRow,
  ResourceRow,
  SealedEntry,
  SecretChange,
  TimerChange,
  TimerRow,
} from '../core/rows.ts'

/** What one transaction writes, all or nothing. */
export interface Writes {
  readonly created: readonly ResourceRow[]
  /** Each row is one version or more ahead of the stored one. */
  readonly changed: readonly ResourceRow[]
  /** In the order of their places in the log, which follow the head without a hole. */
  readonly entries: readonly SealedEntry[]
  readonly timers: readonly TimerChange[]
  readonly secrets: readonly SecretChange[]
  readonly references: readonly (Omit<ReferenceRow, 'targetId'> & {
    readonly targetId: string | null
  })[]
  readonly outcomes: readonly OutcomeRow[]
}

/** A place in an order, and the direction to read on from there. */
export interface Range {
  /** Read on after this place; null from the beginning of the direction. */
  readonly after: number | null
  readonly order: 'asc' | 'desc'
  readonly limit: number
}

/** Which resources to list. */
export interface ResourceQuery extends Range {
  /** Null for all. */
  readonly tenant: string | null
  readonly type: string
  /** Null for any but `deleted`. */
  readonly statuses: readonly string[] | null
  /** Ids by reference field. */
  readonly references: Readonly<Record<string, string>>
  /** Milliseconds since 1970, exclusive; null for no bound. */
  readonly createdAfter: number | null
  readonly createdBefore: number | null
}

/** Which entries of the log to list. */
export interface EntryQuery extends Range {
  /** Null for all. */
  readonly tenant: string | null
  readonly resourceId: string | null
  /** Null for all. */
  readonly types: readonly string[] | null
  readonly internal: boolean
  /** Milliseconds since 1970, inclusive; null for no bound. */
  readonly since: number | null
  /** Milliseconds since 1970, exclusive; null for no bound. */
  readonly until: number | null
}

/** Which timers to list, those due first first. */
export interface TimerQuery {
  /** Read on after this timer. */
  readonly after: { readonly dueAt: number; readonly position: number } | null
  readonly limit: number
  /** Null for all. */
  readonly tenant: string | null
  readonly resourceId: string | null
}

/** A row with its place in the order in which it is listed. */
export type Placed<Row> = Row & { readonly position: number }

/** How many resources of a type are in a state. */
export interface StateCount {
  /** XState's state value as JSON text. */
  readonly value: string
  /** What XState remembers besides. */
  readonly memory: string | null
  readonly count: number
}

/** A database with pawl's tables. */
export interface Store {
  /**
   * Runs a plan in one write transaction and writes what it comes to, all or nothing; resolves
   * after the commit. A plan that throws writes nothing.
   *
   * Throws `storage_busy` when the database stays locked, `indeterminate` when the commit itself
   * fails, and the other `storage_*` errors.
   */
  transact<T>(plan: () => Plan<{ readonly writes: Writes | null; readonly result: T }>): Promise<T>
  /** Answers a plan from one consistent view, without writing. */
  read<T>(plan: () => Plan<T>): Promise<T>
  findResource(id: string): Promise<Placed<ResourceRow> | undefined>
  listResources(query: ResourceQuery): Promise<readonly Placed<ResourceRow>[]>
  findEntry(id: string): Promise<SealedEntry | undefined>
  listEntries(query: EntryQuery): Promise<readonly SealedEntry[]>
  /** The entries at these places of the log, in order. */
  entriesAt(places: readonly number[]): Promise<readonly SealedEntry[]>
  listTimers(query: TimerQuery): Promise<readonly TimerRow[]>
  /** The timers to be tried at a time, those tried first first. */
  dueTimers(time: number, limit: number): Promise<readonly TimerRow[]>
  /** When the next timer is to be tried. */
  nextTimerAt(): Promise<number | undefined>
  /** Notes that a timer failed and when to try again. */
  postponeTimer(position: number, nextAt: number, error: string): Promise<void>
  /** Forgets up to `limit` outcomes from before a time; tells how many. */
  forgetOutcomes(before: number, limit: number): Promise<number>
  /** The machine that all rows of a type have been checked against. */
  checkedMachine(type: string): Promise<string | undefined>
  /** The state values in which resources of a type are, and how many of them. */
  countStates(type: string): Promise<readonly StateCount[]>
  /** Notes that all rows of a type have been checked against a machine. */
  markChecked(type: string, machine: string): Promise<void>
  close(): Promise<void>
}
