/**
 * In which order did things happen that happened at the same time, and did those happen of which
 * nobody knows? Calls to one engine keep their order. Whatever came beside them took effect
 * somewhere between, and what is indeterminate all or not at all: one of these courses has to
 * explain every answer and the log.
 */

import { isPawlError } from '../../../src/index.ts'
import { dueTimers, fireDue, forgetKeys } from '../../support/model.ts'
import type { Timer } from '../../support/model-state.ts'
import { type Answer, type Decided, decided, wrongAnswer, wrongIn } from './judge.ts'
import type { Planned } from './requests.ts'
import { branchOf, type Course, type Found, type Stage } from './stage.ts'

export interface Called {
  readonly planned: Planned
  readonly answer: Answer
}

/** Something that took effect as a whole, beside the calls. */
export type Company =
  | {
      readonly is: 'transaction'
      /** Up to the one that ended it. */
      readonly called: readonly Called[]
      readonly end: 'kept' | 'undone' | 'indeterminate'
      readonly note: boolean
    }
  | { readonly is: 'tick'; readonly now: number; readonly end: 'kept' | 'undone' | 'indeterminate' }

/** What happened at the same time, and what was found after it. */
export interface Scene {
  readonly now: number
  readonly called: readonly Called[]
  readonly company: readonly Company[]
  readonly found: Found
}

/** What the storage said no to has left nothing; of a commit that failed nobody knows. */
export function endOf(answer: Answer): 'kept' | 'undone' | 'indeterminate' {
  if (answer.ok || !isPawlError(answer.error)) return 'kept'
  const { code } = answer.error
  if (code === 'indeterminate') return 'indeterminate'
  return code.startsWith('storage_') || code === 'closed' ? 'undone' : 'kept'
}

/** Finds the course that explains some scenes, and takes it; gives what each of them cannot explain. */
export function explain(stage: Stage, scenes: readonly Scene[]): string | null {
  const wrongs = new Set<string>()
  const course = courseOf(stage, stage.course, scenes, wrongs)
  if (course === null) return [...wrongs].join('\nor: ')
  stage.course = course
  return null
}

function courseOf(
  stage: Stage,
  before: Course,
  [scene, ...later]: readonly Scene[],
  wrongs: Set<string>,
): Course | null {
  if (scene === undefined) return before
  for (const way of waysOf(scene)) {
    const course = branchOf(before)
    const wrong = follow(stage, course, scene, way)
    if (wrong !== null) wrongs.add(wrong)
    const end = wrong === null ? courseOf(stage, course, later, wrongs) : null
    if (end !== null) return end
  }
  return null
}

interface Way {
  readonly order: readonly Part[]
  /** Whether what is indeterminate happened. */
  readonly isKept: boolean
}

function* waysOf(scene: Scene): Generator<Way> {
  for (const order of ordersOf(scene)) {
    if (isOpen(scene)) yield { order, isKept: false }
    yield { order, isKept: true }
  }
}

type Part = Called | Company

/** The orders to try, the likeliest first. */
function* ordersOf({ called, company }: Scene): Generator<readonly Part[]> {
  const [one, ...others] = company
  if (one === undefined) {
    yield called
    return
  }
  const places = [...called.keys()].reverse()
  for (const place of [called.length, ...places]) {
    yield [...called.slice(0, place), one, ...others, ...called.slice(place)]
  }
  if (others.length > 0) yield [...called, ...others, one]
}

function isOpen({ called, company }: Scene): boolean {
  const ends = [...called.map(({ answer }) => endOf(answer)), ...company.map(({ end }) => end)]
  return ends.includes('indeterminate')
}

function follow(
  stage: Stage,
  course: Course,
  { now, company, found }: Scene,
  { order, isKept }: Way,
): string | null {
  const lists = listsOf(course, company)
  const all: Decided[] = []
  for (const part of order) {
    course.model.now = now
    if (takesEffect(part, isKept)) all.push(...decisionsOf(course, part, lists.get(part)))
    else {
      const wrong = wrongWithin(stage, course, part)
      if (wrong !== null) return wrong
    }
  }
  const known = all.filter(({ answer }) => endOf(answer) === 'kept')
  return wrongIn(stage, course, found) ?? firstOf(known, (one) => wrongAnswer(stage, course, one))
}

/** What each engine that fires timers sees before anything happens. */
function listsOf({ model }: Course, company: readonly Company[]): Map<Part, Timer[]> {
  const ticks = company.flatMap((part) => (part.is === 'tick' ? part : []))
  return new Map(ticks.map((part) => [part, dueTimers(model, part.now)]))
}

function takesEffect(part: Part, isKept: boolean): boolean {
  const end = 'planned' in part ? endOf(part.answer) : part.end
  return end === 'kept' || (end === 'indeterminate' && isKept)
}

/** Has the model do a part of what happened. */
function decisionsOf(course: Course, part: Part, listed: readonly Timer[] = []): Decided[] {
  const { model } = course
  if ('planned' in part) return [decided(model, part.planned, part.answer)]
  if (part.is === 'transaction') {
    if (part.note) course.notes += 1
    return decisionsWithin(course, part)
  }
  model.now = part.now
  fireDue(model, listed)
  forgetKeys(model)
  return []
}

function decisionsWithin({ model }: Course, { called }: Transaction): Decided[] {
  return called.flatMap(({ planned, answer }) => {
    return endOf(answer) === 'kept' ? decided(model, planned, answer) : []
  })
}

/** What was decided within a transaction that was undone had to be right all the same. */
function wrongWithin(stage: Stage, course: Course, part: Part): string | null {
  if ('planned' in part || part.is === 'tick') return null
  const undone = branchOf(course)
  const wrong = firstOf(decisionsWithin(undone, part), (one) => wrongAnswer(stage, undone, one))
  return wrong && `in the transaction: ${wrong}`
}

function firstOf<T>(all: readonly T[], wrong: (one: T) => string | null): string | null {
  for (const one of all) {
    const found = wrong(one)
    if (found !== null) return found
  }
  return null
}

type Transaction = Extract<Company, { is: 'transaction' }>
