/** What a process with a long life is told. */
export interface LongLife {
  readonly database: string
  readonly seconds: number
  readonly seed: number
}

/** What it holds at one moment, after garbage has been collected. */
export interface Holding {
  readonly heapMb: number
  /** What keeps the event loop alive. */
  readonly handles: number
  readonly files: number
  readonly walMb: number
}

/** What it says in the end. */
export interface Life {
  readonly holdings: readonly Holding[]
  readonly calls: number
  readonly seen: number
  readonly copied: number
  readonly pruned: number
  readonly errors: readonly string[]
  /** How long `close` took, with all callers calling. */
  readonly closeMs: number
}
