/** What may a machine or a definition not do? Refused when it is registered, before anything is stored. @module */

import { machineInvalid, shown } from '../errors.ts'
import type { Secret } from './definition.ts'
import type { Kind } from './kind.ts'
import type { Registry } from './registry.ts'
import { retiredName } from './secrets.ts'
import {
  actionName,
  allActions,
  allStates,
  builtinType,
  guardNames,
  implementation,
  type StateNode,
  staticEmits,
} from './structure.ts'
import { type TellDeclaration, tellDeclaration } from './tell.ts'

const SUPPORTED = new Set([
  'xstate.assign',
  'xstate.emit',
  'xstate.raise',
  'xstate.cancel',
  'xstate.log',
  'xstate.enqueueActions',
])

/** Throws `machine_invalid`, naming machine and state, for the first thing in a registry that cannot work. */
export function validate(registry: Registry): void {
  for (const kind of registry.byType.values()) {
    validateNames(kind)
    validateVersion(kind)
    for (const state of allStates(kind.machine)) validateState(kind, state)
    for (const { state, action } of allActions(kind.machine))
      validateAction(registry, kind, state, action)
    validateEvents(kind)
    validateReferences(registry, kind)
    validateSecrets(kind)
  }
}

function fail(kind: Kind, reason: string): never {
  throw machineInvalid(kind.type, reason)
}

function inState(state: StateNode): string {
  return `state "${state.path.join('.') || state.key}"`
}

function validateNames(kind: Kind): void {
  if (!/^[a-z][a-z0-9_]*$/.test(kind.type)) fail(kind, 'its type has to be lower snake case')
  if (!/^[a-z][a-z0-9_]*$/.test(kind.prefix))
    fail(kind, `its prefix "${kind.prefix}" has to be lower snake case`)
  for (const command of kind.commands.keys()) {
    if (command.startsWith('xstate.') || ['create', '*', ''].includes(command)) {
      fail(kind, `"${command}" cannot be the name of a command`)
    }
  }
  for (const command of kind.internal) {
    if (!kind.commands.has(command))
      fail(kind, `its internal command "${command}" is not among its commands`)
  }
}

function validateVersion(kind: Kind): void {
  const { version, migrations } = kind
  if (!isVersion(version))
    fail(kind, `its version is ${shown(version)} and has to be a whole number from 1 on`)
  for (const [from, migration] of migrations) {
    if (!isVersion(from) || from >= version)
      fail(kind, `its migrate has a key that is no version below ${version}`)
    if (typeof migration !== 'function')
      fail(kind, `its migrate from version ${from} has to be a function`)
  }
}

function isVersion(version: number): boolean {
  return Number.isSafeInteger(version) && version >= 1
}

function validateState(kind: Kind, state: StateNode): void {
  if (state.invoke.length > 0) fail(kind, `${inState(state)} uses invoke, which is not supported`)
  const { guards, delays } = kind.machine.implementations
  const transitions = [...[...state.transitions.values()].flat(), ...(state.always ?? [])]
  for (const name of transitions.flatMap(({ guard }) => guardNames(guard))) {
    if (!Object.hasOwn(guards, name))
      fail(kind, `${inState(state)} uses the guard "${name}", which is not implemented`)
  }
  for (const delay of Object.keys(state.config.after ?? {})) {
    if (!Number.isFinite(Number(delay)) && !Object.hasOwn(delays, delay)) {
      fail(kind, `${inState(state)} uses the delay "${delay}", which is not implemented`)
    }
  }
}

function validateAction(registry: Registry, kind: Kind, state: StateNode, action: unknown): void {
  const implemented = implementation(kind.machine, action)
  if (implemented === undefined)
    fail(
      kind,
      `${inState(state)} uses the action "${actionName(action)}", which is not implemented`,
    )
  const builtin = builtinType(implemented)
  if (builtin !== undefined && !SUPPORTED.has(builtin)) {
    fail(kind, `${inState(state)} uses ${builtin.slice('xstate.'.length)}, which is not supported`)
  }
  validateDelay(kind, state, implemented)
  const tell = tellDeclaration(implemented)
  if (tell !== undefined) validateTell(registry, kind, state, tell)
}

function validateDelay(kind: Kind, state: StateNode, action: unknown): void {
  if (typeof action !== 'function' || !('delay' in action) || typeof action.delay !== 'string')
    return
  if (Object.hasOwn(kind.machine.implementations.delays, action.delay)) return
  fail(kind, `${inState(state)} uses the delay "${action.delay}", which is not implemented`)
}

function validateTell(
  registry: Registry,
  kind: Kind,
  state: StateNode,
  { to, command }: TellDeclaration,
): void {
  const told = typeof to === 'string' ? kind.references.get(to)?.type : to.type
  const target = told === undefined ? undefined : registry.byType.get(told)
  if (target === undefined || (typeof to !== 'string' && !target.references.has(to.by))) {
    fail(
      kind,
      `${inState(state)} tells ${JSON.stringify(to)}, which is no reference that is declared`,
    )
  }
  if (typeof command !== 'function' && !target.commands.has(command.type)) {
    fail(
      kind,
      `${inState(state)} tells ${target.type} "${command.type}", which is not among its commands`,
    )
  }
}

function validateEvents(kind: Kind): void {
  for (const type of staticEmits(kind.machine)) {
    if (!kind.events.has(type))
      fail(
        kind,
        `it emits "${type}", which is not among its events: ${[...kind.events].join(', ')}`,
      )
  }
}

function validateReferences(registry: Registry, kind: Kind): void {
  for (const [field, { type, restricts = [] }] of kind.references) {
    const target = registry.byType.get(type)
    if (target === undefined)
      fail(kind, `its field "${field}" refers to "${type}", which is not registered`)
    for (const command of restricts) {
      if (!target.commands.has(command))
        fail(kind, `its field "${field}" restricts "${command}", which ${type} does not have`)
    }
  }
  for (const [field, { type }] of kind.companions) {
    if (kind.references.get(field)?.type !== type) {
      fail(kind, `its companion "${field}" has to be a reference to ${type} as well`)
    }
  }
}

function validateSecrets(kind: Kind): void {
  for (const [name, secret] of kind.secrets) {
    if (name.endsWith(retiredName('')))
      fail(kind, `its secret "${name}" has a name that is kept for values that were replaced`)
    validateRetirement(kind, name, secret)
    for (const command of secret.on ?? []) {
      if (command !== 'create' && !kind.commands.has(command)) {
        fail(kind, `its secret "${name}" comes with "${command}", which is not among its commands`)
      }
    }
  }
}

function validateRetirement(kind: Kind, name: string, secret: Secret): void {
  const retire = 'retire' in secret ? secret.retire : undefined
  if (retire === undefined || (Number.isSafeInteger(retire) && retire >= 0)) return
  fail(
    kind,
    `the retire of its secret "${name}" is ${shown(retire)} and has to be a whole number of milliseconds`,
  )
}
