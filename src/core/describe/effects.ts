/** Which events, tells and timers do actions declare, as far as they say so beforehand? @module */

import type { Machine } from '../machine.ts'
import { allActions, builtinType, implementation, type StateNode } from '../structure.ts'
import { tellDeclaration } from '../tell.ts'
import type { DescribedTell } from './description.ts'

/** The types of what actions emit, each once. */
export function emitsOf(machine: Machine, actions: readonly unknown[]): string[] {
  const types = actions.flatMap((action) => builtin(machine, action, 'xstate.emit')?.type ?? [])
  return [...new Set(types)]
}

/** The commands that actions send to other resources. */
export function tellsOf(machine: Machine, actions: readonly unknown[]): DescribedTell[] {
  return actions.flatMap((action) => {
    const tell = tellDeclaration(implementation(machine, action))
    if (tell === undefined) return []
    const { to, command, required } = tell
    return {
      to: typeof to === 'string' ? to : { type: to.type, by: to.by },
      command: typeof command === 'function' ? null : command.type,
      required,
    }
  })
}

/** What a machine is going to say to itself, as it is declared. */
export interface DelayedRaise {
  readonly state: StateNode
  readonly type: string
  /** In milliseconds; null when it depends on the resource. */
  readonly delay: number | null
}

/** The delayed `raise`s of a machine, with those that XState makes of each `after`. */
export function delayedRaises(machine: Machine): DelayedRaise[] {
  return allActions(machine).flatMap(({ state, action }) => {
    const raise = builtin(machine, action, 'xstate.raise')
    if (raise?.delay === undefined) return []
    return { state, type: raise.type, delay: staticDelay(machine, raise.delay) }
  })
}

interface Builtin {
  readonly type: string
  readonly delay: unknown
}

/** One of XState's own actions, if its event can be seen. */
function builtin(machine: Machine, action: unknown, type: string): Builtin | undefined {
  const implemented = implementation(machine, action)
  if (builtinType(implemented) !== type) return undefined
  const { event, delay } = implemented as { readonly event?: unknown; readonly delay?: unknown }
  const { type: name } = (event ?? {}) as { readonly type?: unknown }
  return typeof name === 'string' ? { type: name, delay } : undefined
}

/** What a delay is given to look at: nothing, and whoever looks says that it depends on something. */
const UNKNOWN = new Proxy({}, { get: refuseToAnswer, has: refuseToAnswer, ownKeys: refuseToAnswer })

function refuseToAnswer(): never {
  throw new Error('the delay depends on the resource')
}

function staticDelay(machine: Machine, delay: unknown): number | null {
  const declared: unknown =
    typeof delay === 'string' ? machine.implementations.delays[delay] : delay
  const milliseconds = typeof declared === 'function' ? constant(() => declared(UNKNOWN)) : declared
  return typeof milliseconds === 'number' && Number.isFinite(milliseconds) ? milliseconds : null
}

/** What a function gives if it gives it always, and whatever it is given: a kind has no delays but functions. */
function constant(delay: () => unknown): unknown {
  try {
    const value = delay()
    return delay() === value ? value : null
  } catch {
    return null
  }
}
