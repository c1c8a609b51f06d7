/** Where does a state stand in its machine, and what leads away from it? @module */

import type { StateNode } from '../structure.ts'
import type { Transition } from '../xstate.ts'

/** A state and those around it, the innermost first. */
export function lineage(state: StateNode): StateNode[] {
  return state.parent ? [state, ...lineage(state.parent)] : [state]
}

/** The path of a state as XState writes it in targets; no two states of a machine have the same. */
export function pathOf({ path }: StateNode): string {
  return path.map((key) => key.replaceAll(/[\\.]/g, '\\$&') || '\\').join('.')
}

/** The transitions that a state declares. */
export function transitionsOf({ transitions, always = [] }: StateNode): Transition[] {
  return [...[...transitions.values()].flat(), ...always]
}

/** Whether a transition that waits for a descriptor takes a type; XState's own types are matched exactly. */
export function matches(type: string, descriptor: string): boolean {
  if (descriptor === type) return true
  if (type.startsWith('xstate.') || !/(?:^|\.)\*$/.test(descriptor)) return false
  return `${type}.`.startsWith(descriptor.slice(0, -1))
}
