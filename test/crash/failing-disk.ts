/** What a process is told that works on a disk which fails now and then. */
export interface FailingDisk {
  readonly database: string
  readonly durability: 'full' | 'relaxed'
  readonly seed: number
  /** How often its callers call before a checkpoint of the whole log, and after it. */
  readonly rounds: number
  /** Pages that are kept in memory, of a connection of the application; null for one of the engine's. */
  readonly cachePages: number | null
}

/** What it says, a line each. */
export type Said =
  | {
      readonly is: 'failed'
      readonly what: string
      readonly code: string
      readonly cause: string | null
    }
  | { readonly is: 'acknowledged'; readonly key: string; readonly seqs: readonly number[] }
  | {
      readonly is: 'repeated'
      readonly key: string
      readonly seqs: readonly number[]
      readonly replayed: boolean
    }
  | { readonly is: 'verified'; readonly differences: readonly { readonly kind: string }[] }
  | { readonly is: 'parked'; readonly error: string }
  | { readonly is: 'finished' }

/** What a process has said. */
export function saidIn(output: string): Said[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Said => JSON.parse(line))
}
