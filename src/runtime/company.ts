/** When does a call wait for others to share its commit? @module */

import { nextTurn } from './wait.ts'

/** Tells whether others are likely to come in this turn of the event loop. */
export interface Company {
  /** Resolves when whoever comes in this turn has come; undefined when a call had better not wait. */
  gather(): Promise<void> | undefined
  /** Takes note of a commit, and of whether it was that of one call while nobody else waited. */
  committed(wasAlone: boolean): void
}

/**
 * Sees from what has happened in this turn whether a call is alone.
 *
 * The first one of a turn goes ahead. Those that come after a commit of the same turn wait until it is over, and
 * share one commit; but for a caller who sends one command after the other and has been alone so far.
 */
export function createCompany(): Company {
  let hasCommitted = false
  let isSequel = false
  return {
    gather: () => (hasCommitted && !isSequel ? nextTurn() : undefined),
    committed: (wasAlone) => {
      isSequel = wasAlone
      // Comes after everything that the answer itself leads to, and before the next callback of the loop.
      if (isSequel)
        process.nextTick(() => {
          isSequel = false
        })
      if (hasCommitted) return
      hasCommitted = true
      setImmediate(() => {
        hasCommitted = false
      })
    },
  }
}
