/**
 * The agent platform in miniature, written from the tables of the lifecycles alone: what the
 * engine has to do, without machines, storage or time zones.
 */

export type Reason = 'terminal' | 'not_accepted' | 'guard' | 'reference' | 'in_use'

export type Verdict =
  | { readonly ok: true; readonly changed: boolean; readonly key: string }
  | { readonly ok: false; readonly code: 'illegal_transition'; readonly reason: Reason }
  | { readonly ok: false; readonly code: 'invalid_input' }

export interface Thing {
  readonly key: string
  readonly type: string
  status: string
  version: number
  /** The keys of the things that this one refers to. */
  readonly refs: Readonly<Record<string, string | null>>
  /** Runs attached to a session, in the order of their creation. */
  runs: string[]
  external_id: string | null
  timeout: number
  started_at: number | null
  runtime_ms: number | null
  authenticated: boolean
  result: string | null
  errors: readonly Failure[]
}

export interface Failure {
  readonly type: string
  readonly code: string
}

export interface Happened {
  readonly type: string
  readonly key: string
}

interface Timer {
  readonly key: string
  readonly name: string
  readonly due: number
}

export interface Model {
  now: number
  readonly things: Map<string, Thing>
  timers: Timer[]
  /** The events since they were last taken. */
  events: Happened[]
}

export interface ModelCommand {
  readonly type: string
  readonly external_id?: string
  readonly auth_credentials?: unknown
  readonly settings?: { readonly timeout_seconds: number }
  readonly result?: string
  readonly input?: Readonly<Record<string, string>>
  readonly error?: { readonly code: string }
  readonly errors?: readonly { readonly code: string; readonly type?: string }[]
}

const MINUTE = 60_000
const TERMINAL = ['deleted', 'completed', 'failed', 'canceled']
const EXECUTING = ['running', 'interaction_required', 'pending', 'canceling']
const STAGES = ['learning', 'test', 'live']

const START: Readonly<Record<string, string>> = {
  agent: 'active',
  source: 'active',
  task: 'learning',
  credential: 'unverified',
  session: 'queued',
  task_run: 'queued',
}

const CREATED: Readonly<Record<string, string>> = {
  session: 'session.queued',
  task_run: 'task_run.queued',
}

/** In which statuses a command is accepted, guards and references aside. */
const ACCEPTED: Readonly<Record<string, readonly string[]>> = {
  'agent.update': ['active'],
  'agent.delete': ['active'],
  'source.update': ['active'],
  'source.delete': ['active'],
  'task.update': STAGES,
  'task.promote': ['learning', 'test'],
  'task.demote': ['test', 'live'],
  'task.reset': STAGES,
  'task.delete': STAGES,
  'credential.verify': ['unverified', 'verified'],
  'credential.reject': ['unverified', 'verified', 'invalid'],
  'credential.update': ['unverified', 'verified', 'invalid'],
  'credential.delete': ['unverified', 'verified', 'invalid'],
  'session.start': ['queued'],
  'session.end': ['queued', 'running', 'idle', 'completing'],
  'session.complete': ['completing'],
  'session.fail': ['queued', 'running', 'idle', 'completing'],
  'task_run.start': ['queued'],
  'task_run.login_succeeded': ['running'],
  'task_run.login_rejected': ['running'],
  'task_run.require_interaction': ['running'],
  'task_run.submit_interaction': ['interaction_required'],
  'task_run.request_review': ['running'],
  'task_run.approve': ['pending'],
  'task_run.reject': ['pending'],
  'task_run.complete': ['running'],
  'task_run.fail': ['queued', ...EXECUTING],
  'task_run.cancel': ['queued', ...EXECUTING],
  'task_run.confirm_cancel': ['canceling'],
}

export function createModel(): Model {
  return { now: 0, things: new Map(), timers: [], events: [] }
}

export function thing(model: Model, key: string | null | undefined): Thing {
  const found = model.things.get(key ?? '')
  if (found === undefined) throw new Error(`the model knows no ${key}`)
  return found
}

