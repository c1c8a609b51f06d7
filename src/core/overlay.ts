/** What has a batch decided so far, on top of what is stored? @module */

import type {
  Entry,
  OutcomeRow,
  ReferenceRow,
  ResourceRow,
  SecretChange,
  TimerChange,
} from './rows.ts'

/** An outcome to remember, before its events have a place in the log. */
export interface OutcomeDraft extends Omit<OutcomeRow, 'events'> {
  readonly entries: readonly Entry[]
}

/** A reference that a change set or, without a target, removed. */
export type ReferenceChange = Omit<ReferenceRow, 'targetId'> & { readonly targetId: string | null }

/** What is decided one after the other, and taken back in the opposite order. */
interface Lists {
  readonly entries: Entry[]
  readonly timers: TimerChange[]
  readonly secrets: SecretChange[]
  readonly references: ReferenceChange[]
  readonly outcomes: OutcomeDraft[]
  /** The user's own actions, to run after the commit. */
  readonly actions: (() => unknown)[]
  /** The rows that others have taken the place of. */
  readonly replaced: Replaced[]
}

interface Replaced {
  readonly id: string
  /** Undefined before the creation. */
  readonly row: ResourceRow | undefined
  /** Whether nothing had been decided about it before. */
  readonly isFirst: boolean
}

/**
 * All decisions of a batch, over the store.
 *
 * Whatever goes wrong in one of its commands is taken back to where that began: so a refusal leaves
 * nothing behind, and nobody else notices it.
 */
export interface Overlay extends Lists {
  /** Rows as they are now, those that were loaded and not changed included. */
  readonly rows: Map<string, ResourceRow>
  readonly created: Set<string>
  /** Those that were there before. */
  readonly changed: Set<string>
}

/** How much had been decided at some moment. */
export type Mark = { readonly [List in keyof Lists]: number }

/** Nothing decided yet. */
export function createOverlay(): Overlay {
  return {
    rows: new Map(),
    created: new Set(),
    changed: new Set(),
    entries: [],
    timers: [],
    secrets: [],
    references: [],
    outcomes: [],
    actions: [],
    replaced: [],
  }
}

/** Puts the next row of a resource in place of the one before, or the first one. */
export function putRow({ rows, created, changed, replaced }: Overlay, row: ResourceRow): void {
  const { id } = row
  const before = rows.get(id)
  const decided = before === undefined ? created : changed
  const isFirst = !(created.has(id) || changed.has(id))
  if (isFirst) decided.add(id)
  replaced.push({ id, row: before, isFirst })
  rows.set(id, row)
}

/** Marks this moment, to go back to. */
export function markOf(overlay: Overlay): Mark {
  return {
    entries: overlay.entries.length,
    timers: overlay.timers.length,
    secrets: overlay.secrets.length,
    references: overlay.references.length,
    outcomes: overlay.outcomes.length,
    actions: overlay.actions.length,
    replaced: overlay.replaced.length,
  }
}

/** Takes back everything that has been decided since. Rows that were loaded stay. */
export function goBack(overlay: Overlay, mark: Mark): void {
  for (const replaced of overlay.replaced.slice(mark.replaced).reverse()) putBack(overlay, replaced)
  for (const [list, length] of Object.entries(mark)) overlay[list as keyof Mark].length = length
}

function putBack({ rows, created, changed }: Overlay, { id, row, isFirst }: Replaced): void {
  if (row === undefined) rows.delete(id)
  else rows.set(id, row)
  if (!isFirst) return
  created.delete(id)
  changed.delete(id)
}
