/** What does every part of a running engine share? @module */

import type { AlarmClock } from './clock.ts'
import type { JsonLimits } from './core/json.ts'
import type { Plan } from './core/questions.ts'
import type { Registry } from './core/registry.ts'
import type { Entry, SealedEntry, TimerChange } from './core/rows.ts'
import type { Run, Vault } from './core/run.ts'
import type { Ids } from './ids.ts'
import type { Store } from './store/store.ts'

/** What a commit wrote, for those who wait for it. */
export interface Commit {
  readonly entries: readonly SealedEntry[]
  readonly timers: readonly TimerChange[]
  /** The user's own actions, which run after it. */
  readonly actions: readonly (() => unknown)[]
}

/** Encrypts, and tells requests apart without keeping them. */
export interface Keys extends Vault {
  /** Whether there is a key. */
  readonly hasKeys: boolean
  /**
   * Identifies a request under each key in turn; the first is the one to keep. Without a key it is
   * told by what is visible of it, since secrets could be guessed from a plain hash.
   */
  fingerprints(request: string, visible: string): [string, ...string[]]
  /** Whether a ciphertext was made with the key that encrypts now. */
  isCurrent(envelope: Buffer): boolean
}

/** Who asks, and for whom. */
export interface Caller {
  readonly tenant: string
  /** As JSON text. */
  readonly actor: string | null
  readonly correlationId: string | null
}

/** What a call came to, after its commit. */
export interface Committed<T> {
  readonly value: T
  /** What became of the entries that the call's batch planned. */
  readonly entries: ReadonlyMap<Entry, SealedEntry>
}

/** Takes calls and commits them in batches. */
export interface Writer {
  /** Resolves after the commit; rejects with the call's own error, or with that of the storage. */
  submit<T>(caller: Caller, plan: (run: Run) => Plan<T>): Promise<Committed<T>>
  /** Refuses further calls and resolves when those that wait have been settled. */
  close(): Promise<void>
}

/** What an engine stands on. */
export interface Base {
  readonly registry: Registry
  readonly store: Store
  /** Which database it is; cursors carry it. */
  readonly identity: string
  readonly clock: AlarmClock
  readonly ids: Ids
  readonly keys: Keys
  readonly limits: JsonLimits
  /** Called after each commit of this engine. */
  readonly listeners: Set<(commit: Commit) => void>
  /** Takes what nobody waits for: a failed timer, a failed action of a machine. Never throws. */
  readonly onError: (error: unknown) => void
  /** How long a batch may take, in milliseconds. */
  readonly batchMs: number
}

/** Notices what is added to the log, by this engine and by others. */
export interface Arrivals {
  /** How often something has been noticed: taken before the log is read, it tells whether that was all. */
  count(): number
  /** Calls back once something has been noticed since that count; gives a function that calls it off. */
  next(since: number, ring: () => void): () => void
  /** Has everybody look again. */
  announce(): void
}

/** Something that goes on until it is stopped. */
export interface Running {
  /** Resolves when it has stopped. */
  stop(): Promise<void>
}

/** The engine, as its verbs see it. */
export interface Context extends Base {
  readonly writer: Writer
  readonly arrivals: Arrivals
  /** What has to stop before the engine can close. */
  readonly running: Set<Running>
}
