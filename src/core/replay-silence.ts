/** May a timer have fired without leaving a trace? @module */

import { type Decision, decide } from './decide.ts'
import type { Kind } from './kind.ts'
import type { Replayed } from './replay.ts'
import { eventOf, type PendingTimer } from './replay-timers.ts'
import { stripSecrets } from './secrets.ts'

/**
 * Lets time pass until the next change, or until now: marks the timers that fell due and that the
 * machine may have ignored in this state.
 */
export function passTime(kind: Kind | undefined, state: Replayed, until: number): Replayed {
  const due = state.timers.filter(({ gone, dueAt }) => !gone && dueAt <= until)
  // One after the other: what a timer could cancel may have gone before it.
  return due
    .toSorted((a, b) => a.dueAt - b.dueAt)
    .reduce(
      (now, timer) => (mayBeIgnored(kind, now, timer, until) ? without(now, timer) : now),
      state,
    )
}

function without(state: Replayed, timer: PendingTimer): Replayed {
  const timers = state.timers.map((other) => (other === timer ? { ...timer, gone: true } : other))
  return { ...state, timers }
}

function mayBeIgnored(
  kind: Kind | undefined,
  state: Replayed,
  timer: PendingTimer,
  until: number,
): boolean {
  const { row } = state
  // What another machine than today's would have done, nobody can tell.
  if (kind === undefined || kind.fingerprint !== row.machine) return true
  // A guard may look at the time, which has not been noted: the first and the last possible one.
  const times = new Set([Math.max(timer.dueAt, row.updatedAt), Math.max(until, row.updatedAt)])
  return [...times].some((time) => isIgnored(kind, state, timer, time))
}

function isIgnored(
  kind: Kind,
  { row, timers }: Replayed,
  timer: PendingTimer,
  time: number,
): boolean {
  try {
    const { type, ...payload } = eventOf(timer)
    const { visible } = stripSecrets(kind, type, payload)
    const decision = decide(kind, row, { ...visible, type }, { id: row.id, time })
    const others = timers.filter((other) => other !== timer && !other.gone)
    return decision === undefined || changesNothing(row, decision, others)
  } catch {
    // A timer that fails is put off and stays.
    return false
  }
}

function changesNothing(
  row: Replayed['row'],
  { state, emitted, timers }: Decision,
  others: readonly PendingTimer[],
): boolean {
  if (emitted.length > 0) return false
  if (state.context !== row.context || state.value !== row.value || state.memory !== row.memory)
    return false
  // Canceling what is not there changes nothing.
  return timers.every(
    ({ effect, name }) => effect === 'cancel' && !others.some((other) => other.name === name),
  )
}
