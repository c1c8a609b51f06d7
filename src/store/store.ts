/** What does the engine ask of a database? @module */

import type { Kysely, Transaction as KyselyTransaction } from 'kysely'
import type { Plan } from '../core/questions.ts'
import type {
  OutcomeRow,
  ReferenceRow,
  ResourceRow,
  SealedEntry,
  SecretChange,
  SecretRow,
  TimerChange,
  TimerRow,
} from '../core/rows.ts'
import type { Audit, Pruning } from './audit.ts'
import type { Consumers } from './consumers.ts'
import type { Deliveries } from './deliveries.ts'
import type {
  DuePlace,
  EntryQuery,
  Placed,
  ReadEntry,
  ResourceQuery,
  RowsBehind,
  StateCount,
  TimerQuery,
} from './queries.ts'

/** What one transaction writes, all or nothing. */
export interface Writes {
  readonly created: readonly ResourceRow[]
  /** Each row is one version or more ahead of the stored one. */
  readonly changed: readonly ResourceRow[]
  /** The rows that only have a new entry in the log. */
  readonly noted: readonly ResourceRow[]
  /** In the order of their places in the log, which follow the head without a hole. */
  readonly entries: readonly SealedEntry[]
  readonly timers: readonly TimerChange[]
  readonly secrets: readonly SecretChange[]
  readonly references: readonly (Omit<ReferenceRow, 'targetId'> & {
    readonly targetId: string | null
  })[]
  readonly outcomes: readonly OutcomeRow[]
}

/** A plan, with what it comes to; null when there is nothing to write. */
export type WritingPlan<T> = Plan<{ readonly writes: Writes | null; readonly result: T }>

/** Where the log begins and ends, and which database it is. */
export interface LogRow {
  /** The place of the latest entry; 0 when there has been none. */
  readonly head: number
  /** The last place that has been pruned; 0 as long as the log is whole. */
  readonly pruned: number
  /** Made up with the database; a copy has the same. */
  readonly identity: string
}

/** What can be looked up. */
export interface Reads {
  findResource(id: string): Promise<Placed<ResourceRow> | undefined>
  listResources(query: ResourceQuery): Promise<readonly Placed<ResourceRow>[]>
  findEntry(id: string): Promise<ReadEntry | undefined>
  listEntries(query: EntryQuery): Promise<readonly ReadEntry[]>
  /** The entries at these places of the log, in order. */
  entriesAt(places: readonly number[]): Promise<readonly ReadEntry[]>
  /** The first place of the log with an entry from this time on; undefined when there is none. */
  placeAt(time: number): Promise<number | undefined>
  log(): Promise<LogRow>
  /** The types of the entries of a tenant, of all tenants for null. */
  entryTypes(tenant: string | null): Promise<readonly string[]>
  listTimers(query: TimerQuery): Promise<readonly TimerRow[]>
  /** The timers to be tried at a time, those tried first first; `after` reads on after one of them. */
  dueTimers(time: number, limit: number, after?: DuePlace): Promise<readonly TimerRow[]>
  /** When the next timer is to be tried. */
  nextTimerAt(): Promise<number | undefined>
  /** The machine that all rows of a type have been checked against. */
  checkedMachine(type: string): Promise<string | undefined>
  /** The state values in which resources of a type are, and how many of them. */
  countStates(type: string): Promise<readonly StateCount[]>
  /** Of the next `limit` resources of any type after a position, those of one type that another machine wrote. */
  rowsBehind(type: string, machine: string, after: number, limit: number): Promise<RowsBehind>
  /** The secrets after one, in the order of their resources and names; the first without one. */
  secretsAfter(
    after: Pick<SecretRow, 'resourceId' | 'name'> | null,
    limit: number,
  ): Promise<readonly (SecretRow & { readonly type: string })[]>
  /** The outcomes with secrets after one, in the order of their tenants and keys. */
  secretOutcomesAfter(
    after: Pick<OutcomeRow, 'tenant' | 'key'> | null,
    limit: number,
  ): Promise<readonly SecretOutcome[]>
}

/** The secrets that an outcome showed. */
export type SecretOutcome = Pick<OutcomeRow, 'tenant' | 'key'> & { readonly secrets: Buffer }

