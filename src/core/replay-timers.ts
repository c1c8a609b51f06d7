/** Which timers does a resource have, as its log tells? @module */

import type { JsonObject } from './definition.ts'
import type { Difference, TimerMark } from './entries.ts'

/** A timer that has been set and, as far as the log tells, neither fired nor been canceled. */
export interface PendingTimer {
  readonly name: string | null
  /** The event for the machine, as JSON text. */
  readonly event: string
  readonly dueAt: number
  /** Whether it may have fired all the same: a machine that ignores a timer leaves no trace. */
  readonly gone: boolean
}

/** The timers after a change. */
export function replayTimers(
  timers: readonly PendingTimer[],
  { fired, timers: effects = [] }: Difference,
  final: boolean,
): readonly PendingTimer[] {
  // What has ended keeps no timers.
  if (final) return []
  let list = fired === undefined ? timers : withoutFired(timers, fired)
  for (const mark of effects) list = mark.length === 1 ? canceled(list, mark[0]) : set(list, mark)
  return list
}

/** The timer that a mark in the log speaks of. */
export function toTimer([name, dueAt, event = { type: name }]: TimerMark): PendingTimer {
  return { name, dueAt, event: JSON.stringify(event), gone: false }
}

function canceled(timers: readonly PendingTimer[], name: string): readonly PendingTimer[] {
  return timers.filter((timer) => timer.name !== name)
}

/** As in the store, an id that is used again names the new timer; the old one goes on without. */
function set(timers: readonly PendingTimer[], mark: TimerMark): readonly PendingTimer[] {
  const timer = toTimer(mark)
  const renamed =
    timer.name === null
      ? timers
      : timers.map((old) => (old.name === timer.name ? { ...old, name: null } : old))
  return [...renamed, timer]
}

function withoutFired(timers: readonly PendingTimer[], mark: TimerMark): readonly PendingTimer[] {
  const fired = findFired(timers, mark)
  return timers.filter((timer) => timer !== fired)
}

/** The timer that fired; undefined where none of them can have. */
export function findFired(
  timers: readonly PendingTimer[],
  mark: TimerMark,
): PendingTimer | undefined {
  const fired = toTimer(mark)
  // A change of the same transaction may have taken its name after it was loaded.
  return findTimer(timers, fired) ?? findTimer(timers, { ...fired, name: null })
}

/** The timer with this name, event and time; rather one that is there for sure. */
export function findTimer(
  timers: readonly PendingTimer[],
  { name, event, dueAt }: Omit<PendingTimer, 'gone'>,
): PendingTimer | undefined {
  const same = timers.filter(
    (timer) => timer.name === name && timer.event === event && timer.dueAt === dueAt,
  )
  return same.find(({ gone }) => !gone) ?? same[0]
}

/** The event of a timer. Throws for what is none. */
export function eventOf({ event }: Pick<PendingTimer, 'event'>): JsonObject & { type: string } {
  const parsed: unknown = JSON.parse(event)
  if (typeof parsed === 'object' && parsed !== null && 'type' in parsed)
    if (typeof parsed.type === 'string') return { ...parsed, type: parsed.type }
  throw new Error('the event of a timer has no type')
}
