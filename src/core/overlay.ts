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

/**
 * A layer of decisions over another one or over the store.
 *
 * Each command decides in a layer of its own, which is either absorbed by the one below or thrown
 * away: so a refusal leaves nothing behind, and nobody else notices it.
 */
export interface Layer {
  readonly below: Layer | null
  /** Rows as they are now; in the lowest layer also those that were loaded and not changed. */
  readonly resources: Map<string, ResourceRow>
  readonly created: Set<string>
  readonly changed: Set<string>
  readonly entries: Entry[]
  readonly timers: TimerChange[]
  readonly secrets: SecretChange[]
  readonly references: ReferenceChange[]
  readonly outcomes: OutcomeDraft[]
  /** The user's own actions, to run after the commit. */
  readonly actions: (() => unknown)[]
}

/** Opens an empty layer. */
export function openLayer(below: Layer | null = null): Layer {
  return {
    below,
    resources: new Map(),
    created: new Set(),
    changed: new Set(),
    entries: [],
    timers: [],
    secrets: [],
    references: [],
    outcomes: [],
    actions: [],
  }
}

/** Moves what a layer has decided into the one below it. */
export function absorb(layer: Layer): void {
  const { below } = layer
  if (below === null) return
  for (const [id, row] of layer.resources) below.resources.set(id, row)
  for (const id of layer.created) below.created.add(id)
  for (const id of layer.changed) below.changed.add(id)
  below.entries.push(...layer.entries)
  below.timers.push(...layer.timers)
  below.secrets.push(...layer.secrets)
  below.references.push(...layer.references)
  below.outcomes.push(...layer.outcomes)
  below.actions.push(...layer.actions)
}

/** The lowest layer, which the whole batch shares. */
export function bottom(layer: Layer): Layer {
  return layer.below === null ? layer : bottom(layer.below)
}

/** A row as this layer sees it, unless it has not been loaded yet. */
export function findRow(layer: Layer, id: string): ResourceRow | undefined {
  return layer.resources.get(id) ?? (layer.below ? findRow(layer.below, id) : undefined)
}

/** Everything of one sort that this layer and those below have decided, oldest first. */
export function decided<K extends 'references' | 'outcomes' | 'timers' | 'secrets'>(
  layer: Layer,
  sort: K,
): readonly Layer[K][number][] {
  const own: readonly Layer[K][number][] = layer[sort]
  if (layer.below === null) return own
  const below = decided(layer.below, sort)
  return below.length === 0 ? own : [...below, ...own]
}
