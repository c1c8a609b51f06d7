/** Did the engine answer as the model decided, and does the log say what happened? */

import type { AnyOutcome, AnyResource } from '../../support/engine.ts'
import { type ErrorView, viewOf } from '../../support/errors.ts'
import { decide, type Verdict } from '../../support/model.ts'
import { acceptedBy, blockersOf } from '../../support/model-rules.ts'
import type { Happened, Model, Thing } from '../../support/model-state.ts'
import type { Row } from './ground.ts'
import type { Planned } from './requests.ts'
import type { Course, Found, Stage } from './stage.ts'
import { differenceIn } from './views.ts'

/** What a call to the engine came to. */
export type Answer =
  | { readonly ok: true; readonly outcome: AnyOutcome }
  | { readonly ok: false; readonly error: unknown }

/** A call that was made, and what the model decided about it. */
export interface Decided {
  readonly planned: Planned
  readonly answer: Answer
  readonly verdict: Verdict
  /** The thing after it, and what it caused. */
  readonly shown: Readonly<Thing> | undefined
  readonly events: readonly Happened[]
  readonly accepts: readonly string[]
  readonly blockers: readonly string[]
  readonly version: number | undefined
}

/** Has the model decide a request that the engine has answered. */
export function decided(model: Model, planned: Planned, answer: Answer): Decided {
  const { request } = planned
  const target = request.do === 'send' ? model.things.get(request.key) : undefined
  const version = target?.version
  const accepts = target === undefined ? [] : acceptedBy(target)
  const start = model.events.length
  const verdict = decide(model, request)
  const after = verdict.ok ? model.things.get(verdict.key) : undefined
  const isRefused = !verdict.ok && verdict.code === 'illegal_transition'
  const blockers = isRefused && target ? blockersOf(model, target, verdict.reason) : []
  const shown = verdict.ok && verdict.replayed ? verdict.replayed.shown : after && { ...after }
  const caused = model.events.slice(start)
  const events = verdict.ok && verdict.replayed ? verdict.replayed.events : caused
  return { planned, answer, verdict, shown, events, accepts, blockers, version }
}

/** What is wrong with an answer; null when nothing is. */
export function wrongAnswer(stage: Stage, course: Course, one: Decided): string | null {
  const { answer, verdict, planned } = one
  const wrong = answer.ok
    ? wrongOutcome(stage, course, one, answer.outcome)
    : wrongError(course, one, answer.error)
  if (wrong === null) return null
  const text = JSON.stringify({ ...planned.request })
  const { ok, ...rest } = verdict
  return `${text}: ${wrong} (the model: ${ok ? 'legal' : JSON.stringify(rest)})`
}

function wrongOutcome(
  stage: Stage,
  course: Course,
  { verdict, shown, events }: Decided,
  outcome: AnyOutcome,
): string | null {
  if (!verdict.ok || shown === undefined) return 'the engine accepts it'
  const { resource, changed, replayed } = outcome
  if (changed !== verdict.changed) return `changed is ${changed}`
  if (replayed !== (verdict.replayed !== undefined)) return `replayed is ${replayed}`
  const id = course.ids.get(verdict.key)
  if (id !== undefined && resource.id !== id)
    return `the outcome is about ${resource.id}, not ${id}`
  const difference = differenceIn(course, { ...resource, id: id ?? resource.id }, shown, id)
  if (difference !== null) return `the outcome shows ${difference}`
  return wrongEvents(stage, events, outcome)
}

function wrongEvents(
  stage: Stage,
  events: readonly Happened[],
  outcome: AnyOutcome,
): string | null {
  const expected = events.filter(({ internal }) => !internal)
  const actual = outcome.events.map(({ type }) => type)
  const types = expected.map(({ type }) => type)
  if (String(actual) !== String(types)) return `the events are ${actual}, not ${types}`
  const wrong = outcome.events.find(({ id }, index) => {
    const happened = expected[index]
    const known = happened && stage.eventIds.get(happened)
    return known !== undefined && known !== id
  })
  return wrong === undefined ? null : `the event ${wrong.id} is not the one in the log`
}

