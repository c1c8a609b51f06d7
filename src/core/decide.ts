/** Where does a command lead a resource, and with which effects? The one place that translates XState's words. @module */

import { LATEST } from '../clock.ts'
import { isPawlError, machineInvalid, messageOf } from '../errors.ts'
import type { Command, JsonObject } from './definition.ts'
import { knownDecision, rememberStep } from './fixed-steps.ts'
import { jsonIssues } from './json.ts'
import type { Kind } from './kind.ts'
import type { ResourceRow } from './rows.ts'
import { memoryOf, snapshotOf, statusOf } from './state.ts'
import { type Tell, tellDeclaration } from './tell.ts'
import {
  type Effect,
  lastingSelf,
  type Self,
  type Step,
  StepFailure,
  takeFirstStep,
  takeStep,
} from './xstate.ts'

/** The part of a row that the machine decides. */
export type MachineState = Pick<ResourceRow, 'status' | 'final' | 'value' | 'memory' | 'context'>

/** Something that the machine says has happened, and what the resource was at that moment. */
export interface Emitted {
  readonly type: string
  readonly status: string
  readonly context: JsonObject
}

/** What the machine does to its timers. */
export type TimerEffect =
  | {
      readonly effect: 'set'
      readonly name: string | null
      readonly event: JsonObject
      readonly dueAt: number
    }
  | { readonly effect: 'cancel'; readonly name: string }

/** Where a command leads. */
export interface Decision {
  readonly state: MachineState
  readonly emitted: readonly Emitted[]
  readonly timers: readonly TimerEffect[]
  readonly tells: readonly Tell[]
  /** The user's own actions; they run after the commit. */
  readonly actions: readonly (() => unknown)[]
}

/** Decides the first state of a resource. */
export function decideCreate(kind: Kind, input: unknown, self: Self): Decision {
  return guarded(kind, 'create', null, () =>
    interpret(kind, takeFirstStep(kind.machine, input, self), self, null),
  )
}

/** Decides what an event (a command or a timer's) does to a resource; undefined when its machine does not take it. */
export function decide(
  kind: Kind,
  row: ResourceRow,
  event: Command,
  self: Self,
): Decision | undefined {
  const known = knownDecision(kind, row, event.type)
  if (known !== undefined) return known
  return guarded(kind, event.type, row.status, () => {
    const from = snapshotOf(kind, row)
    const step = takeStep(kind.machine, from, event, self)
    if (!step.accepted) return undefined
    const decision = interpret(kind, step, self, { text: row.context, context: from.context })
    rememberStep(kind, row, event.type, { from, step, decision })
    return decision
  })
}

/** Turns whatever user code inside the machine throws into an error that names machine and state. */
function guarded<T>(kind: Kind, command: string, status: string | null, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw toFailure(kind, command, status, error)
  }
}

function toFailure(kind: Kind, command: string, status: string | null, error: unknown): Error {
  const [cause, reached] = error instanceof StepFailure ? [error.cause, error.reached] : [error]
  // What the engine itself found while the machine ran already says what is wrong.
  if (isPawlError(cause)) return cause
  const state = reached === undefined ? status : statusOf(kind, reached)
  const where = state === null ? '' : ` in state "${state}"`
  const message = messageOf(cause)
  return machineInvalid(kind.type, `it threw on "${command}"${where}: ${message}`, cause)
}

interface Effects {
  readonly emitted: Emitted[]
  readonly timers: TimerEffect[]
  readonly tells: Tell[]
  readonly actions: (() => unknown)[]
}

/** A context that has been stored, with its text. */
interface Stored {
  readonly text: string
  readonly context: JsonObject
}

function interpret(kind: Kind, step: Step, self: Self, stored: Stored | null): Decision {
  const effects: Effects = { emitted: [], timers: [], tells: [], actions: [] }
  for (const { snapshot, effects: list } of step.microsteps) {
    for (const effect of list) {
      if (effect.type === 'xstate.emit') {
        const type = emittedType(kind, effect)
        effects.emitted.push({ type, status: statusOf(kind, snapshot), context: snapshot.context })
      } else {
        interpretEffect(kind, effect, self, effects)
      }
    }
  }
  return { state: stateOf(kind, step, stored), ...effects }
}

