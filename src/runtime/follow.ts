/** How is the log read on, from any place, without ever missing an entry? @module */

import type { Context } from '../context.ts'
import type { EntryFilter } from '../log/events.ts'
import { badPlace } from '../log/place.ts'
import type { ReadEntry } from '../store/queries.ts'

/** Entries that follow a place. */
export interface Slice {
  readonly entries: readonly ReadEntry[]
  /** How far the log has been looked through. */
  readonly position: number
  /** Whether that was the end of the log. */
  readonly isEnd: boolean
}

// What is held in memory for a reader, whatever its speed.
const ENTRIES_AT_ONCE = 512

// How much of the log one look goes through: a filter that matches little may not hold up the others.
const PLACES_AT_ONCE = 16_384

/** Reads the entries after a place. Throws `invalid_input` when they have been pruned. */
export async function readOn(
  { store }: Context,
  filter: EntryFilter,
  after: number,
): Promise<Slice> {
  const { head } = await store.log()
  if (head === after) return { entries: [], position: after, isEnd: true }
  const upTo = Math.min(head, after + PLACES_AT_ONCE)
  const entries = await store.listEntries({
    ...{ ...filter, after, upTo, order: 'asc', limit: ENTRIES_AT_ONCE, since: null, until: null },
  })
  // Asked after the read: what is pruned meanwhile is missing from it.
  if ((await store.log()).pruned > after) throw badPlace('the log after it has been pruned')
  const last = entries.length === ENTRIES_AT_ONCE ? entries.at(-1) : undefined
  const position = last?.seq ?? upTo
  return { entries, position, isEnd: position >= head }
}