export function thingsOf(model: Model, type: string): Thing[] {
  return [...model.things.values()].filter((each) => each.type === type)
}

/** Creates a thing that refers to others by their keys. */
export function createThing(model: Model, type: string, refs: Thing['refs']): Verdict {
  const missing = Object.values(refs).some((key) => key && !isUsable(thing(model, key), type))
  if (missing) return refusal('reference')
  if (type === 'task_run') return createRun(model, refs)
  return { ok: true, changed: true, key: add(model, type, refs).key }
}

function isUsable(reference: Thing, by: string): boolean {
  if (reference.type === 'session') return ['queued', 'running', 'idle'].includes(reference.status)
  if (reference.type === 'credential' && by === 'task_run')
    return reference.status !== 'invalid' && reference.status !== 'deleted'
  return reference.status !== 'deleted'
}

function createRun(model: Model, given: Thing['refs']): Verdict {
  const source = given.credential ? thing(model, given.credential).refs.source : given.source
  if (given.source && given.source !== source) return { ok: false, code: 'invalid_input' }
  const session = given.session ?? add(model, 'session', {}).key
  const run = add(model, 'task_run', { ...given, source: source ?? null, session })
  run.timeout = thing(model, given.task).timeout
  thing(model, session).runs.push(run.key)
  thing(model, session).version++
  return { ok: true, changed: true, key: run.key }
}

function add(model: Model, type: string, refs: Thing['refs']): Thing {
  const key = `${type}#${thingsOf(model, type).length}`
  const made: Thing = {
    ...{ key, type, refs, status: START[type] ?? 'active', version: 1, runs: [] },
    ...{ external_id: null, timeout: 30 * MINUTE, started_at: null, runtime_ms: null },
    ...{ authenticated: false, result: null, errors: [] },
  }
  model.things.set(key, made)
  happen(model, made, CREATED[type] ?? `${type}.created`)
  if (type === 'session') setTimer(model, made, 'provisioning', 5 * MINUTE)
  return made
}

function happen(model: Model, on: Thing, type: string): void {
  model.events.push({ type, key: on.key })
}

function refusal(reason: Reason): Verdict {
  return { ok: false, code: 'illegal_transition', reason }
}

/** Sends a command to the thing of a key. */
export function sendTo(model: Model, key: string, command: ModelCommand): Verdict {
  const target = thing(model, key)
  const reason = whyNot(model, target, command)
  if (reason === 'invalid_input') return { ok: false, code: 'invalid_input' }
  if (reason) return refusal(reason)
  const { version } = target
  handle(model, target, command)
  return { ok: true, changed: target.version !== version, key }
}

function whyNot(model: Model, on: Thing, command: ModelCommand): Reason | 'invalid_input' | null {
  if (TERMINAL.includes(on.status)) return 'terminal'
  if (!isAccepted(on, command)) return 'not_accepted'
  const name = `${on.type}.${command.type}`
  if (name === 'session.complete' && on.runs.length > 0) return 'guard'
  if (command.type.startsWith('login_') && !on.refs.credential) return 'guard'
  if (name === 'task_run.start' && !canExecute(thing(model, on.refs.session))) return 'reference'
  if (command.type === 'delete' && isInUse(model, on)) return 'in_use'
  if (name === 'task_run.submit_interaction' && !command.input?.code) return 'invalid_input'
  return null
}

function canExecute(session: Thing): boolean {
  return session.status === 'running' || session.status === 'idle'
}

function isInUse(model: Model, on: Thing): boolean {
  if (on.type === 'credential') return false
  return [...model.things.values()].some((each) => {
    return each.refs[on.type] === on.key && !TERMINAL.includes(each.status)
  })
}

/** Whether the status of a thing accepts a command, guards and references aside. */
export function isAccepted(on: Thing, command: ModelCommand): boolean {
  return ACCEPTED[`${on.type}.${command.type}`]?.includes(on.status) ?? false
}

