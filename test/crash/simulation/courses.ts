/**
 * In which order did things happen that happened at the same time, and did those happen of which
 * nobody knows? Calls to one engine keep their order. Whatever came beside them took effect
 * somewhere between, and what is indeterminate all or not at all: one of these courses has to
 * explain every answer and the log.
 */

import { wrongAnswer, wrongEntries, wrongRest } from './judge.ts'
import { endOf, type Scene } from './scene.ts'
import { branchOf, type Course, type Found, type Stage } from './stage.ts'
import { type Move, type Strand, strandsOf } from './strands.ts'

/** Finds the course that explains some scenes, and takes it; gives what the ones that came farthest cannot explain. */
export function explain(stage: Stage, scenes: readonly Scene[]): string | null {
  const wrongs: Wrongs = { place: -1, texts: new Set() }
  const course = courseOf(stage, stage.course, scenes, wrongs)
  if (course === null) return [...wrongs.texts].join('\nor: ')
  stage.course = course
  return null
}

/** What is wrong with the courses that explain the most of the log, and how far that is. */
interface Wrongs {
  place: number
  readonly texts: Set<string>
}

function courseOf(
  stage: Stage,
  before: Course,
  [scene, ...later]: readonly Scene[],
  wrongs: Wrongs,
): Course | null {
  if (scene === undefined) return before
  for (const isKept of isOpen(scene) ? [false, true] : [true]) {
    const course = branchOf(before)
    const strands = strandsOf(stage, course, scene, isKept)
    const search = { stage, found: scene.found, wrongs }
    for (const found of coursesFrom(search, { course, strands, place: 0 })) {
      const end = courseOf(stage, found, later, wrongs)
      if (end !== null) return end
    }
  }
  return null
}

function isOpen({ called, company }: Scene): boolean {
  const ends = [...called.map(({ answer }) => endOf(answer)), ...company.map(({ end }) => end)]
  return ends.includes('indeterminate')
}

interface Search {
  readonly stage: Stage
  readonly found: Found
  readonly wrongs: Wrongs
}

/** How far a course has come. */
interface Position {
  readonly course: Course
  /** What is still to happen. */
  readonly strands: readonly Strand[]
  /** How many of the entries that were found are explained. */
  readonly place: number
}

/** Goes on in every way that agrees with what was found. Whoever takes a course that comes out does not change it. */
function* coursesFrom(search: Search, position: Position): Generator<Course> {
  const { course, strands, place } = position
  const isOver = strands.every(({ mayEnd }) => mayEnd)
  if (isOver) {
    const wrong = wrongRest(course, search.found, place)
    if (wrong === null) yield course
    else remember(search.wrongs, place, wrong)
  }
  const ways = strands.flatMap((strand, index) => {
    return strand.moves(course).map((move) => ({ move, index }))
  })
  const isOnlyWay = ways.length === 1 && !isOver
  for (const { move, index } of ways) {
    const own = isOnlyWay ? course : branchOf(course)
    const next = placeAfter(search, { ...position, course: own }, move)
    const left = strands.with(index, move.rest)
    if (next !== null) yield* coursesFrom(search, { course: own, strands: left, place: next })
  }
}

/** Makes a move; gives how many of the entries are explained then, or null where it contradicts what was found. */
function placeAfter(
  { stage, found, wrongs }: Search,
  { course, place }: Position,
  { make }: Move,
): number | null {
  const decided = make(course)
  if (decided === null) return null
  const next = place + course.model.events.length
  const known = decided.filter(({ answer }) => endOf(answer) === 'kept')
  const wrong =
    wrongEntries(stage, course, found, place) ??
    firstOf(known, (one) => wrongAnswer(stage, course, one))
  if (wrong === null) return next
  remember(wrongs, place, wrong)
  return null
}

function remember(wrongs: Wrongs, place: number, text: string): void {
  if (place < wrongs.place) return
  if (place > wrongs.place) wrongs.texts.clear()
  wrongs.place = place
  wrongs.texts.add(text)
}

function firstOf<T>(all: readonly T[], wrong: (one: T) => string | null): string | null {
  for (const one of all) {
    const found = wrong(one)
    if (found !== null) return found
  }
  return null
}
