/** What does a check of the whole database read, and how is the log shortened? @module */

import type { OutcomeRow, ReferenceRow, ResourceRow, SealedEntry, TimerRow } from '../core/rows.ts'
import type { Placed } from './queries.ts'
import type { LogRow } from './store.ts'

/** A row as the file has it. */
export type Audited<Row> = Row & {
  /** The columns that hold what pawl never writes: a text that is not well-formed, a truth value beside 0 and 1. */
  readonly damaged: readonly string[]
}

/** A reference as it is stored. */
export interface ReferenceColumns extends ReferenceRow {
  readonly live: number
  readonly position: number
}

/** A secret as it is stored. */
export interface SecretColumns {
  readonly name: string
  readonly envelope: Buffer
}

/** What the pruned entries of a resource came to. */
export interface BaseRow {
  readonly resourceId: string
  /** The place of its last pruned entry. */
  readonly seq: number
  readonly state: string
  /** The hash of its last pruned entry. */
  readonly hash: Buffer
  /** SHA-256 over what stands before. */
  readonly digest: Buffer
}

/** A resource with a part of its log, all of one moment. */
export interface ResourceSlice {
  readonly row: Audited<Placed<ResourceRow>>
  readonly base: BaseRow | undefined
  /** Under what it is listed; null before it is. */
  readonly noted: Pick<ResourceRow, 'tenant' | 'type' | 'status'> | null
  /** The last place of the log that is listed. */
  readonly listed: number
  readonly entries: readonly Audited<SealedEntry>[]
  /** What belongs to the resource besides; null as long as more of its log follows. */
  readonly rest: {
    readonly timers: readonly TimerRow[]
    readonly references: readonly ReferenceColumns[]
    readonly secrets: readonly SecretColumns[]
  } | null
}

/** Some places of the log, and its ends at that moment. */
export interface LogSlice {
  /** Undefined when its row is gone. */
  readonly log: LogRow | undefined
  /** The last place that is listed. */
  readonly listed: number
  readonly places: readonly {
    readonly seq: number
    readonly resourceId: string
    /** Whether the resource exists. */
    readonly known: boolean
    /** Whether the listing has it as it is. */
    readonly isListed: boolean
    /** Whether it comes after what its resource takes for its latest entry. */
    readonly isBeyond: boolean
  }[]
}

/** The tables whose rows belong to a resource. */
export type OwnedTable = 'pawl_timers' | 'pawl_references' | 'pawl_secrets' | 'pawl_bases'

/** The resource of an outcome, at the moment that the outcome shows. */
export interface OutcomeGround {
  readonly row: ResourceRow | undefined
  /** The entries of the change that led to that version; none when they have been pruned. */
  readonly entries: readonly SealedEntry[]
  /** The outcome's events. */
  readonly events: readonly SealedEntry[]
  readonly pruned: number
}

/** The tables of a database, and what SQLite notes about them. */
export const AUDITED_TABLES = [
  'pawl_resources',
  'pawl_events',
  'pawl_listing',
  'pawl_statuses',
  'pawl_timers',
  'pawl_references',
  'pawl_secrets',
  'pawl_outcomes',
  'pawl_consumers',
  'pawl_parked',
  'pawl_bases',
  'pawl_log',
  'pawl_machines',
  'pawl_dispatch',
  'pawl_destinations',
  'pawl_deliveries',
  'pawl_attempts',
  'pawl_migrations',
  'pawl_migrations_lock',
  'sqlite_sequence',
] as const

/** One of them. */
export type AuditedTable = (typeof AUDITED_TABLES)[number]

/** What a check of the whole database reads: each call gives what was there at one moment. */
export interface Audit {
  /** How large the database is, in bytes. */
  size(): Promise<number>
  /** What the database itself finds wrong with a table and its indexes. The longer the table, the longer it takes. */
  defectsOf(table: AuditedTable): Promise<readonly string[]>
  /** The time of the latest entry; undefined when there is none. */
  latestTime(): Promise<number | undefined>
  /** The places of the log after one. */
  logSlice(after: number, limit: number): Promise<LogSlice>
  /** The resources after a position, in the order of their creation. */
  positionsAfter(
    after: number,
    limit: number,
  ): Promise<readonly { readonly position: number; readonly id: string }[]>
  /** The highest position of a resource, and the highest that has ever been given; 0 for none. */
  lastPosition(): Promise<{ readonly there: number; readonly given: number }>
  /** The resources at positions that no counting leads to. */
  strangePositions(): Promise<readonly string[]>
  /** A resource with its entries after a place; undefined when there is none at the position. */
  resourceSlice(position: number, after: number, limit: number): Promise<ResourceSlice | undefined>
  /** The resources after one whose rows are in a table, and whether they exist. */
  ownersAfter(
    table: OwnedTable,
    after: string,
    limit: number,
  ): Promise<readonly { readonly resourceId: string; readonly known: boolean }[]>
  /** The outcomes after one, in the order of their tenants and keys. */
  outcomesAfter(
    after: Pick<OutcomeRow, 'tenant' | 'key'> | null,
    limit: number,
  ): Promise<readonly OutcomeColumns[]>
  /** What the log says about the resource of an outcome, at a version, and about its events. */
  outcomeGround(
    resourceId: string,
    version: number,
    events: readonly number[],
  ): Promise<OutcomeGround>
}

/** An outcome as it is stored: its events are JSON text. */
export interface OutcomeColumns extends Omit<OutcomeRow, 'changed' | 'events'> {
  readonly changed: number
  readonly events: string
}

/** The beginning of the log, and who still needs it. */
export interface PruneView {
  /** The last place that has been pruned before. */
  readonly pruned: number
  /** The first entries, one more than may go at once. */
  readonly entries: readonly Audited<SealedEntry>[]
  /** The consumer or destination that is the furthest behind, and the last place that it no longer needs. */
  readonly slowest: { readonly name: string; readonly place: number } | undefined
  /** When the oldest outcome that still counts was made. */
  readonly oldestOutcome: number | undefined
  /** What the entries of a resource that are gone already came to. */
  readonly baseOf: (resourceId: string) => BaseRow | undefined
}

/** What goes, and what takes its place. */
export interface PrunePlan {
  /** The last place to remove; null for none. */
  readonly through: number | null
  readonly bases: readonly BaseRow[]
}

/** How the log is shortened. */
export interface Pruning {
  /**
   * Removes the first entries of the log as a plan says, in one transaction; false when there are so many deliveries
   * of them that some of these have been removed instead. Outcomes from after `outcomesSince` still count. A plan that
   * throws removes nothing.
   */
  pruneLog(
    outcomesSince: number,
    limit: number,
    plan: (view: PruneView) => PrunePlan,
  ): Promise<boolean>
}
