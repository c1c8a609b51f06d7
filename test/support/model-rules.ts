/** What is legal, from the tables of the lifecycles. */

import { type Model, type Reason, type Thing, thing } from './model-state.ts'

export interface ModelCommand {
  readonly type: string
  readonly name?: string
  readonly webhook?: { readonly url: string }
  readonly external_id?: string
  readonly auth_credentials?: unknown
  readonly settings?: { readonly timeout_seconds: number }
  readonly result?: string
  readonly input?: Readonly<Record<string, string>>
  readonly error?: { readonly code: string }
  readonly errors?: readonly { readonly code: string; readonly type?: string }[]
}

const TERMINAL = ['deleted', 'completed', 'failed', 'canceled']
const EXECUTING = ['running', 'interaction_required', 'pending', 'canceling']
export const STAGES = ['learning', 'test', 'live']
const UNPROVEN = ['unverified', 'verified', 'invalid']
const KEPT = ['pending_verification', 'active', 'inactive']

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
  'credential.reject': UNPROVEN,
  'credential.update': UNPROVEN,
  'credential.delete': UNPROVEN,
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
  'storage.delete': ['stored'],
  'event_destination.activate': ['pending_verification', 'active'],
  'event_destination.deactivate': KEPT,
  'event_destination.reactivate': ['inactive'],
  'event_destination.update': KEPT,
  'event_destination.rotate_secret': KEPT,
  'event_destination.delete': KEPT,
}

const RESERVED = ['run_attached', 'run_started', 'run_settled']
  .map((command) => `session.${command}`)
  .concat('event_destination.fail_verification')

export function isTerminal(on: Thing): boolean {
  return TERMINAL.includes(on.status)
}

export function isExecuting(run: Thing): boolean {
  return EXECUTING.includes(run.status)
}

/** Whether the status of a thing accepts a command, guards and references aside. */
export function isAccepted(on: Thing, command: ModelCommand): boolean {
  return ACCEPTED[`${on.type}.${command.type}`]?.includes(on.status) ?? false
}

export function isKnown(type: string, command: ModelCommand): boolean {
  const name = `${type}.${command.type}`
  return name in ACCEPTED || isReserved(type, command)
}

function isReserved(type: string, command: ModelCommand): boolean {
  return RESERVED.includes(`${type}.${command.type}`)
}

/** Why a known command is not legal now; null when it is. */
export function whyNot(
  model: Model,
  on: Thing,
  command: ModelCommand,
): Reason | 'invalid_input' | null {
  const name = `${on.type}.${command.type}`
  if (isReserved(on.type, command)) return 'reserved'
  if (isTerminal(on)) return 'terminal'
  if (!isAccepted(on, command)) return 'not_accepted'
  if (isGuarded(on, command.type)) return 'guard'
  if (name === 'task_run.start' && !isUp(thing(model, on.refs.session))) return 'reference'
  if (command.type === 'delete' && usersOf(model, on).length > 0) return 'in_use'
  if (name === 'task_run.submit_interaction' && !command.input?.code) return 'invalid_input'
  if (name === 'credential.update' && command.auth_credentials && on.login === '')
    return 'invalid_input'
  return null
}

function isGuarded(on: Thing, command: string): boolean {
  if (on.type === 'session' && command === 'complete') return on.runs.length > 0
  return command.startsWith('login_') && !on.refs.credential
}

function isUp(session: Thing): boolean {
  return session.status === 'running' || session.status === 'idle'
}

/** The commands that a thing accepts now. */
export function acceptedBy(on: Thing): string[] {
  if (isTerminal(on)) return []
  return Object.entries(ACCEPTED).flatMap(([name, statuses]) => {
    const [type, command = ''] = name.split('.')
    const accepts = type === on.type && statuses.includes(on.status) && !isGuarded(on, command)
    return accepts ? [command] : []
  })
}

/** The keys of the things that stand in the way of a command that is refused for this reason. */
export function blockersOf(model: Model, on: Thing, reason: Reason): string[] {
  if (reason === 'in_use') return usersOf(model, on).map(({ key }) => key)
  return reason === 'reference' ? [on.refs.session ?? ''] : []
}

function usersOf(model: Model, on: Thing): Thing[] {
  if (on.type === 'credential') return []
  return [...model.things.values()].filter((each) => {
    return each.refs[on.type] === on.key && !isTerminal(each)
  })
}

/** The references that a new thing of a type may not have now. */
export function unusable(model: Model, type: string, refs: Thing['refs']): string[] {
  return Object.values(refs).flatMap((key) => {
    return key === null || isUsable(thing(model, key), type) ? [] : [key]
  })
}

function isUsable(reference: Thing, by: string): boolean {
  if (reference.type === 'session') return ['queued', 'running', 'idle'].includes(reference.status)
  if (reference.type === 'task_run') return isExecuting(reference)
  if (reference.type === 'credential' && by === 'task_run')
    return reference.status === 'unverified' || reference.status === 'verified'
  return reference.status !== 'deleted'
}
