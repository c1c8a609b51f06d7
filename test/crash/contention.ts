import type { Stalls } from './stalls.ts'

/** The table in which the writers count together. */
export type CountTables = Record<'counts', { readonly id: number; readonly n: number }>

/** An acknowledged call: when it began and ended on the clock that all processes share, and its entries of the log. */
export interface Acknowledged {
  readonly began: number
  readonly ended: number
  readonly seqs: readonly number[]
}

/** What a writer has to say when its time is over. */
export interface Account {
  readonly acknowledged: readonly Acknowledged[]
  /** How often it has counted in the table, and changed the resource that all of them change. */
  readonly counted: number
  readonly shared: number
  /** The codes of the errors that came to a caller. */
  readonly errors: readonly string[]
  readonly stalls: Stalls
}

/** What a writer is told. */
export interface Assignment {
  readonly seconds: number
  readonly sharedAgent: string
}
