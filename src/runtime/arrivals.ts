/** How do those who follow the log notice that there is more of it? @module */

import type { Arrivals, Base } from '../context.ts'
import { isPawlError } from '../errors.ts'

// Other processes cannot ring here, so their commits are looked for. A look takes about two microseconds.
const LOOK_EVERY_MS = 20

/** Notices the commits of this engine as they happen, and those of others while somebody waits. */
export function createArrivals({ store, listeners }: Pick<Base, 'store' | 'listeners'>): Arrivals {
  const rings = new Set<() => void>()
  let count = 0
  let isLooking = false
  let version: number | null = null

  const announce = (): void => {
    count += 1
    for (const ring of [...rings]) ring()
  }
  const look = async (): Promise<boolean> => {
    try {
      const now = await store.othersCommits()
      if (now !== version) announce()
      version = now
      return true
    } catch (error) {
      // Whoever waits is told by its own read; a database that is busy is looked at again.
      if (isPawlError(error, 'storage_busy')) return true
      announce()
      return false
    }
  }
  const keepLooking = async (): Promise<void> => {
    if (isLooking) return
    isLooking = true
    while (rings.size > 0 && (await look())) await pause()
    isLooking = false
  }
  listeners.add(({ entries }) => {
    if (entries.length > 0) announce()
  })
  return {
    count: () => count,
    announce,
    next: (since, ring) => {
      if (count > since) {
        ring()
        return () => {}
      }
      rings.add(ring)
      void keepLooking()
      return () => rings.delete(ring)
    },
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
}
