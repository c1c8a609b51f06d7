/**
 * What may happen next, of each of those who work at the same time. Where transactions wait for each
 * other, a transaction and the timers that are due are one move. Where they go on side by side, it is
 * the calls in a transaction that leave nothing and each timer that find their places on their own.
 */

import { dueTimers, fireDue, forgetKeys } from '../../support/model.ts'
import { fire } from '../../support/model-commands.ts'
import type { Kept, Timer } from '../../support/model-state.ts'
import { type Decided, decided } from './judge.ts'
import {
  type Called,
  type Company,
  endOf,
  type Scene,
  type Tick,
  type Transaction,
} from './scene.ts'
import { branchOf, type Course, type Stage } from './stage.ts'

/** What is still to happen of one of them, in its order. */
export interface Strand {
  /** Whether all has happened that has to. */
  readonly mayEnd: boolean
  /** What may come next, as things are then; the likeliest first. */
  moves(course: Course): readonly Move[]
}

export interface Move {
  /** Has the model do it, and gives what it decided; null where it cannot come by itself. */
  make(course: Course): readonly Decided[] | null
  readonly rest: Strand
}

const OVER: Strand = { mayEnd: true, moves: () => [] }

/** What may happen in a scene if what is indeterminate has happened, or has not. */
export function strandsOf(
  { ground }: Stage,
  start: Course,
  { now, called, company }: Scene,
  isKept: boolean,
): Strand[] {
  const takesEffect = (end: string) => end === 'kept' || (end === 'indeterminate' && isKept)
  const calls = called.filter(({ answer }) => takesEffect(endOf(answer)))
  const before = ground.isShared ? keysBefore(start, company) : new Map()
  const strandOf = (part: Company): Strand => {
    if (part.is === 'tick') return ground.isShared ? ticking(part, start) : wholeTick(part, start)
    return transactionFrom({ ...part, now, counts: takesEffect(part.end) }, ground.isShared)
  }
  return [callsFrom(calls, now, before), ...company.map(strandOf)]
}

/** A strand of one move. */
function once(make: Move['make']): Strand {
  return { mayEnd: false, moves: () => [{ make, rest: OVER }] }
}

/** Keys that a transaction used, with what they stood for before it. */
type Keys = ReadonlyMap<string, Kept | undefined>

function keysBefore({ model }: Course, company: readonly Company[]): Keys {
  const called = company.flatMap((part) => (part.is === 'transaction' ? part.called : []))
  const keys = called.flatMap(({ planned }) => planned.request.idempotencyKey ?? [])
  return new Map(keys.map((key) => [key, model.kept.get(key)]))
}

function callsFrom([one, ...others]: readonly Called[], now: number, before: Keys): Strand {
  if (one === undefined) return OVER
  const rest = callsFrom(others, now, before)
  const usual: Move = { make: (course) => [decidedAt(now, course, one)], rest }
  const early: Move = { make: (course) => refusedBefore(before, now, course, one), rest }
  const isShared = before.has(one.planned.request.idempotencyKey ?? '')
  return { mayEnd: false, moves: () => (isShared ? [usual, early] : [usual]) }
}

/**
 * Nothing holds the place of a key that nobody has used: a refusal, which leaves nothing, may have looked for it before
 * a transaction that was faster with the log.
 */
function refusedBefore(
  before: Keys,
  now: number,
  course: Course,
  one: Called,
): readonly Decided[] | null {
  const key = one.planned.request.idempotencyKey ?? ''
  const { kept } = course.model
  const [then, since] = [before.get(key), kept.get(key)]
  if (since === undefined || since === then) return null
  if (then === undefined) kept.delete(key)
  else kept.set(key, then)
  const refused = decidedAt(now, course, one)
  kept.set(key, since)
  return refused.verdict.ok ? null : [refused]
}

function decidedAt(now: number, { model }: Course, { planned, answer }: Called): Decided {
  model.now = now
  return decided(model, planned, answer)
}

