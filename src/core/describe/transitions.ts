/** What leads from state to state, what sets it off, and what does it cause? @module */

import type { Kind } from '../kind.ts'
import { allStates, causeOf } from '../structure.ts'
import type { Transition } from '../xstate.ts'
import type { DescribedTimer, DescribedTransition } from './description.ts'
import { delayedRaises, emitsOf, tellsOf } from './effects.ts'
import { matches, pathOf, transitionsOf } from './lineage.ts'
import { actionsOf } from './passage.ts'

/** What a transition waits for. */
export type Trigger = Pick<DescribedTransition, 'kind' | 'on'>

/** Describes all transitions of a kind. */
export function describeTransitions(kind: Kind): DescribedTransition[] {
  return allTransitions(kind).flatMap((transition) => describeTransition(kind, transition))
}

function allTransitions({ machine }: Kind): Transition[] {
  return allStates(machine).flatMap(transitionsOf)
}

function describeTransition(kind: Kind, transition: Transition): DescribedTransition[] {
  const { source, target = [], guard, reenter } = transition
  const actions = actionsOf(transition)
  const common = {
    ...triggerOf(kind, transition),
    guard: guardName(guard),
    reenter,
    emits: emitsOf(kind.machine, actions),
    tells: tellsOf(kind.machine, actions),
  }
  const goals = target.length === 0 ? [null] : target.map(pathOf)
  return goals.map((to) => ({ from: pathOf(source), to, ...common }))
}

/** What sets a transition off. */
export function triggerOf(kind: Kind, { eventType }: Transition): Trigger {
  if (eventType === '') return { on: null, kind: 'always' }
  if (eventType.startsWith('xstate.done.')) return { on: null, kind: 'done' }
  const on = causeOf(kind.nodes, eventType)
  if (eventType.startsWith('xstate.after.')) return { on, kind: 'timer' }
  if ([...kind.commands.keys()].some((command) => matches(command, eventType)))
    return { on, kind: 'command' }
  const isTimer = delayedRaises(kind.machine).some(({ type }) => matches(type, eventType))
  return { on, kind: isTimer ? 'timer' : 'raised' }
}

function guardName(guard: unknown): string | null {
  if (guard === undefined || guard === null) return null
  if (typeof guard === 'string') return guard
  const { type } = guard as { readonly type?: unknown }
  if (typeof guard !== 'function') return typeof type === 'string' ? type : 'inline guard'
  // XState's `and`, `or` and `not` carry what they are made of.
  const { guards } = guard as { readonly guards?: readonly unknown[] }
  // A function that is written in place is called after the property that it stands in.
  const name = guard.name === '' || guard.name === 'guard' ? 'inline guard' : guard.name
  return guards === undefined ? name : `${name}(${guards.map(guardName).join(', ')})`
}

/** Describes the timers of a kind, each once for the state that sets it. */
export function describeTimers(kind: Kind): DescribedTimer[] {
  const timers = delayedRaises(kind.machine).map(({ state, type, delay }): DescribedTimer => {
    const ways = allTransitions(kind).filter(({ eventType }) => matches(type, eventType))
    const goals = ways.flatMap(({ target = [] }) => target.map(pathOf))
    return {
      name: causeOf(kind.nodes, type),
      state: pathOf(state),
      delay,
      to: [...new Set(goals)],
    }
  })
  return [...new Map(timers.map((timer) => [JSON.stringify(timer), timer])).values()]
}