type Handler = (model: Model, on: Thing, command: ModelCommand) => void

function handle(model: Model, on: Thing, command: ModelCommand): void {
  const handler = HANDLERS[`${on.type}.${command.type}`] ?? HANDLERS[command.type]
  if (handler === undefined) throw new Error(`the model cannot ${command.type}`)
  handler(model, on, command)
}

/** Changes the status and says so; the version counts it. */
function become(model: Model, on: Thing, status: string, event = `${on.type}.${status}`): void {
  on.status = status
  on.version++
  happen(model, on, event)
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  delete: (model, on) => become(model, on, 'deleted'),
  update: (model, on, command) => {
    on.timeout = (command.settings?.timeout_seconds ?? on.timeout / 1000) * 1000
    become(model, on, on.status, `${on.type}.updated`)
  },
  'task.promote': (model, on) => moveStage(model, on, STAGES.indexOf(on.status) + 1),
  'task.demote': (model, on) => moveStage(model, on, STAGES.indexOf(on.status) - 1),
  'task.reset': (model, on) => moveStage(model, on, 0),
  'credential.verify': (model, on) => {
    if (on.status === 'unverified') become(model, on, 'verified')
  },
  'credential.reject': (model, on) => {
    if (on.status !== 'invalid') become(model, on, 'invalid')
  },
  'credential.update': updateCredential,
  'session.start': (model, on) => {
    clearTimers(model, on)
    on.started_at = model.now
    become(model, on, 'running')
  },
  'session.end': endSession,
  'session.complete': (model, on) => {
    clearTimers(model, on)
    stopWatch(model, on)
    become(model, on, 'completed')
  },
  'session.fail': (model, on, command) => failSession(model, on, command.error?.code ?? ''),
  'task_run.start': startRun,
  'task_run.login_succeeded': (model, on) => {
    if (on.authenticated) return
    on.authenticated = true
    on.version++
    const credential = thing(model, on.refs.credential)
    if (credential.status === 'unverified') become(model, credential, 'verified')
  },
  'task_run.login_rejected': (model, on) => {
    endRun(model, on, 'failed', [{ type: 'auth', code: 'auth_invalid' }], (credential) => {
      if (['unverified', 'verified'].includes(credential.status)) {
        become(model, credential, 'invalid')
      }
    })
  },
  'task_run.require_interaction': (model, on) => {
    become(model, on, 'interaction_required')
    setTimer(model, on, 'interaction', 15 * MINUTE)
  },
  'task_run.submit_interaction': (model, on) => {
    clearTimers(model, on, 'interaction')
    become(model, on, 'running')
  },
  'task_run.request_review': (model, on) => become(model, on, 'pending'),
  'task_run.approve': (model, on) => endRun(model, on, 'completed'),
  'task_run.reject': (model, on) => {
    endRun(model, on, 'failed', [{ type: 'task', code: 'rejected' }])
  },
  'task_run.complete': (model, on, command) => {
    on.result = command.result ?? 'success'
    endRun(model, on, 'completed')
  },
  'task_run.fail': (model, on, command) => {
    const errors = (command.errors ?? []).map(({ code, type = 'task' }) => ({ type, code }))
    endRun(model, on, 'failed', errors)
  },
  'task_run.cancel': cancelRun,
  'task_run.confirm_cancel': (model, on) => endRun(model, on, 'canceled'),
}

function moveStage(model: Model, on: Thing, stage: number): void {
  if (on.status === STAGES[stage]) return
  become(model, on, STAGES[stage] ?? '', 'task.updated')
}

function updateCredential(model: Model, on: Thing, command: ModelCommand): void {
  const renamed = command.external_id !== undefined && command.external_id !== on.external_id
  on.external_id = command.external_id ?? on.external_id
  const invalidates = command.auth_credentials !== undefined && on.status !== 'unverified'
  if (invalidates) become(model, on, 'unverified')
  else if (renamed || command.auth_credentials !== undefined) on.version++
}