interface Timed extends Transaction {
  readonly now: number
  /** Whether it has been kept; what was decided in it has to be right in any case. */
  readonly counts: boolean
}

/** A transaction as a whole or, what leaves nothing, each for itself until something is written. */
function transactionFrom(part: Timed, isShared: boolean): Strand {
  const called = part.called.filter(({ answer }) => endOf(answer) === 'kept')
  const whole = once((course) => {
    const own = part.counts ? course : branchOf(course)
    if (part.note) own.notes += 1
    return called.map((one) => decidedAt(part.now, own, one))
  })
  const [first, ...others] = called
  if (!isShared || first === undefined) return whole
  const early: Move = {
    make: (course) => {
      const one = decidedAt(part.now, course, first)
      return leavesNothing(one) ? [one] : null
    },
    rest: transactionFrom({ ...part, called: others }, isShared),
  }
  return { mayEnd: false, moves: (course) => [...whole.moves(course), early] }
}

function leavesNothing({ verdict, planned }: Decided): boolean {
  if (!verdict.ok || verdict.replayed !== undefined) return true
  return !verdict.changed && planned.request.idempotencyKey === undefined
}

/** All that is due, as it was listed at the beginning. What has failed may have ended after it: more is done then. */
function wholeTick(tick: Tick, start: Course): Strand {
  const listed = dueTimers(start.model, tick.now)
  const make = ({ model }: Course) => {
    model.now = tick.now
    fireDue(model, listed)
    return []
  }
  return { mayEnd: tick.end !== 'kept', moves: () => [{ make, rest: forgetting(tick) }] }
}

/** Then the keys go that have been kept for long enough. */
function forgetting({ now, end }: Tick): Strand {
  const forget = once(({ model }) => {
    model.now = now
    forgetKeys(model)
    return []
  })
  return { ...forget, mayEnd: end !== 'kept' }
}

/** Timers that are fired one by one, in passes through what is due. */
interface Passing {
  readonly tick: Tick
  /** What was there when the scene began. */
  readonly known: ReadonlySet<Timer>
  /** What is left of a list; null before the first. */
  readonly listed: readonly Timer[] | null
  /** Whether it is the pass that leaves out what others are at. */
  readonly isFirst: boolean
}

function ticking(tick: Tick, { model }: Course): Strand {
  return passing({ tick, known: new Set(model.timers), listed: null, isFirst: true })
}

function passing(pass: Passing): Strand {
  const { tick, listed } = pass
  const allFired: Move = { make: () => [], rest: forgetting(tick) }
  return {
    // What has failed may have ended anywhere.
    mayEnd: tick.end !== 'kept',
    moves: ({ model }) => {
      const due = dueTimers(model, tick.now)
      const left = (listed ?? due).filter((timer) => model.timers.includes(timer))
      const isOver = left.every((timer) => mayLeaveOut(pass, timer))
      const firings = new Map([
        ...(isOver ? firingsOf({ ...pass, isFirst: false }, due) : []),
        ...firingsOf(pass, left),
      ])
      return [...firings.values(), ...(due.length === 0 ? [allFired] : [])]
    },
  }
}

/** Whether a timer may be left for the next pass: others may be at it, or it was not there yet. */
function mayLeaveOut({ tick, known, isFirst }: Passing, timer: Timer): boolean {
  return (isFirst && !tick.isAlone) || !known.has(timer)
}

/** The timers of a list that may be fired next. */
function firingsOf(pass: Passing, list: readonly Timer[]): [Timer, Move][] {
  const last = list.findIndex((timer) => !mayLeaveOut(pass, timer))
  const next = last < 0 ? list : list.slice(0, last + 1)
  return next.map((timer, index) => {
    const make = ({ model }: Course) => {
      model.now = pass.tick.now
      fire(model, timer)
      return []
    }
    return [timer, { make, rest: passing({ ...pass, listed: list.slice(index + 1) }) }]
  })
}
