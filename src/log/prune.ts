/** How are old entries removed from the log, so that the rest still proves itself? `prune` @module */

import type { Context } from '../context.ts'
import { isFurther } from '../core/replay.ts'
import { type Duration, toMilliseconds } from '../duration.ts'
import { PawlError, refuseIssues } from '../errors.ts'
import { unknownKeys } from '../runtime/options.ts'
import { forgetOutcomes, keptSince } from '../runtime/outcomes.ts'
import { nextTurn } from '../runtime/wait.ts'
import type { PrunePlan, PruneView } from '../store/audit.ts'
import { foldEntries } from './fold.ts'

/** Options of `prune`. */
export interface PruneOptions {
  /** How long events are kept: those that are older go. */
  readonly events: Duration
}

/** What pruning has come to. */
export interface PruneReport {
  /** How many entries have been removed, internal ones included. */
  readonly events: number
  /**
   * What still needs the next entry, although it is old enough: the name of the consumer or the id of the event
   * destination that is the furthest behind (or has put it aside), or `idempotency`; null when nothing does.
   */
  readonly held_by: string | null
}

// Some milliseconds of work, after which others may write.
const AT_ONCE = 250

/**
 * Removes old entries from the beginning of the log, slice by slice, while the engine is in use. What
 * they came to is kept, so that `verify` and `at` go on from there.
 *
 * Throws `invalid_input`; `storage_corrupt` when it comes upon entries that have been altered, which it leaves
 * in place.
 */
export async function prune(context: Context, options: PruneOptions): Promise<PruneReport> {
  refuseIssues('the options of prune', unknownKeys(options, ['events']))
  const before = context.clock.now().getTime() - toMilliseconds(options.events, 'events')
  await forgetOutcomes(context, () => true)
  let [events, limit] = [0, AT_ONCE]
  for (;;) {
    const { removed, more, heldBy } = await pruneSlice(context, before, limit)
    events += removed
    if (!more) return { events, held_by: heldBy }
    // A change is never split: one that is longer goes as a whole.
    limit = removed === 0 ? limit * 2 : AT_ONCE
    await nextTurn()
  }
}

interface Slice {
  readonly removed: number
  readonly more: boolean
  readonly heldBy: string | null
}

async function pruneSlice(context: Context, before: number, limit: number): Promise<Slice> {
  let slice: Slice = { removed: 0, more: false, heldBy: null }
  const plan = (view: PruneView): PrunePlan => {
    slice = sliceOf(view, before, limit)
    const entries = view.entries.slice(0, slice.removed)
    requireDense(entries, view.pruned)
    return {
      through: entries.at(-1)?.seq ?? null,
      bases: foldEntries(context, entries, view.baseOf),
    }
  }
  // Where very many deliveries go first, it takes several times.
  while (!(await context.store.pruneLog(keptSince(context), limit + 1, plan))) await nextTurn()
  return slice
}

/** Throws `storage_corrupt` where entries are missing: with those around them, the trace of that would go. */
function requireDense(entries: PruneView['entries'], pruned: number): void {
  const index = entries.findIndex(({ seq }, place) => seq !== pruned + 1 + place)
  if (index === -1) return
  const message = `prune: entry ${pruned + 1 + index} of the log is missing; verify() says more`
  throw new PawlError('storage_corrupt', message, { operation: 'prune' })
}

/** How much of the log may go, and what stops it there. */
function sliceOf(
  { entries, slowest, oldestOutcome = Number.POSITIVE_INFINITY }: PruneView,
  before: number,
  limit: number,
): Slice {
  const { name = null, place = Number.POSITIVE_INFINITY } = slowest ?? {}
  const needed = entries.findIndex(
    ({ seq, createdAt }) => createdAt >= Math.min(before, oldestOutcome) || seq > place,
  )
  const end = Math.min(needed === -1 ? entries.length : needed, limit)
  const stopped = needed === end ? entries[end] : undefined
  const isHeld = stopped !== undefined && stopped.createdAt < before
  return {
    removed: wholeChanges(entries, end),
    more: stopped === undefined && entries.length > limit,
    heldBy: isHeld ? ((stopped.seq > place ? name : null) ?? 'idempotency') : null,
  }
}

/** So many of the first entries that what follows begins a change. */
function wholeChanges(entries: PruneView['entries'], end: number): number {
  let count = end
  while (count > 0 && startsWithFurther(entries, count)) count -= 1
  return count
}

function startsWithFurther(entries: PruneView['entries'], count: number): boolean {
  const next = entries[count]
  return next !== undefined && isFurther(next)
}
