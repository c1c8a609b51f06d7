/** What happens in a simulation, as plain JSON: a seed writes it, and it can be cut and replayed. */

import type { ModelCommand } from '../../support/model-rules.ts'

/** A call names things by how recent they are, so that any part of a script makes sense. */
export type Call =
  | {
      readonly do: 'create'
      readonly type: string
      readonly picks: readonly number[]
      readonly keyed?: boolean
    }
  | Sending
  /** Repeats a call that had an idempotency key, or uses its key for another one. */
  | { readonly do: 'again'; readonly back: number; readonly other: boolean }
  /** A command to nobody. */
  | { readonly do: 'stray'; readonly type: string; readonly command: ModelCommand }

export interface Sending {
  readonly do: 'send'
  readonly type: string
  readonly pick: number
  /** Whether to look for a thing whose status accepts the command. */
  readonly willing: boolean
  /** Whether it goes to the thing of the command before it instead. */
  readonly same?: boolean
  readonly command: ModelCommand
  readonly keyed?: boolean
  readonly expects?: 'current' | 'stale'
}

/** What the driver throws, once, and where. */
export interface Fault {
  readonly at: 'begin' | 'write' | 'commit'
  readonly nth: number
  readonly code: string
  readonly when: 'before' | 'after'
  /** Whether the connection is gone then, like that of a process that was killed. */
  readonly dies: boolean
}

export interface Burst {
  readonly do: 'burst'
  /** Which engine is called. */
  readonly on: number
  /** Submitted at the same time, without waiting for any. */
  readonly calls: readonly Call[]
  readonly transaction?: {
    readonly calls: readonly Call[]
    readonly commits: boolean
    readonly note: boolean
  }
  /** The engine that fires what is due at the same time. */
  readonly tick?: number
  readonly fault?: Fault
}

export type Step =
  | Burst
  /** Asks what would happen, then does it. */
  | { readonly do: 'ask'; readonly on: number; readonly call: Sending }
  | { readonly do: 'advance'; readonly on: number; readonly ms: number; readonly fault?: Fault }
  /** Both engines fire what is due, at the same time. */
  | { readonly do: 'race' }
  /** Closes an engine, or just leaves it, and opens another one with the clock set anew. */
  | { readonly do: 'restart'; readonly on: number; readonly drop: boolean; readonly jump: number }
  /** Opens a second engine beside the first, or closes it. */
  | { readonly do: 'second'; readonly jump: number }
  | { readonly do: 'prune'; readonly days: number }
  | { readonly do: 'verify' }
  | { readonly do: 'backup' }

export interface Script {
  readonly seed: number
  /** Whether the database is a file; it is in memory otherwise. */
  readonly file: boolean
  readonly steps: readonly Step[]
}
