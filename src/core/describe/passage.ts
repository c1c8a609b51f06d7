/** What does a machine do on the way from state to state, as far as it says so beforehand? @module */

import type { Machine } from '../machine.ts'
import type { StateNode } from '../structure.ts'
import type { Transition } from '../xstate.ts'
import { lineage } from './lineage.ts'

/** The actions on the way into the first states of a machine. */
export function firstActions({ root }: Machine): unknown[] {
  return [...root.entry, ...actionsBelow(root, [])]
}

/**
 * The actions of a transition: on the way out, its own, on the way in. Those of states that only the
 * running machine knows are left out: what is active within the states it leaves, and history.
 */
export function actionsOf(transition: Transition): unknown[] {
  const { source, actions, target: goals = [] } = transition
  if (goals.length === 0) return [...actions]
  const domain = domainOf(transition, goals)
  const left = lineage(source).slice(0, lineage(source).indexOf(domain))
  return [...left.flatMap(({ exit }) => exit), ...actions, ...actionsBelow(domain, goals)]
}

/** The innermost state that is active before and after a transition. */
function domainOf({ source, reenter }: Transition, goals: readonly StateNode[]): StateNode {
  if (!reenter && goals.every((goal) => lineage(goal).includes(source))) return source
  const around = goals.map((goal) => lineage(goal).slice(1))
  const common = lineage(source)
    .slice(1)
    .find((state) => around.every((states) => states.includes(state)))
  return common ?? source.machine.root
}

/** The actions on the way from an active state to the goals within it, or to where it begins. */
function actionsBelow(state: StateNode, goals: readonly StateNode[]): unknown[] {
  const enter = (child: StateNode) => [...child.entry, ...actionsBelow(child, goals)]
  if (goals.some(({ type, parent }) => type === 'history' && parent === state)) return []
  const children = Object.values(state.states).filter(({ type }) => type !== 'history')
  if (state.type === 'parallel') return children.flatMap(enter)
  const next = children.find((child) => goals.some((goal) => lineage(goal).includes(child)))
  if (next !== undefined) return enter(next)
  if (state.type !== 'compound') return []
  return [...state.initial.actions, ...state.initial.target.flatMap(enter)]
}
