/** What can a kind of resource be, take, report and do by itself? @module */

import type { Schema } from '../definition.ts'
import type { Kind } from '../kind.ts'
import { allStates, type StateNode } from '../structure.ts'
import type {
  DescribedCommand,
  DescribedEvent,
  DescribedStart,
  DescribedState,
  Description,
  EventSource,
} from './description.ts'
import { emitsOf, tellsOf } from './effects.ts'
import { lineage, matches, pathOf, transitionsOf } from './lineage.ts'
import { toMermaid } from './mermaid.ts'
import { firstActions } from './passage.ts'
import { describeTimers, describeTransitions, triggerOf } from './transitions.ts'

/** Describes a kind of resource; the same kind always gives the same description. */
export function describe(kind: Kind): Description {
  const description = {
    type: kind.type,
    prefix: kind.prefix,
    version: kind.version,
    initial: startOf(kind),
    states: allStates(kind.machine).map((state) => describeState(kind, state)),
    commands: [...kind.commands].map(([name, schema]) => describeCommand(kind, name, schema)),
    events: [...kind.events].map((type) => describeEvent(kind, type)),
    timers: describeTimers(kind),
    transitions: describeTransitions(kind),
  }
  return { ...description, mermaid: toMermaid(description) }
}

function startOf(kind: Kind): DescribedStart {
  const state = firstOf(kind.machine.root)
  const actions = firstActions(kind.machine)
  return {
    state: pathOf(state),
    status: statusIn(kind, state),
    emits: emitsOf(kind.machine, actions),
    tells: tellsOf(kind.machine, actions),
  }
}

function firstOf(state: StateNode): StateNode {
  const [first] = state.type === 'compound' ? state.initial.target : []
  return first === undefined ? state : firstOf(first)
}

function describeState(kind: Kind, state: StateNode): DescribedState {
  return {
    id: pathOf(state),
    name: state.parent ? state.key : kind.type,
    status: statusIn(kind, state),
    kind: state.type,
    history: state.type === 'history' ? state.history || 'shallow' : null,
    description: state.description ?? null,
    initial: initialOf(kind, state),
    parent: state.parent ? pathOf(state.parent) : null,
  }
}

function statusIn(kind: Kind, state: StateNode): string | null {
  if (kind.status !== undefined || state.type === 'history') return null
  const named = lineage(state).findLast(({ type }) => type === 'parallel') ?? state
  if (named.type === 'compound') return null
  return named.parent ? named.key : 'active'
}

function initialOf(kind: Kind, state: StateNode): string | null {
  const [first] = state.type === 'compound' ? state.initial.target : []
  const initial = state.type === 'history' ? historyTarget(kind, state) : first
  return initial === undefined ? null : pathOf(initial)
}

/** What a history state names for the first time; XState resolves it no sooner than it is needed. */
function historyTarget({ machine, nodes }: Kind, { config, parent }: StateNode) {
  const [target]: unknown[] = [config.target].flat()
  if (typeof target !== 'string' || parent === undefined) return undefined
  if (target.startsWith('#')) return nodes.get(target.slice(1))
  const path = parent.parent ? `${pathOf(parent)}.${target}` : target
  return allStates(machine).find((state) => pathOf(state) === path)
}

function describeCommand(kind: Kind, name: string, schema: Schema): DescribedCommand {
  const takers = allStates(kind.machine).filter(
    (state) => isInnermost(state) && lineage(state).some((around) => takes(around, name)),
  )
  return {
    name,
    description: descriptionOf(schema),
    internal: kind.internal.has(name),
    states: takers.map(pathOf),
  }
}

/** Libraries whose schemas can be described keep the text in this property. */
function descriptionOf(schema: Schema): string | null {
  const { description } = schema as { readonly description?: unknown }
  return typeof description === 'string' ? description : null
}

/** Whether a resource can rest in this state, and not in one within it, before its end. */
function isInnermost({ type, parent }: StateNode): boolean {
  const isEnd = type === 'final' && parent?.parent === undefined && parent?.type === 'compound'
  return (type === 'atomic' || type === 'final') && !isEnd
}

function takes({ transitions }: StateNode, command: string): boolean {
  return [...transitions].some(
    ([descriptor, choices]) => choices.length > 0 && matches(command, descriptor),
  )
}

function describeEvent(kind: Kind, type: string): DescribedEvent {
  const sources = allStates(kind.machine).flatMap((state) =>
    emittersIn(kind, state)
      .filter(({ actions }) => emitsOf(kind.machine, actions).includes(type))
      .map(({ when, on }): EventSource => ({ when, state: pathOf(state), on })),
  )
  return { type, sources }
}

interface Emitter extends Omit<EventSource, 'state'> {
  readonly actions: readonly unknown[]
}

function emittersIn(kind: Kind, state: StateNode): Emitter[] {
  const first = state.type === 'compound' ? state.initial.actions : []
  return [
    { when: 'entry', on: null, actions: [...state.entry, ...first] },
    { when: 'exit', on: null, actions: state.exit },
    ...transitionsOf(state).map(
      (transition): Emitter => ({
        when: 'transition',
        on: triggerOf(kind, transition).on,
        actions: transition.actions,
      }),
    ),
  ]
}
