/** What can be read off a machine without running it? @module */

import type { Machine } from './machine.ts'

/** A node of a machine. */
export type StateNode = Machine['root']

/** An action as a machine declares it, and where. */
export interface DeclaredAction {
  readonly state: StateNode
  readonly action: unknown
}

/** All state nodes of a machine, the root first, in document order. */
export function allStates(machine: Machine): StateNode[] {
  return [machine.root, ...below(machine.root)]
}

function below(state: StateNode): StateNode[] {
  return Object.values(state.states).flatMap((child) => [child, ...below(child)])
}

/** All actions that the machine declares; what only `enqueueActions` adds at run time is not among them. */
export function allActions(machine: Machine): DeclaredAction[] {
  return allStates(machine).flatMap((state) => {
    const transitions = [...[...state.transitions.values()].flat(), ...(state.always ?? [])]
    const actions = [
      ...state.entry,
      ...state.exit,
      ...(state.type === 'compound' ? state.initial.actions : []),
      ...transitions.flatMap((transition) => transition.actions),
    ]
    return actions.map((action: unknown) => ({ state, action }))
  })
}

/** The event types of the `emit`s that say theirs statically. */
export function staticEmits(machine: Machine): string[] {
  const types = allActions(machine)
    .map(({ action }) => implementation(machine, action))
    .filter((action) => builtinType(action) === 'xstate.emit')
    .map((action) => staticEvent(action)?.type)
  return [...new Set(types.filter((type) => type !== undefined))]
}

/** What stands behind an action: itself, or what the machine implements under its name. */
export function implementation(machine: Machine, action: unknown): unknown {
  const name = actionName(action)
  return name === undefined ? action : machine.implementations.actions[name]
}

/** The name of an action that is referred to by name. */
export function actionName(action: unknown): string | undefined {
  if (typeof action === 'string') return action
  return isObject(action) && typeof action.type === 'string' ? action.type : undefined
}

/** The names of the guards that a transition asks: its own, or those within `and`, `or` and `not`. */
export function guardNames(guard: unknown): string[] {
  if (typeof guard === 'function')
    return 'guards' in guard && Array.isArray(guard.guards) ? guard.guards.flatMap(guardNames) : []
  return [actionName(guard) ?? []].flat()
}

/** The type of one of XState's own actions, such as `xstate.emit`. */
export function builtinType(action: unknown): string | undefined {
  if (typeof action !== 'function' || !('resolve' in action)) return undefined
  return 'type' in action && typeof action.type === 'string' ? action.type : undefined
}

/** The event of an `emit` that says it statically. */
export function staticEvent(action: unknown): { readonly type: string } | undefined {
  if (typeof action !== 'function' || !('event' in action)) return undefined
  const { event } = action
  return isObject(event) && typeof event.type === 'string' ? { type: event.type } : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** What the timers of `after`s begin with; the delay and the state's id follow. */
export const AFTER = 'xstate.after.'

/** The name of a command or, for the timer of an `after`, the name of its delay. */
export function causeOf(nodes: ReadonlyMap<string, unknown>, eventType: string): string {
  if (!eventType.startsWith(AFTER)) return eventType
  const rest = eventType.slice(AFTER.length)
  const endings = [...nodes.keys()].map((id) => `.${id}`).filter((ending) => rest.endsWith(ending))
  const longest = Math.max(0, ...endings.map((ending) => ending.length))
  return rest.slice(0, rest.length - longest)
}