/** What is written besides the plans. Each call is a transaction of its own. */
export interface Upkeep {
  /** Notes that a timer failed and when to try again. */
  postponeTimer(position: number, nextAt: number, error: string): Promise<void>
  /** Forgets up to `limit` outcomes from before a time; tells how many. */
  forgetOutcomes(before: number, limit: number): Promise<number>
  /** Notes that all rows of a type have been checked against a machine. */
  markChecked(type: string, machine: string): Promise<void>
  /** Replaces the ciphertext of secrets that still have the old one; tells how many. */
  reseal(secrets: readonly (SecretRow & { readonly old: Buffer })[]): Promise<number>
  /** Replaces the ciphertext of outcomes that still have the old one; tells how many. */
  resealOutcomes(outcomes: readonly (SecretOutcome & { readonly old: Buffer })[]): Promise<number>
}

/** A database that can be opened. */
export interface StoreSource {
  /** Opens it, migrating it if need be. */
  open(options: OpenOptions): Promise<Store>
}

/** What an acknowledged command survives: a power cut, or the death of the process. */
export type Durability = 'full' | 'relaxed'

/** How to open a database. */
export interface OpenOptions {
  /** What an acknowledged command survives. */
  readonly durability: Durability
  /** How long to wait while others hold what is needed, in milliseconds. */
  readonly busyTimeout: number
}

/** A database with pawl's tables. */
export interface Store extends Reads, Upkeep, Consumers, Deliveries, Audit, Pruning {
  /**
   * Runs a plan in one write transaction and writes what it comes to, all or nothing; resolves
   * after the commit. A plan that throws writes nothing. It may be run several times, from the start.
   *
   * `scouts` are plans that most likely ask what the plan will ask, each on its own; what they come to is dropped.
   * Where every answer takes a while, they are run first, side by side, so that many questions share that time.
   *
   * Throws `storage_busy` when the database stays locked, `indeterminate` when the commit itself
   * fails, and the other `storage_*` errors.
   */
  transact<T>(plan: () => WritingPlan<T>, scouts?: () => readonly Plan<unknown>[]): Promise<T>
  /** Answers a plan from one consistent view, without writing. */
  read<T>(plan: () => Plan<T>): Promise<T>
  /** Prepares a transaction that lasts until it is ended; it begins with its first use. */
  transaction(): Transaction
  /**
   * Uses a transaction that the application has begun on the database with this identity, and ends itself. Throws
   * `transaction_misuse` for what is none.
   */
  within(db: Kysely<AnyTables>, identity: string): Joined
  /**
   * Throws `closed` after the end, and `transaction_misuse` within a transaction: there, a call that
   * goes around it would wait for ever.
   */
  requireAccess(): void
  /** A number that is another one when somebody else has written to the database since. */
  othersCommits(): Promise<number>
  /** The place at which the log ends as far as it is committed; waits for nobody. */
  headNow(): Promise<number>
  /** Copies the database to a file that does not exist yet, while it is in use. Throws `closed` once the signal is aborted. */
  backup(path: string, signal: AbortSignal): Promise<void>
  /** Whether a commit failed because of what was to be written, and not of the storage. */
  brokeConstraint(error: unknown): boolean
  /** Refuses everything from now on, and undoes what transactions of this store have left open. */
  close(): Promise<void>
}

/** The application's tables, as long as it does not name their types: anything goes. */
// biome-ignore lint/suspicious/noExplicitAny: the tables are the application's own
export type AnyTables = Record<string, Record<string, any>>

/** A transaction of Kysely, whatever the tables are. */
// biome-ignore lint/suspicious/noExplicitAny: the tables are the application's own
export type AnyTransaction = KyselyTransaction<any>

/** A transaction that the application has begun. */
export interface Joined {
  /** The same database, as the transaction sees it; what is written through it belongs to the transaction. */
  readonly store: Store
  /** Tells it from others, however often it is used; null before its first use. */
  number(): string | null
  /** Resolves when the transaction has ended, or is not waited for any more: whether it has been kept, as far as that is known. */
  isKept(signal: AbortSignal): Promise<boolean>
}

/** A transaction that lasts until it is ended. */
export interface Transaction {
  /** The same database, as the transaction sees it; what is written through it belongs to the transaction. */
  readonly store: Store
  /** The application's own tables, within the transaction. */
  readonly db: Kysely<AnyTables>
  /** Begins it now, as soon as the database is free. */
  begin(): Promise<void>
  /** Runs work that belongs to it: there, calls that go around it are refused. */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Ends it and keeps what was written; resolves when it is as durable as any commit. */
  commit(): Promise<void>
  /** Ends it and undoes everything; nothing when it has ended. What is still done in it is refused for this reason. */
  rollback(reason?: Error): Promise<void>
  /** Whether an error is one that the database gave within it. */
  hasFailedWith(error: unknown): boolean
}
