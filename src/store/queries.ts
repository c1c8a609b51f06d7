/** What can be listed, and how does a list go on? @module */

import type { SealedEntry, TimerRow } from '../core/rows.ts'

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
  /** The last place to look at; null for no bound. */
  readonly upTo: number | null
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

/** A place among timers in the order in which they are tried. */
export type DuePlace = Pick<TimerRow, 'nextAt' | 'position'>

/** The place before all of them. */
export const BEFORE_ALL: DuePlace = { nextAt: Number.MIN_SAFE_INTEGER, position: 0 }

/** A row with its place in the order in which it is listed. */
export type Placed<Row> = Row & { readonly position: number }

/** A stretch of the resources, and those in it that another machine wrote. */
export interface RowsBehind {
  readonly rows: readonly { readonly id: string; readonly tenant: string }[]
  /** The position of the last resource that was looked at; null when there was none. */
  readonly last: number | null
}

/** An entry as readers of the log get it: without what only a replay needs. */
export type ReadEntry = Omit<SealedEntry, 'command' | 'change' | 'hash'>

/** How many resources of a type are in a state. */
export interface StateCount {
  /** XState's state value as JSON text. */
  readonly value: string
  /** What XState remembers besides. */
  readonly memory: string | null
  /** Version and structure of the machine that wrote the rows. */
  readonly machine: string
  readonly count: number
}
