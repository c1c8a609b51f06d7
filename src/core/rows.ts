/** What does the engine keep about resources, and in which shape does it pass between plan and store? @module */

/** A resource. */
export interface ResourceRow {
  readonly id: string
  readonly tenant: string
  readonly type: string
  readonly status: string
  /** How many changes it has had. */
  readonly version: number
  /** Whether it has ended: no command is legal any more. */
  readonly final: boolean
  /** XState's state value as JSON text; the order of keys matters to XState. */
  readonly value: string
  /** What XState remembers besides the value, as JSON text; null when that is nothing. */
  readonly memory: string | null
  /** The machine's context as JSON text. */
  readonly context: string
  /** Version and structure of the machine that wrote the row. */
  readonly machine: string
  /** Milliseconds since 1970, like all times here. */
  readonly createdAt: number
  readonly updatedAt: number
  /** Since when it has had its status. */
  readonly statusSince: number
  /** The hash of its latest entry in the log; null before the first. */
  readonly head: Buffer | null
  /** The place of that entry; 0 before the first. */
  readonly latest: number
  /** How many entries it has. */
  readonly entries: number
}

/** One entry of the log, before it has a place in it. */
export interface Entry {
  readonly tenant: string
  readonly type: string
  readonly internal: boolean
  readonly resourceId: string
  readonly resourceVersion: number
  /** The summary of the resource at that moment, as JSON text. */
  readonly data: string
  /** The status that the resource had before, and for how long; null where the entry changed no status. */
  readonly previousStatus: string | null
  readonly previousMs: number | null
  /** The command as the machine saw it, as JSON text; null on the further entries of one change. */
  readonly command: string | null
  /** What the change made of state and context, as JSON text; null like `command`. */
  readonly change: string | null
  /** The name of the command or timer. */
  readonly cause: string
  readonly actor: string | null
  readonly correlationId: string
  /** The entry that led to this one. */
  readonly causation: Entry | null
  readonly createdAt: number
}

/** An entry of the log as it is stored. */
export interface SealedEntry extends Omit<Entry, 'causation'> {
  readonly seq: number
  readonly id: string
  readonly causationId: string | null
  readonly hash: Buffer
  /** Which of its resource's entries it is, from 1. */
  readonly ordinal: number
  /** The place of the resource's entry before it; 0 for the first. */
  readonly previous: number
}

/** A future command. */
export interface Timer {
  readonly resourceId: string
  readonly tenant: string
  /** XState's id of it; null when the machine gave none or has since reused it. */
  readonly name: string | null
  /** The event for the machine, as JSON text. */
  readonly event: string
  readonly dueAt: number
}

/** A timer as it is stored. */
export interface TimerRow extends Timer {
  /** The order in which timers were set. */
  readonly position: number
  /** When it is tried next: `dueAt`, or later after a failure. */
  readonly nextAt: number
  readonly attempts: number
  readonly lastError: string | null
}

/** What happens to the timers of a resource, in this order. */
export type TimerChange =
  | { readonly change: 'set'; readonly timer: Timer }
  | { readonly change: 'cancel'; readonly resourceId: string; readonly name: string }
  | { readonly change: 'fired'; readonly position: number }
  | { readonly change: 'clear'; readonly resourceId: string }

/** A secret, encrypted. */
export interface SecretRow {
  readonly resourceId: string
  readonly name: string
  readonly envelope: Buffer
}

/** What happens to the secrets of a resource, in this order. */
export type SecretChange =
  | { readonly change: 'set'; readonly secret: SecretRow }
  | { readonly change: 'erase'; readonly resourceId: string; readonly name: string | null }

/** One reference of a resource to another. */
export interface ReferenceRow {
  readonly resourceId: string
  readonly type: string
  readonly field: string
  readonly targetId: string
}

/** What an idempotency key remembers. */
export interface OutcomeRow {
  readonly tenant: string
  readonly key: string
  /** Identifies the request, without saying what was in it. */
  readonly fingerprint: string
  /** The resource as the outcome showed it, as JSON text. */
  readonly resource: string
  readonly changed: boolean
  /** The places in the log of the outcome's public events. */
  readonly events: readonly number[]
  /** The secrets that the outcome showed, encrypted. */
  readonly secrets: Buffer | null
  readonly createdAt: number
}
