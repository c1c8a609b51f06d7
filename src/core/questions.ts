/** What does a plan have to know that only the store can tell? @module */

import type { OutcomeDraft, Overlay } from './overlay.ts'
import type { OutcomeRow, ResourceRow, SecretRow, Timer, TimerChange, TimerRow } from './rows.ts'

/** The questions, with their answers. */
export interface Answers {
  readonly resource: ResourceRow | undefined
  /** The ids of live resources that refer to another one, in the order of their creation. */
  readonly referrers: readonly string[]
  readonly timer: TimerRow | undefined
  /** The timers of a resource. */
  readonly timers: readonly TimerRow[]
  readonly secrets: readonly SecretRow[]
  readonly outcome: OutcomeRow | undefined
  /** The place of the latest entry in the log; 0 when it is empty. */
  readonly head: number
}

/** A question to the store. */
export type Question =
  | {
      readonly ask: 'resource'
      readonly id: string
      /** That it stays as it is, is all that is wanted; otherwise it may be changed. */
      readonly fixed?: true
    }
  | {
      readonly ask: 'referrers'
      readonly targetId: string
      readonly type: string
      readonly field: string
      readonly limit: number
    }
  | {
      readonly ask: 'timer'
      readonly position: number
      /** As if it were gone, where somebody else is at its resource at this moment. */
      readonly ifFree?: boolean | undefined
    }
  | { readonly ask: 'timers'; readonly resourceId: string }
  | { readonly ask: 'secrets'; readonly resourceId: string }
  | { readonly ask: 'outcome'; readonly tenant: string; readonly key: string }
  | { readonly ask: 'head' }

/**
 * A computation that asks the store by yielding: the shell answers at once (SQLite) or after a
 * round trip, and the plan stays free of I/O either way.
 */
export type Plan<T> = Generator<Question, T, unknown>

/** Asks one question. */
export function* ask<Q extends Question>(question: Q): Plan<Answers[Q['ask']]> {
  return (yield question) as Answers[Q['ask']]
}

/** The row of a resource as it is by now, to be changed. */
export function* loadRow(overlay: Overlay, id: string): Plan<ResourceRow | undefined> {
  const known = overlay.rows.get(id)
  if (known !== undefined) return known
  // Every command asks this: not through `ask`, which would be one more generator.
  const row = (yield { ask: 'resource', id }) as Answers['resource']
  if (row !== undefined) overlay.rows.set(id, row)
  return row
}

/** The row of a resource as it is by now, which is not to be changed. */
export function* lookAtRow(overlay: Overlay, id: string): Plan<ResourceRow | undefined> {
  const known = overlay.rows.get(id)
  if (known !== undefined) return known
  const row = yield* ask({ ask: 'resource', id, fixed: true })
  if (row !== undefined) overlay.rows.set(id, row)
  return row
}

/** Where references come from: a field of a type. */
export interface ReferenceField {
  readonly type: string
  readonly field: string
}

/** The live resources that refer to another one through a field, in the order of their creation. */
export function* loadReferrers(
  overlay: Overlay,
  targetId: string,
  { type, field }: ReferenceField,
  limit = Number.MAX_SAFE_INTEGER,
): Plan<ResourceRow[]> {
  // Any row that this batch has touched may have ended: ask for that many more.
  const spare = overlay.rows.size
  const stored = yield* ask({ ask: 'referrers', targetId, type, field, limit: limit + spare })
  const rows: ResourceRow[] = []
  for (const id of withDecided(stored, overlay, { targetId, type, field })) {
    const row = yield* loadRow(overlay, id)
    if (row !== undefined && !row.final) rows.push(row)
    if (rows.length === limit) break
  }
  return rows
}

/** The ids of those who refer to a target, with what has been decided since. */
function withDecided(
  stored: readonly string[],
  overlay: Overlay,
  { targetId, type, field }: ReferenceField & { readonly targetId: string },
): ReadonlySet<string> {
  const ids = new Set(stored)
  for (const change of overlay.references) {
    if (change.type !== type || change.field !== field) continue
    if (change.targetId === targetId) ids.add(change.resourceId)
    else ids.delete(change.resourceId)
  }
  return ids
}

/** A timer, unless it is gone, also by what has been decided. */
export function* loadTimer(
  overlay: Overlay,
  position: number,
  ifFree?: boolean,
): Plan<TimerRow | undefined> {
  const timer = yield* ask({ ask: 'timer', position, ifFree })
  return timer !== undefined && isStillSet(timer, overlay.timers) ? timer : undefined
}

/** The stored timers of a resource, but for those that have been done away with. */
export function* loadTimers(overlay: Overlay, resourceId: string): Plan<TimerRow[]> {
  const changes = overlay.timers
  const stored = yield* ask({ ask: 'timers', resourceId })
  return stored.filter((timer) => isStillSet(timer, changes))
}

/** Whether a resource has a timer of this name. */
export function* hasTimer(overlay: Overlay, resourceId: string, name: string): Plan<boolean> {
  const changes = overlay.timers
  const stored = yield* ask({ ask: 'timers', resourceId })
  if (stored.some((timer) => timer.name === name && isStillSet(timer, changes))) return true
  return changes.some(
    (change, index) =>
      change.change === 'set' &&
      change.timer.resourceId === resourceId &&
      change.timer.name === name &&
      isStillSet(change.timer, changes.slice(index + 1)),
  )
}

/** Whether a timer is left after these changes. */
function isStillSet(
  timer: Timer & { readonly position?: number },
  changes: readonly TimerChange[],
): boolean {
  const own = changes.filter((change) => isOf(timer, change))
  // A timer whose name is used again goes on without: from there on it cannot be canceled.
  const renamed = own.findIndex(({ change }) => change === 'set')
  const cancelable = renamed === -1 ? own : own.slice(0, renamed)
  if (cancelable.some(({ change }) => change === 'cancel')) return false
  return !own.some(({ change }) => change === 'fired' || change === 'clear')
}

/** Whether a change is about this timer, by position, name or resource. */
function isOf(timer: Timer & { readonly position?: number }, change: TimerChange): boolean {
  switch (change.change) {
    case 'fired':
      return change.position === timer.position
    case 'clear':
      return change.resourceId === timer.resourceId
    case 'cancel':
      return change.resourceId === timer.resourceId && change.name === timer.name
    case 'set':
      return change.timer.resourceId === timer.resourceId && change.timer.name === timer.name
  }
}

/** What an idempotency key remembers, from this batch or from before. */
export function* loadOutcome(
  overlay: Overlay,
  tenant: string,
  key: string,
): Plan<OutcomeDraft | OutcomeRow | undefined> {
  const draft = overlay.outcomes.findLast(
    (outcome) => outcome.tenant === tenant && outcome.key === key,
  )
  return draft ?? (yield* ask({ ask: 'outcome', tenant, key }))
}
