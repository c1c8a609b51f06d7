/** The calls of a script, as requests to the engine and to the model. */

import {
  type AnyEngine,
  type AnyOutcome,
  type AnyTransaction,
  handleOf,
} from '../../support/engine.ts'
import { lifecycleOf } from '../../support/lifecycles.ts'
import type { Request } from '../../support/model.ts'
import { isAccepted } from '../../support/model-rules.ts'
import { type Thing, thingsOf } from '../../support/model-state.ts'
import type { Call, Sending } from './script.ts'
import type { Stage } from './stage.ts'

/** A call, ready to be made. */
export interface Planned {
  readonly request: Request
  readonly call: (engine: AnyEngine | AnyTransaction) => Promise<AnyOutcome>
}

/** Resolves what the calls name by the model as it is now; those that name nothing are left out. */
export function planCalls(stage: Stage, calls: readonly Call[]): Planned[] {
  const all: Planned[] = []
  for (const call of calls) {
    const before = all.at(-1)?.request
    const isSame = call.do === 'send' && call.same === true
    const key = isSame && before?.do === 'send' ? before.key : undefined
    const planned = call.do === 'send' ? planSend(stage, call, key) : planCall(stage, call)
    if (planned !== undefined) all.push(planned)
  }
  return all
}

function planCall(stage: Stage, call: Exclude<Call, Sending>): Planned | undefined {
  if (call.do === 'again') return planAgain(stage, call.back, call.other)
  if (call.do === 'create') return planCreate(stage, call.type, call.picks, call.keyed === true)
  const { type, command } = call
  return toPlanned(stage, { do: 'send', type, key: `${type}#nobody`, command }, false)
}

/** Repeats a request under its key, or uses the key for another one. */
function planAgain(stage: Stage, back: number, other: boolean): Planned | undefined {
  const first = stage.keyed.at(-1 - back)
  const idempotencyKey = first?.request.idempotencyKey
  if (!other || idempotencyKey === undefined) return first
  const given = { name: 'Other' }
  return toPlanned(stage, { do: 'create', type: 'agent', refs: {}, given, idempotencyKey }, false)
}

/** Resolves what a command is sent to. */
export function planSend(stage: Stage, sending: Sending, key?: string): Planned | undefined {
  const { type, command, expects, keyed = false } = sending
  const same = key === undefined ? undefined : stage.course.model.things.get(key)
  const target = same?.type === type ? same : targetOf(stage, sending)
  if (target === undefined) return undefined
  const expectedVersion = { current: target.version, stale: target.version + 1 }[expects ?? 'stale']
  const request = { do: 'send' as const, type, key: target.key, command }
  return toPlanned(stage, { ...request, ...(expects && { expectedVersion }) }, keyed)
}

function targetOf(stage: Stage, { type, pick, willing, command }: Sending): Thing | undefined {
  const all = thingsOf(stage.course.model, type)
  const ready = willing ? all.filter((each) => isAccepted(each, command)) : []
  const among = ready.length > 0 ? ready : all
  return among.at(-1 - (pick % Math.max(1, among.length)))
}

function planCreate(
  stage: Stage,
  type: string,
  picks: readonly number[],
  keyed: boolean,
): Planned | undefined {
  const refs = refsFor(stage, type, picks)
  if (refs === undefined) return undefined
  const hasLogin = type === 'credential' && picks[3] !== 0
  const login = hasLogin ? JSON.stringify(LOGIN.auth_credentials) : ''
  const url = type === 'event_destination' ? 'https://d.example' : ''
  const given = { login, url, name: NAMED.includes(type) ? 'D' : '' }
  return toPlanned(stage, { do: 'create', type, refs, given }, keyed)
}

const NAMED = ['agent', 'task', 'event_destination']

/** What a new thing refers to; nothing where there is nothing of the kind. */
function refsFor(stage: Stage, type: string, picks: readonly number[]): Thing['refs'] | undefined {
  const refs: Record<string, string | null> = {}
  for (const [name, pick] of namesFor(type, picks)) {
    const things = thingsOf(stage.course.model, name)
    const found = things.at(-1 - (pick % Math.max(1, things.length)))
    if (found === undefined) return undefined
    refs[name] = found.key
  }
  return refs
}

/** The types of what it refers to: for a run, by the last pick, a login, a source or both. */
function namesFor(
  type: string,
  [a = 0, b = 0, c = 0, d = 0]: readonly number[],
): [string, number][] {
  if (type === 'task') return [['agent', a]]
  if (type === 'credential') return [['source', a]]
  if (type === 'storage') return [['task_run', a]]
  if (type !== 'task_run') return []
  return [
    ['task', a],
    ...(d === 1 ? [] : [['credential', b] satisfies [string, number]]),
    ...(d === 1 || d === 2 ? [['source', b] satisfies [string, number]] : []),
    ...(c > 0 ? [['session', c - 1] satisfies [string, number]] : []),
  ]
}

const LOGIN = {
  auth_method: 'username_password',
  auth_credentials: { username: 'ada', password: 'pw' },
}

const INPUTS: Readonly<Record<string, object>> = {
  source: { type: 'website', website: { url: 'https://s.example' } },
  storage: { file_name: 'jan.pdf', file_type: 'application/pdf', file_size: 12 },
  event_destination: { events: ['*'] },
}

function toPlanned(stage: Stage, request: Request, keyed: boolean): Planned {
  if (!keyed) return { request, call: callOf(stage, request) }
  const named = { ...request, idempotencyKey: `key ${stage.keyed.length}` }
  const planned = { request: named, call: callOf(stage, named) }
  stage.keyed.push(planned)
  return planned
}

function callOf(stage: Stage, request: Request): Planned['call'] {
  const { property } = lifecycleOf(request.type)
  const { idempotencyKey } = request
  const options = { ...(idempotencyKey && { idempotencyKey }) }
  if (request.do === 'create') {
    const input = inputOf(stage, request)
    return (engine) => handleOf(engine, property).create(input, options)
  }
  const { key, command, expectedVersion } = request
  const id = stage.course.ids.get(key) ?? 'agt_nobody'
  const all = { ...options, ...(expectedVersion !== undefined && { expectedVersion }) }
  return (engine) => handleOf(engine, property).send(id, { ...command }, all)
}

function inputOf(stage: Stage, request: Extract<Request, { do: 'create' }>): object {
  const { type, refs, given } = request
  const ids = Object.entries(refs).map(([name, key]) => {
    return [`${name}_id`, stage.course.ids.get(key ?? '')]
  })
  return {
    ...INPUTS[type],
    ...(given.login ? LOGIN : {}),
    ...(given.name && { name: given.name }),
    ...(given.url && { webhook: { url: given.url } }),
    ...Object.fromEntries(ids),
  }
}
