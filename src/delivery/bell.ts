/** How does one part have another look again? @module */

import type { Source } from '../runtime/wait.ts'

/** Rings for whoever waits; what has rung before they wait counts, too. */
export interface Bell {
  ring(): void
  /** How often it has rung. */
  count(): number
  /** Rings once it has rung since that count. */
  since(count: number): Source
  /** Rings once it rings and something is so. */
  once(isSo: () => boolean): Source
}

/** Creates a bell. */
export function createBell(): Bell {
  const waiting = new Set<() => void>()
  let count = 0
  return {
    ring: () => {
      count += 1
      for (const ring of [...waiting]) ring()
    },
    count: () => count,
    since: (seen) => (ring) => {
      if (count > seen) ring()
      else waiting.add(ring)
      return () => waiting.delete(ring)
    },
    once: (isSo) => (ring) => {
      const look = (): void => {
        if (isSo()) ring()
      }
      waiting.add(look)
      return () => waiting.delete(look)
    },
  }
}
