/** What does a resource of an earlier version of its machine become? @module */

import { machineInvalid, shown } from '../errors.ts'
import { contextText, type MachineState } from './decide.ts'
import type { JsonObject, Migration, Whereabouts } from './definition.ts'
import { detach, UNLIMITED } from './json.ts'
import { calling, type Kind } from './kind.ts'
import type { ResourceRow } from './rows.ts'
import { keptMemory, snapshotOf, statusOf } from './state.ts'
import type { StateNode } from './structure.ts'
import type { Snapshot } from './xstate.ts'

/** The version of the machine that wrote a row. */
export function versionOf(machine: string): number {
  return Number(machine.slice(0, machine.indexOf(':')))
}

/** Whether there is something that takes rows of a machine towards the registered version. */
export function isCovered({ fingerprint, version, migrations }: Kind, machine: string): boolean {
  if (machine === fingerprint) return false
  const from = versionOf(machine)
  return [...migrations.keys()].some((key) => from <= key && key < version)
}

/** A row as its migration would leave it, version and machine aside; any other row as it is. */
export function asMigrated(kind: Kind, row: ResourceRow): ResourceRow {
  return isCovered(kind, row.machine) ? { ...row, ...migratedState(kind, row) } : row
}

/**
 * The state to which the migrations of its kind take a row, one after the other. Throws
 * `machine_invalid` when one of them throws, or they lead to what the machine cannot be in.
 */
export function migratedState(kind: Kind, row: ResourceRow): MachineState {
  const from = versionOf(row.machine)
  let reached: Whereabouts = { value: JSON.parse(row.value), context: JSON.parse(row.context) }
  for (const [version, migration] of kind.migrations) {
    if (version >= from) reached = nextVersion(kind, version, migration, reached)
  }
  const value = JSON.stringify(resolved(kind, from, reached.value).value)
  const state = {
    value,
    memory: keptMemory(kind, row, value),
    context: contextText(kind, inOrder(Object.keys(JSON.parse(row.context)), reached.context)),
  }
  const snapshot = snapshotOf(kind, { ...row, ...state })
  const status = calling(kind, 'status', () => statusOf(kind, snapshot))
  return { ...state, status, final: snapshot.status !== 'active' }
}

function nextVersion(
  kind: Kind,
  version: number,
  migration: Migration,
  from: Whereabouts,
): Whereabouts {
  const name = `migrate from version ${version}`
  const { copy, issues } = calling(kind, name, () =>
    detach(migration(from as Parameters<Migration>[0]), UNLIMITED),
  )
  if (!isWhereabouts(copy)) {
    const what = '{ value, context }: a state value, and an object'
    throw machineInvalid(kind.type, `its ${name} has to give ${what}`)
  }
  const [issue] = issues
  if (issue === undefined) return copy
  throw machineInvalid(
    kind.type,
    `its ${name} gives what cannot be stored: ${issue.path.join('.')} ${issue.message}`,
  )
}

/** The same fields, those of old first: the log says which have changed, and not in which order they are. */
function inOrder(old: readonly string[], context: object): JsonObject {
  const fields = new Map<string, unknown>(Object.entries(context))
  const kept = old.filter((key) => fields.has(key)).map((key) => [key, fields.get(key)] as const)
  return Object.fromEntries(new Map([...kept, ...fields]))
}

function isWhereabouts(given: unknown): given is Whereabouts {
  if (!isObject(given)) return false
  return isObject(given.context) && (typeof given.value === 'string' || isObject(given.value))
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The state that a value stands for, with all that is entered by itself. */
function resolved(kind: Kind, from: number, value: unknown): Snapshot {
  const snapshot = attempt(() =>
    kind.machine.resolveState({ value: value as Snapshot['value'], context: {} }),
  )
  const isState =
    snapshot !== undefined &&
    isPartOf(snapshot.value, value) &&
    isConfiguration(kind, snapshot._nodes)
  if (isState) return snapshot
  throw machineInvalid(
    kind.type,
    `its migrate from version ${from} leads to ${shown(value)}, a state that it does not have`,
  )
}

/** Whether these can be the active nodes of a machine: of those that exclude each other, one. */
function isConfiguration({ nodes }: Kind, active: readonly StateNode[]): boolean {
  const parents = active.flatMap(({ parent }) => (parent?.type === 'compound' ? parent : []))
  return (
    new Set(parents).size === parents.length &&
    active.every(({ id, type }) => nodes.has(id) && type !== 'history')
  )
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}

/** Whether a whole state value says everything that another one says: XState drops what it does not know. */
function isPartOf(whole: unknown, part: unknown): boolean {
  const states = toStates(whole)
  return Object.entries(toStates(part)).every(
    ([key, below]) => Object.hasOwn(states, key) && isPartOf(states[key], below),
  )
}

function toStates(value: unknown): JsonObject {
  return typeof value === 'string' ? { [value]: {} } : (value as JsonObject)
}
