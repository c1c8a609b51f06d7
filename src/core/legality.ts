/** Which commands does a resource accept now, and why not the others? @module */

import { type Blocker, PawlError, type RefusalReason } from '../errors.ts'
import type { Kind } from './kind.ts'
import type { ResourceRow } from './rows.ts'
import { snapshotOf } from './state.ts'
import { candidates, type Snapshot, type Transition, wouldTake } from './xstate.ts'

/** Builds the refusal of a command; the resource is null when the command would have created it. */
export function refusal(
  kind: Kind,
  row: ResourceRow | null,
  command: string,
  reason: RefusalReason,
  blockers: readonly Blocker[] = [],
): PawlError<'illegal_transition'> {
  const accepts = row === null ? [] : acceptedCommands(kind, row)
  const details = {
    resource_id: row?.id ?? null,
    status: row?.status ?? null,
    command,
    reason,
    accepts,
    blockers,
  }
  return new PawlError('illegal_transition', describe(kind, row, details), details)
}

interface Described {
  readonly command: string
  readonly reason: RefusalReason
  readonly accepts: readonly string[]
  readonly blockers: readonly Blocker[]
}

function describe(
  kind: Kind,
  row: ResourceRow | null,
  { command, reason, accepts, blockers }: Described,
): string {
  const subject = row === null ? `a new ${kind.type}` : `${kind.type} ${row.id}`
  const because = blockers.map(({ message }) => message).join('; ')
  const accepting = accepts.length === 0 ? 'accepts nothing' : `accepts: ${accepts.join(', ')}`
  switch (reason) {
    case 'terminal':
      return `${subject} is "${row?.status}" and does not accept "${command}" (accepts nothing: it has ended)`
    case 'not_accepted':
      return `${subject} is "${row?.status}" and does not accept "${command}" (${accepting})`
    case 'guard':
      return `${subject} is "${row?.status}" and does not accept "${command}" as things are: ${because}`
    case 'reserved':
      return `"${command}" of ${subject} is sent by the engine or by other resources only (${accepting})`
    case 'in_use':
      return `${subject} does not accept "${command}" while it is in use: ${because}`
    case 'reference':
      return `${subject} does not accept "${command}" because of what it refers to: ${because}`
  }
}

/** Why the machine did not take a command, and through which guards. */
export function machineRefusal(
  kind: Kind,
  row: ResourceRow,
  command: string,
): PawlError<'illegal_transition'> {
  if (row.final) return refusal(kind, row, command, 'terminal')
  const guarded = candidates(snapshotOf(kind, row), command)
  if (guarded.length === 0) return refusal(kind, row, command, 'not_accepted')
  return refusal(kind, row, command, 'guard', guarded.map(guardBlocker))
}

function guardBlocker({ guard, source }: Transition): Blocker {
  const name = guardName(guard)
  return { code: name, message: `guard "${name}" of state "${source.key}" says no` }
}

function guardName(guard: unknown): string {
  if (typeof guard === 'string') return guard
  if (typeof guard === 'function') return guard.name || 'inline guard'
  const { type } = (guard ?? {}) as { readonly type?: unknown }
  return typeof type === 'string' ? type : 'inline guard'
}

/** The commands that a caller may send now, in the order of the definition. */
export function acceptedCommands(kind: Kind, row: ResourceRow): string[] {
  if (row.final) return []
  const snapshot = snapshotOf(kind, row)
  return [...kind.commands.keys()].filter(
    (command) => !kind.internal.has(command) && mayTake(snapshot, command),
  )
}

/**
 * Whether a command could be taken with some payload: a guard that looks at the payload is given the
 * benefit of the doubt, one that looks at the context only is asked.
 */
function mayTake(snapshot: Snapshot, command: string): boolean {
  if (candidates(snapshot, command).length === 0) return false
  let looked = false
  const look = (key: PropertyKey): void => {
    looked ||= key !== 'type'
  }
  const event = new Proxy(
    { type: command },
    {
      get: (target, key) => {
        look(key)
        return Reflect.get(target, key)
      },
      has: (target, key) => {
        look(key)
        return Reflect.has(target, key)
      },
      ownKeys: (target) => {
        look('*')
        return Reflect.ownKeys(target)
      },
      getOwnPropertyDescriptor: (target, key) => {
        look(key)
        return Reflect.getOwnPropertyDescriptor(target, key)
      },
    },
  )
  try {
    return wouldTake(snapshot, event) || looked
  } catch {
    return true
  }
}