function stateOf(kind: Kind, { snapshot }: Step, stored: Stored | null): MachineState {
  const { context, children } = snapshot
  if (Object.keys(children).length > 0)
    throw machineInvalid(kind.type, 'it spawns, which is not supported')
  const value = JSON.stringify(snapshot.value)
  return {
    status: statusOf(kind, snapshot),
    final: snapshot.status !== 'active',
    value,
    memory: memoryOf(kind, snapshot, value),
    // Actions make a new context when they assign: the same object is the same text.
    context:
      stored !== null && context === stored.context ? stored.text : contextText(kind, context),
  }
}

// The engine gives every resource these; a context with one of its own would hide it.
const COMMON_FIELDS = ['id', 'object', 'status', 'version', 'created_at', 'updated_at']

/** A context as it is stored. Throws `machine_invalid` for one that cannot be. */
export function contextText(kind: Kind, context: JsonObject): string {
  const [issue] = jsonIssues(context)
  if (issue !== undefined) {
    const where = issue.path.join('.')
    throw machineInvalid(kind.type, `its context cannot be stored: ${where} ${issue.message}`)
  }
  const taken = COMMON_FIELDS.find((field) => Object.hasOwn(context, field))
  if (taken === undefined) return JSON.stringify(context)
  throw machineInvalid(
    kind.type,
    `its context has a field "${taken}", which the engine gives every resource`,
  )
}

function interpretEffect(kind: Kind, effect: Effect, self: Self, effects: Effects): void {
  switch (effect.type) {
    case 'xstate.raise':
      setTimer(kind, effect, self, effects)
      return
    case 'xstate.cancel':
      effects.timers.push({ effect: 'cancel', name: (effect.params as { sendId: string }).sendId })
      return
    case 'xstate.log':
      return
    default:
      if (effect.type.startsWith('xstate.')) {
        throw machineInvalid(
          kind.type,
          `it uses ${effect.type.slice('xstate.'.length)}, which is not supported`,
        )
      }
      interpretCustom(kind, effect, self, effects)
  }
}

function interpretCustom(
  kind: Kind,
  { type, exec, info, params }: Effect,
  self: Self,
  effects: Effects,
): void {
  const declaration = tellDeclaration(exec)
  if (declaration !== undefined) {
    const { to, command, required } = declaration
    effects.tells.push({
      to,
      required,
      command: typeof command === 'function' ? command(info) : command,
    })
    return
  }
  if (exec === undefined)
    throw machineInvalid(kind.type, `its action "${type}" has no implementation`)
  const lasting = { ...info, self: lastingSelf(self) }
  effects.actions.push(() => exec(lasting, params))
}

function emittedType(kind: Kind, { params }: Effect): string {
  const { type } = (params as { event: { type: string } }).event
  if (kind.events.has(type)) return type
  throw machineInvalid(
    kind.type,
    `it emits "${type}", which is not among its events: ${[...kind.events].join(', ')}`,
  )
}

interface RaiseParams {
  readonly event: JsonObject
  readonly id: string | undefined
  readonly delay: number | undefined
}

function setTimer(kind: Kind, { params }: Effect, self: Self, effects: Effects): void {
  const { event, id, delay } = params as RaiseParams
  // A raise without a delay has already been handled, in the same step.
  if (typeof delay !== 'number') return
  const [issue] = jsonIssues(event)
  if (issue !== undefined) {
    throw machineInvalid(
      kind.type,
      `it sets a timer with "${event.type}", whose ${issue.path.join('.')} ${issue.message}`,
    )
  }
  effects.timers.push({
    effect: 'set',
    name: id ?? null,
    event,
    dueAt: dueAfter(kind, self.time, delay),
  })
}

/** When a timer with a delay is due. Throws `machine_invalid` for a time beyond all times. */
export function dueAfter(kind: Kind, time: number, delay: number): number {
  const dueAt = Math.round(time + Math.max(0, delay))
  if (dueAt <= LATEST) return dueAt
  throw machineInvalid(kind.type, `it sets a timer with a delay of ${delay} ms`)
}
