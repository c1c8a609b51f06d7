/** How often is the system asked for the address of a name that has none? @module */

import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'

// The system's resolver occupies one of few threads, for seconds where nobody answers: a name that leads nowhere is
// not asked for again sooner than this.
const REMEMBERED_MS = 5000

// Names that lead nowhere; more of them, and all are asked for again.
const MOST_NAMES = 10_000

/** Resolves names as the system does, and remembers for a moment which of them could not be resolved. */
export function createSystemLookup(
  lookup: LookupFunction = systemLookup as LookupFunction,
): LookupFunction {
  const failed = new Map<
    string,
    { readonly error: NodeJS.ErrnoException; readonly until: number }
  >()
  return (name, options, callback) => {
    const known = failed.get(name)
    if (known !== undefined && performance.now() < known.until) {
      process.nextTick(callback, known.error, [])
      return
    }
    lookup(name, options, (error, ...found) => {
      if (failed.size >= MOST_NAMES) failed.clear()
      if (error) failed.set(name, { error, until: performance.now() + REMEMBERED_MS })
      else failed.delete(name)
      callback(error, ...found)
    })
  }
}
