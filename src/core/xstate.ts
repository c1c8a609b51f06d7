/** How does one command run through an XState machine, without an actor? @module */

import {
  type ActorScope,
  type AnyActorRef,
  type AnyMachineSnapshot,
  type AnyTransitionDefinition,
  createActor,
  createMachine,
  type ExecutableActionObject,
  getNextTransitions,
  type InspectionEvent,
} from 'xstate'
import { messageOf } from '../errors.ts'
import type { Machine } from './machine.ts'
import { allStates } from './structure.ts'

/** A snapshot of any machine. */
export type Snapshot = AnyMachineSnapshot

/** A transition as XState reports it. */
export type Transition = AnyTransitionDefinition

/** What a machine's callbacks see as `self`. */
export interface Self {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly time: number
}

/** One effect, as XState's resolved action. */
export type Effect = ExecutableActionObject

/** One microstep: the state that it led to and the effects it had. */
export interface Microstep {
  readonly snapshot: Snapshot
  readonly effects: readonly Effect[]
}

/** A whole step: where a command led, through which microsteps. */
export interface Step {
  readonly snapshot: Snapshot
  readonly microsteps: readonly Microstep[]
  /** False when no transition was taken for the event. */
  readonly accepted: boolean
}

interface Recording {
  /** The effects of each microstep; the last list belongs to the one that is under way. */
  readonly effects: [Effect[], ...Effect[][]]
  /** The states that microsteps led to, as far as XState reports them. */
  readonly snapshots: Snapshot[]
  /** Whether the event itself took a transition; undefined until XState says so. */
  accepted: boolean | undefined
}

// XState's own `transition()` builds an actor per call, 31–50 µs against 7 µs for this one scope that
// all machines share. Steps are synchronous, so one recording at a time is enough.
let recording: Recording
let current: Self

const inert = createActor(createMachine({}))

// Told of every microstep directly, without the copies that XState makes for whoever inspects an actor.
const system: typeof inert.system = Object.create(inert.system, {
  _sendInspectionEvent: { value: recordMicrostep },
})

/** A `self` that keeps its answers: for actions that run after the step. */
export function lastingSelf({ id, time }: Self): AnyActorRef {
  const send = () => {
    throw new Error('an action cannot send to its own resource: use raise, or engine.send outside')
  }
  return Object.create(inert, {
    id: { value: id },
    clock: { value: { now: () => time } },
    send: { value: send },
  })
}

// Inherits from a real actor what user code may look at, and answers `id` and the time itself.
const self: AnyActorRef = Object.create(inert, {
  id: { get: () => current.id },
  clock: { value: { now: () => current.time } },
})

const recordEffect = (effect: Effect): void => {
  recording.effects.at(-1)?.push(effect)
}
let executor = recordEffect

const scope: ActorScope<Snapshot, { type: string }> = {
  self,
  id: '',
  sessionId: '',
  system,
  logger: () => {},
  defer: () => {},
  emit: () => {},
  stopChild: () => {},
  get actionExecutor() {
    return executor
  },
  // XState swaps the executor for the length of a microstep: putting ours back is the end of one.
  set actionExecutor(next) {
    executor = next
    if (next === recordEffect) recording.effects.push([])
  },
}

function recordMicrostep(event: InspectionEvent): void {
  if (event.type !== '@xstate.microstep') return
  const taken = event._transitions.length > 0
  recording.accepted ??= taken
  // A raised event that nobody handles is reported too, but it is no step.
  if (taken) recording.snapshots.push(event.snapshot as Snapshot)
}

/** Something in a machine threw. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure'
  /** How far the machine had come; undefined within the first microstep. */
  readonly reached: Snapshot | undefined

  constructor(
    message: string,
    options: { readonly cause: unknown; readonly reached: Snapshot | undefined },
  ) {
    super(message, { cause: options.cause })
    this.reached = options.reached
  }
}

function record(as: Self, step: () => Snapshot): { snapshot: Snapshot; recorded: Recording } {
  current = as
  recording = { effects: [[]], snapshots: [], accepted: undefined }
  try {
    const snapshot = step()
    if (snapshot.status === 'error') throw snapshot.error
    return { snapshot, recorded: recording }
  } catch (cause) {
    const message = messageOf(cause)
    throw new StepFailure(message, { cause, reached: recording.snapshots.at(-1) })
  }
}

/** Lets a machine take one event. Throws `StepFailure`. */
export function takeStep(
  machine: Machine,
  from: Snapshot,
  event: { readonly type: string },
  as: Self,
): Step {
  const { snapshot, recorded } = record(as, () => machine.transition(from, event, scope))
  if (!recorded.accepted) return { snapshot: from, microsteps: [], accepted: false }
  return { snapshot, microsteps: paired(recorded.snapshots, recorded.effects), accepted: true }
}

/** Lets a machine take its first step. Throws `StepFailure`. */
export function takeFirstStep(machine: Machine, input: unknown, as: Self): Step {
  const { snapshot, recorded } = record(as, () => machine.getInitialSnapshot(scope, input))
  // XState reports the microsteps after the entry only: with none, the entry led to the end.
  const entered = recorded.snapshots.length === 0 ? snapshot : entrySnapshot(machine, input, as)
  return {
    snapshot,
    microsteps: paired([entered, ...recorded.snapshots], recorded.effects),
    accepted: true,
  }
}

function paired(
  snapshots: readonly Snapshot[],
  effects: readonly (readonly Effect[])[],
): Microstep[] {
  // One list per microstep, and the empty one that the last of them left open.
  if (effects.length !== snapshots.length + 1) {
    throw new Error(`XState took ${snapshots.length} microsteps, but ${effects.length - 1} ended`)
  }
  return snapshots.map((snapshot, index) => ({ snapshot, effects: effects[index] ?? [] }))
}

/**
 * The state that the entry led to, where XState went on from there at once. It is not reported, so
 * the step is taken once more with a guard in every state that sees it and says no.
 */
function entrySnapshot(machine: Machine, input: unknown, as: Self): Snapshot {
  const seen: Snapshot[] = []
  const look = (snapshot: Snapshot): boolean => {
    seen.push(snapshot)
    return false
  }
  const guard = Object.assign(() => false, { check: look })
  const copy: Machine = machine.provide({})
  for (const state of allStates(copy)) {
    const probe = {
      guard,
      target: undefined,
      actions: [],
      source: state,
      reenter: false,
      eventType: '',
    }
    state.always = [probe as unknown as Transition, ...(state.always ?? [])]
  }
  const { snapshot } = record(as, () => copy.getInitialSnapshot(scope, input))
  return seen[0] ?? snapshot
}

/** The transitions of the active states that an event type could take, guards aside. */
export function candidates(snapshot: Snapshot, eventType: string): Transition[] {
  return getNextTransitions(snapshot).filter(({ eventType: descriptor }) =>
    matches(eventType, descriptor),
  )
}

/** Whether a machine would take an event; looks at guards, runs no action. */
export function wouldTake(snapshot: Snapshot, event: { readonly type: string }): boolean {
  const machine: Machine = snapshot.machine
  return machine.getTransitionData(snapshot, event).length > 0
}

function matches(eventType: string, descriptor: string): boolean {
  if (descriptor === eventType || descriptor === '*') return true
  return descriptor.endsWith('.*') && `${eventType}.`.startsWith(descriptor.slice(0, -1))
}