function endSession(model: Model, on: Thing): void {
  if (on.status === 'completing') return
  clearTimers(model, on)
  become(model, on, 'completing')
  setTimer(model, on, 'teardown', 5 * MINUTE)
  for (const run of [...on.runs]) cancelRun(model, thing(model, run))
}

function failSession(model: Model, on: Thing, code: string): void {
  clearTimers(model, on)
  stopWatch(model, on)
  on.errors = [{ type: 'session', code }]
  become(model, on, 'failed')
  for (const run of [...on.runs]) endRun(model, thing(model, run), 'failed', on.errors)
}

function startRun(model: Model, on: Thing): void {
  on.started_at = model.now
  become(model, on, 'running')
  setTimer(model, on, 'timeout', on.timeout)
  const session = thing(model, on.refs.session)
  clearTimers(model, session)
  if (session.status === 'idle') become(model, session, 'running')
  else session.version++
}

function cancelRun(model: Model, on: Thing): void {
  if (on.status === 'canceling') return
  if (on.status === 'queued') {
    endRun(model, on, 'canceled')
    return
  }
  clearTimers(model, on)
  become(model, on, 'canceling')
  setTimer(model, on, 'canceling', MINUTE)
}

/** Ends a run: its event, then what it tells its credential, then its session. */
function endRun(
  model: Model,
  on: Thing,
  status: 'completed' | 'failed' | 'canceled',
  errors: readonly Failure[] = [],
  tellCredential: (credential: Thing) => void = () => {},
): void {
  const executed = EXECUTING.includes(on.status)
  clearTimers(model, on)
  stopWatch(model, on)
  on.errors = errors
  on.result = { completed: on.result ?? 'success', failed: 'failure', canceled: null }[status]
  become(model, on, status)
  if (on.refs.credential) tellCredential(thing(model, on.refs.credential))
  settle(model, thing(model, on.refs.session), on, executed)
}

function settle(model: Model, session: Thing, run: Thing, executed: boolean): void {
  if (TERMINAL.includes(session.status)) return
  session.runs = session.runs.filter((key) => key !== run.key)
  const others = session.runs.some((key) => EXECUTING.includes(thing(model, key).status))
  if (session.status !== 'running' || !executed || others) {
    session.version++
    return
  }
  become(model, session, 'idle')
  setTimer(model, session, 'idle', 10 * MINUTE)
}

function stopWatch(model: Model, on: Thing): void {
  if (on.started_at !== null) on.runtime_ms = model.now - on.started_at
}

function setTimer(model: Model, on: Thing, name: string, delay: number): void {
  model.timers.push({ key: on.key, name, due: model.now + delay })
}

function clearTimers(model: Model, on: Thing, name?: string): void {
  model.timers = model.timers.filter((timer) => {
    return timer.key !== on.key || (name !== undefined && timer.name !== name)
  })
}

/** Lets time pass, firing what falls due in order of due time, then in the order of setting. */
export function passTime(model: Model, duration: number): void {
  const until = model.now + duration
  for (let timer = nextTimer(model, until); timer; timer = nextTimer(model, until)) {
    model.now = timer.due
    fire(model, timer)
  }
  model.now = until
}

function nextTimer(model: Model, until: number): Timer | undefined {
  const due = model.timers.filter((timer) => timer.due <= until)
  return due.sort((a, b) => a.due - b.due)[0]
}

function fire(model: Model, timer: Timer): void {
  const on = thing(model, timer.key)
  model.timers = model.timers.filter((each) => each !== timer)
  if (timer.name === 'provisioning') failSession(model, on, 'timeout')
  else if (timer.name === 'idle') endSession(model, on)
  else if (timer.name === 'teardown') failSession(model, on, 'teardown_timeout')
  else if (timer.name === 'timeout')
    endRun(model, on, 'failed', [{ type: 'task', code: 'timeout' }])
  else if (timer.name === 'canceling') endRun(model, on, 'canceled')
  else endRun(model, on, 'failed', [{ type: 'interaction', code: 'interaction_timeout' }])
}
