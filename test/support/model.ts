/**
 * The agent platform in miniature, written from the tables of the lifecycles alone: what the
 * engine has to do, without machines, storage or time zones.
 */

import { fire, handle } from './model-commands.ts'
import { isKnown, type ModelCommand, unusable, whyNot } from './model-rules.ts'
import {
  addThing,
  happen,
  type Kept,
  MINUTE,
  type Model,
  move,
  type Reason,
  setTimer,
  type Thing,
  type Timer,
  thing,
} from './model-state.ts'

export type Verdict =
  | {
      readonly ok: true
      readonly changed: boolean
      readonly key: string
      /** The first outcome under the key, where this is a repetition. */
      readonly replayed?: Kept
    }
  | { readonly ok: false; readonly code: 'illegal_transition'; readonly reason: Reason }
  | {
      readonly ok: false
      readonly code: 'invalid_input' | 'not_found' | 'version_conflict' | 'idempotency_mismatch'
    }

/** What a new thing is given beside its references. */
export type Given = Partial<Pick<Thing, 'login' | 'name' | 'url'>>

export type Request = {
  readonly idempotencyKey?: string
} & (
  | {
      readonly do: 'create'
      readonly type: string
      readonly refs: Thing['refs']
      readonly given: Given
    }
  | {
      readonly do: 'send'
      readonly type: string
      readonly key: string
      readonly command: ModelCommand
      readonly expectedVersion?: number
    }
)

const START: Readonly<Record<string, string>> = {
  task: 'learning',
  credential: 'unverified',
  session: 'queued',
  task_run: 'queued',
  storage: 'stored',
  event_destination: 'pending_verification',
}

const CREATED: Readonly<Record<string, string>> = {
  session: 'session.queued',
  task_run: 'task_run.queued',
  event_destination: 'event_destination.create',
}

const KEPT_FOR = 24 * 60 * MINUTE

/** Decides a request as the first of the errors that apply says, and carries it out. */
export function decide(model: Model, request: Request): Verdict {
  if (request.do === 'send') {
    if (!isKnown(request.type, request.command)) return { ok: false, code: 'invalid_input' }
    if (!model.things.has(request.key)) return { ok: false, code: 'not_found' }
  }
  const { idempotencyKey, ...asked } = request
  if (idempotencyKey === undefined) return carryOut(model, request)
  const text = JSON.stringify({ ...asked, expectedVersion: null })
  const kept = model.kept.get(idempotencyKey)
  if (kept === undefined || kept.at <= model.now - KEPT_FOR)
    return keep(model, idempotencyKey, text, carryOut(model, request))
  if (kept.request !== text) return { ok: false, code: 'idempotency_mismatch' }
  return { ok: true, changed: kept.changed, key: kept.key, replayed: kept }
}

function carryOut(model: Model, request: Request): Verdict {
  if (request.do === 'create') return createThing(model, request.type, request.refs, request.given)
  return sendTo(model, request.key, request.command, request.expectedVersion)
}

function keep(model: Model, idempotencyKey: string, text: string, verdict: Verdict): Verdict {
  if (!verdict.ok) return verdict
  const { key, changed } = verdict
  const at = model.now
  const events = changed ? model.events.slice(model.latest) : []
  const shown = { ...thing(model, key) }
  model.kept.set(idempotencyKey, { request: text, at, key, changed, shown, events })
  return verdict
}

/** Forgets the keys that have been kept for long enough. */
export function forgetKeys(model: Model): void {
  for (const [key, { at }] of model.kept) {
    if (at <= model.now - KEPT_FOR) model.kept.delete(key)
  }
}

/** Creates a thing that refers to others by their keys. */
export function createThing(
  model: Model,
  type: string,
  refs: Thing['refs'],
  given: Given = {},
): Verdict {
  model.latest = model.events.length
  if (unusable(model, type, refs).length > 0) return refusal('reference')
  if (type === 'task_run') return createRun(model, refs)
  return { ok: true, changed: true, key: add(model, type, refs, given).key }
}

function createRun(model: Model, asked: Thing['refs']): Verdict {
  const source = asked.credential ? thing(model, asked.credential).refs.source : asked.source
  if (asked.source && asked.source !== source) return { ok: false, code: 'invalid_input' }
  const session = asked.session ?? add(model, 'session', {}, {}).key
  const { timeout } = thing(model, asked.task)
  const run = add(model, 'task_run', { ...asked, source: source ?? null, session }, { timeout })
  thing(model, session).runs.push(run.key)
  move(model, thing(model, session), 'run_attached')
  return { ok: true, changed: true, key: run.key }
}

function add(model: Model, type: string, refs: Thing['refs'], given: Partial<Thing>): Thing {
  const made = addThing(model, type, START[type] ?? 'active', { ...given, refs })
  happen(model, made, CREATED[type] ?? `${type}.created`, type === 'event_destination')
  if (type === 'session') setTimer(model, made, 'provisioning', 5 * MINUTE)
  if (type === 'storage') setTimer(model, made, 'retention', 90 * 24 * 60 * MINUTE)
  return made
}

function refusal(reason: Reason): Verdict {
  return { ok: false, code: 'illegal_transition', reason }
}

/** Sends a command to the thing of a key. */
export function sendTo(
  model: Model,
  key: string,
  command: ModelCommand,
  expectedVersion?: number,
): Verdict {
  const target = thing(model, key)
  model.latest = model.events.length
  const reason = whyNot(model, target, command)
  const isStale = expectedVersion !== undefined && expectedVersion !== target.version
  if (isStale && reason !== 'reserved') return { ok: false, code: 'version_conflict' }
  if (reason === 'invalid_input') return { ok: false, code: 'invalid_input' }
  if (reason) return refusal(reason)
  handle(model, target, command)
  return { ok: true, changed: model.events.length > model.latest, key }
}

/** Lets time pass, firing what falls due in order of due time, then in the order of setting. */
export function passTime(model: Model, duration: number): void {
  passUntil(model, model.now + duration)
}

/** The same up to a time; what would fire then is left when that has failed. */
export function passUntil(model: Model, until: number, fails = false): void {
  for (;;) {
    const timer = nextTimer(model, until)
    const time = Math.max(model.now, timer?.due ?? until)
    if (timer === undefined || (fails && time >= until)) break
    model.now = time
    fire(model, timer)
  }
  model.now = Math.max(model.now, until)
}

function nextTimer(model: Model, until: number): Timer | undefined {
  return dueTimers(model, until)[0]
}

/** The timers that are due at a time, in the order in which they fire. */
export function dueTimers(model: Model, time = model.now): Timer[] {
  const due = model.timers.filter((timer) => timer.due <= time)
  return due.sort((a, b) => a.due - b.due)
}

/** Fires the timers of a list as far as they are still pending, then all that are due. */
export function fireDue(model: Model, listed: readonly Timer[]): void {
  for (const timer of listed) if (model.timers.includes(timer)) fire(model, timer)
  const more = dueTimers(model)
  if (more.length > 0) fireDue(model, more)
}
