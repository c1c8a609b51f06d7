/** What each command does, to its thing and to all that it reaches. */

import { isExecuting, isTerminal, type ModelCommand, STAGES } from './model-rules.ts'
import {
  become,
  clearTimers,
  type Failure,
  MINUTE,
  type Model,
  move,
  setTimer,
  type Thing,
  type Timer,
  thing,
  timeOf,
} from './model-state.ts'

type Handler = (model: Model, on: Thing, command: ModelCommand) => void

/** Carries out a command that is legal. */
export function handle(model: Model, on: Thing, command: ModelCommand): void {
  const handler = HANDLERS[`${on.type}.${command.type}`] ?? HANDLERS[command.type]
  if (handler === undefined) throw new Error(`the model cannot ${command.type}`)
  handler(model, on, command)
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  delete: (model, on) => {
    clearTimers(model, on)
    become(model, on, 'deleted')
  },
  update: (model, on, command) => {
    on.timeout = (command.settings?.timeout_seconds ?? on.timeout / 1000) * 1000
    on.name = command.name ?? on.name
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
    on.started_at = timeOf(model, on)
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
  'task_run.login_succeeded': succeedLogin,
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
  'event_destination.activate': (model, on) => {
    if (on.status !== 'active') become(model, on, 'active', 'event_destination.activated')
  },
  'event_destination.deactivate': (model, on) => {
    if (on.status !== 'inactive') become(model, on, 'inactive', 'event_destination.deactivated')
  },
  'event_destination.reactivate': (model, on) => {
    move(model, on, 'reactivate', 'pending_verification')
  },
  'event_destination.update': updateDestination,
  'event_destination.rotate_secret': (model, on) => move(model, on, 'rotate_secret'),
  'event_destination.delete': (model, on) => move(model, on, 'delete', 'deleted'),
}

function moveStage(model: Model, on: Thing, stage: number): void {
  if (on.status === STAGES[stage]) return
  become(model, on, STAGES[stage] ?? '', 'task.updated')
}

function updateCredential(model: Model, on: Thing, command: ModelCommand): void {
  const external_id = command.external_id ?? on.external_id
  const login = command.auth_credentials ? JSON.stringify(command.auth_credentials) : on.login
  const changes = external_id !== on.external_id || login !== on.login
  on.external_id = external_id
  on.login = login
  const invalidates = command.auth_credentials !== undefined && on.status !== 'unverified'
  if (invalidates) become(model, on, 'unverified')
  else if (changes) move(model, on, 'update')
}

function updateDestination(model: Model, on: Thing, { name, webhook }: ModelCommand): void {
  const moved = webhook !== undefined && webhook.url !== on.url
  if (!moved && (name ?? on.name) === on.name) return
  on.name = name ?? on.name
  on.url = webhook?.url ?? on.url
  const status = moved && on.status === 'active' ? 'pending_verification' : on.status
  move(model, on, 'update', status)
}

function endSession(model: Model, on: Thing): void {
  if (on.status === 'completing') return
  clearTimers(model, on)
  become(model, on, 'completing')
  setTimer(model, on, 'teardown', 5 * MINUTE)
  for (const run of [...on.runs]) cancelRun(model, thing(model, run))
}

function failSession(model: Model, on: Thing, code: string): void {
  const { runs } = on
  clearTimers(model, on)
  stopWatch(model, on)
  on.runs = []
  on.errors = [{ type: 'session', code }]
  become(model, on, 'failed')
  for (const run of runs) endRun(model, thing(model, run), 'failed', on.errors)
}

function startRun(model: Model, on: Thing): void {
  on.started_at = timeOf(model, on)
  become(model, on, 'running')
  setTimer(model, on, 'timeout', on.timeout)
  const session = thing(model, on.refs.session)
  clearTimers(model, session)
  if (session.status === 'idle') become(model, session, 'running')
  else move(model, session, 'run_started')
}

/** The credential is told each time, also when the run knows already. */
function succeedLogin(model: Model, on: Thing): void {
  if (!on.authenticated) {
    on.authenticated = true
    move(model, on, 'login_succeeded')
  }
  const credential = thing(model, on.refs.credential)
  if (credential.status === 'unverified') become(model, credential, 'verified')
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
  const executed = isExecuting(on)
  clearTimers(model, on)
  stopWatch(model, on)
  on.errors = errors
  on.result = { completed: on.result ?? 'success', failed: 'failure', canceled: null }[status]
  if (status === 'canceled') on.canceled_at = timeOf(model, on)
  become(model, on, status)
  if (on.refs.credential) tellCredential(thing(model, on.refs.credential))
  settle(model, thing(model, on.refs.session), on, executed)
}

function settle(model: Model, session: Thing, run: Thing, executed: boolean): void {
  if (isTerminal(session)) return
  session.runs = session.runs.filter((key) => key !== run.key)
  const others = session.runs.some((key) => isExecuting(thing(model, key)))
  if (session.status !== 'running' || !executed || others) {
    move(model, session, 'run_settled')
    return
  }
  become(model, session, 'idle')
  setTimer(model, session, 'idle', 10 * MINUTE)
}

function stopWatch(model: Model, on: Thing): void {
  if (on.started_at !== null) on.runtime_ms = timeOf(model, on) - on.started_at
}

/** Fires a timer, which is then gone. */
export function fire(model: Model, timer: Timer): void {
  const on = thing(model, timer.key)
  model.timers = model.timers.filter((each) => each !== timer)
  if (timer.name === 'provisioning') failSession(model, on, 'timeout')
  else if (timer.name === 'idle') endSession(model, on)
  else if (timer.name === 'teardown') failSession(model, on, 'teardown_timeout')
  else if (timer.name === 'retention') become(model, on, 'deleted')
  else if (timer.name === 'timeout')
    endRun(model, on, 'failed', [{ type: 'task', code: 'timeout' }])
  else if (timer.name === 'canceling') endRun(model, on, 'canceled')
  else endRun(model, on, 'failed', [{ type: 'interaction', code: 'interaction_timeout' }])
}