function wrongError(course: Course, one: Decided, error: unknown): string | null {
  const { verdict, version } = one
  const view = viewOf(error)
  if (verdict.ok || verdict.code !== view.code)
    return `the engine says ${view.code}, ${view.message}`
  if (verdict.code === 'version_conflict')
    return view.actual === version ? null : `the actual version is ${view.actual}, not ${version}`
  if (verdict.code !== 'illegal_transition') return null
  if (view.reason !== verdict.reason) return `the reason is ${view.reason}`
  return one.planned.request.do === 'create' ? null : wrongRefusal(course, one, view)
}

function wrongRefusal(
  { ids }: Course,
  { accepts, blockers }: Decided,
  view: ErrorView,
): string | null {
  const found = view.accepts ?? []
  if (!isSameSet(found, accepts)) return `accepts is ${found}, not ${accepts}`
  const named = (view.blockers ?? []).flatMap(({ resource_id }) => resource_id ?? [])
  // A refusal names ten of them. What a transaction made that was undone has no id to compare.
  const known = blockers.flatMap((key) => ids.get(key) ?? [])
  const isAll = named.length === Math.min(blockers.length, 10)
  const isNamed = blockers.length > 10 || known.every((id) => named.includes(id))
  return isAll && isNamed ? null : `the blockers are ${named}, not ${blockers}`
}

export function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return String(some.toSorted()) === String(others.toSorted())
}

/** What is wrong with what was found, after all that the model has done; null when nothing is. */
export function wrongIn(stage: Stage, course: Course, found: Found): string | null {
  const { length } = course.model.events
  return wrongEntries(stage, course, found, 0) ?? wrongRest(course, found, length)
}

/** What is wrong with the entries from a place on, of which the model has just decided some. */
export function wrongEntries(
  stage: Stage,
  course: Course,
  { since, rows }: Found,
  place: number,
): string | null {
  for (const [index, happened] of course.model.events.splice(0).entries()) {
    const row = rows[place + index]
    if (row === undefined) return `the log lacks ${happened.type} of ${happened.key}`
    const before = since + place + index
    if (row.seq !== before + 1) return `seq ${row.seq} after ${before}`
    const wrong = wrongRow(course, happened, row)
    if (wrong !== null) return `entry ${row.seq} of the log, ${row.type}: ${wrong}`
    stage.eventIds.set(happened, row.id)
    course.touched.add(happened.key)
  }
  return null
}

/** What else is wrong with what was found, after so many entries. */
export function wrongRest(
  { model, ...course }: Course,
  found: Found,
  place: number,
): string | null {
  const row = found.rows[place]
  if (row !== undefined) return `the log has ${row.type} of ${row.resource_id} beside it`
  if (found.notes !== course.notes) return `there are ${found.notes} notes, not ${course.notes}`
  return wrongKeys(model, new Set(found.keys))
}

function wrongKeys({ kept }: Model, found: Set<string>): string | null {
  const keys = [...kept].map(([key, { at }]) => `${key} at ${at}`)
  const lost = keys.filter((key) => !found.delete(key))
  if (lost.length + found.size === 0) return null
  return `of the keys, ${lost} are lost, and ${[...found]} are there still`
}

function wrongRow(course: Course, { type, key, shown }: Happened, row: Row): string | null {
  if (row.type !== type) return `it should be ${type} of ${key}`
  const known = course.ids.get(key)
  if (known === undefined) course.ids.set(key, row.resource_id)
  else if (known !== row.resource_id) return `it is about ${row.resource_id}, not ${known}`
  if (row.resource_version !== shown.version)
    return `the version is ${row.resource_version}, not ${shown.version}`
  if (row.created_at !== shown.updated_at)
    return `the time is ${row.created_at}, not ${shown.updated_at}`
  const data = JSON.parse(row.data) as AnyResource
  return differenceIn(course, data, shown, row.resource_id)
}
