/** How do a stored resource, XState's snapshot of it and what users see of it relate? @module */

import { toIso } from '../clock.ts'
import { machineInvalid, shown } from '../errors.ts'
import type { JsonObject, ResourceView } from './definition.ts'
import { put } from './json.ts'
import type { Kind } from './kind.ts'
import type { ResourceRow } from './rows.ts'
import type { StateNode } from './structure.ts'
import type { Snapshot } from './xstate.ts'

// A machine has few state values; only those with many parallel regions could have more than this.
const REMEMBERED_VALUES = 1000

/** The snapshot that a row stands for. */
export function snapshotOf(kind: Kind, row: ResourceRow): Snapshot {
  const bare = bareSnapshot(kind, row.value)
  const snapshot = { ...bare, historyValue: {}, context: JSON.parse(row.context) } as Snapshot
  return row.memory === null ? snapshot : { ...snapshot, ...revivedMemory(kind, row.memory) }
}

function bareSnapshot(kind: Kind, value: string): Snapshot {
  const known = kind.snapshots.get(value)
  if (known !== undefined) return known
  if (kind.snapshots.size >= REMEMBERED_VALUES) kind.snapshots.clear()
  const snapshot = resolved(kind, value)
  kind.snapshots.set(value, snapshot)
  return snapshot
}

/** Whether the machine has the states that a stored value and memory name. */
export function hasState(kind: Kind, value: string, memory: string | null): boolean {
  const { history = {}, nodes = [] }: Memory = JSON.parse(memory ?? '{}')
  const ids = [...Object.keys(history), ...Object.values(history).flat(), ...nodes]
  if (ids.some((id) => !kind.nodes.has(id))) return false
  try {
    // XState completes a value that a state has outgrown: then it is another state.
    return JSON.stringify(bareSnapshot(kind, value).value) === value
  } catch {
    return false
  }
}

function resolved(kind: Kind, value: string): Snapshot {
  try {
    return kind.machine.resolveState({ value: JSON.parse(value), context: {} })
  } catch (cause) {
    throw machineInvalid(
      kind.type,
      `it has no state ${value}, in which a stored resource is`,
      cause,
    )
  }
}

/** What XState remembers besides the value, by the ids of state nodes. */
interface Memory {
  /** What each history state goes back to. */
  readonly history?: Readonly<Record<string, readonly string[]>>
  /** The active nodes, where XState has them in another order than their value says, or not all of them. */
  readonly nodes?: readonly string[]
}

/** What of a snapshot its value does not say, as JSON text; null when that is nothing. */
export function memoryOf(kind: Kind, snapshot: Snapshot, value: string): string | null {
  const remembered: [string, readonly StateNode[]][] = Object.entries(snapshot.historyValue)
  const natural: readonly StateNode[] = bareSnapshot(kind, value)._nodes
  const active: readonly StateNode[] = snapshot._nodes
  const isNatural =
    natural.length === active.length && natural.every((node, index) => node === active[index])
  if (remembered.length === 0 && isNatural) return null
  const memory: Memory = {
    ...(remembered.length > 0 && {
      history: Object.fromEntries(remembered.map(([id, nodes]) => [id, idsOf(nodes)])),
    }),
    ...(!isNatural && { nodes: idsOf(active) }),
  }
  return JSON.stringify(memory)
}

/** What is left of a row's memory in another machine and under a value there: what its nodes still say. */
export function keptMemory(kind: Kind, row: ResourceRow, value: string): string | null {
  const { history = {}, nodes }: Memory = JSON.parse(row.memory ?? '{}')
  const isThere = (id: string) => kind.nodes.has(id)
  const kept = Object.entries(history).filter(([id, ids]) => isThere(id) && ids.every(isThere))
  const memory: Memory = {
    ...(kept.length > 0 && { history: Object.fromEntries(kept) }),
    ...(nodes !== undefined && value === row.value && nodes.every(isThere) && { nodes }),
  }
  return Object.keys(memory).length === 0 ? null : JSON.stringify(memory)
}

function idsOf(nodes: readonly StateNode[]): string[] {
  return nodes.map(({ id }) => id)
}

function revivedMemory(
  kind: Kind,
  text: string,
): Partial<Pick<Snapshot, 'historyValue' | '_nodes'>> {
  const { history, nodes }: Memory = JSON.parse(text)
  const revived = (ids: readonly string[]) => ids.flatMap((id) => kind.nodes.get(id) ?? [])
  return {
    ...(history && {
      historyValue: Object.fromEntries(
        Object.entries(history).map(([id, ids]) => [id, revived(ids)]),
      ),
    }),
    ...(nodes && { _nodes: revived(nodes) }),
  }
}

/** The public name of a state: the key of the innermost active one, or of the parallel one above it. */
export function statusOf(kind: Kind, snapshot: Snapshot): string {
  if (kind.status !== undefined) {
    const status: unknown = kind.status({ value: snapshot.value, context: snapshot.context })
    if (typeof status === 'string' && status !== '') return status
    throw machineInvalid(kind.type, `its status gives ${shown(status)} instead of a text`)
  }
  let node: StateNode = kind.machine.root
  let value: unknown = snapshot.value
  while (node.type === 'compound') {
    const key: string = typeof value === 'string' ? value : (Object.keys(value as object)[0] ?? '')
    node = node.states[key] as StateNode
    value = typeof value === 'string' ? {} : (value as JsonObject)[key]
  }
  return node.parent === undefined ? 'active' : node.key
}

/** The resource as `get` shows it. */
export function viewOf(kind: Kind, row: ResourceRow): ResourceView {
  return viewWithout(kind, row, kind.private)
}

/** The resource as checks and copies see it: with the fields that only machines see. */
export function fullViewOf(kind: Kind, row: ResourceRow): ResourceView {
  return viewWithout(kind, row, NONE)
}

const NONE: ReadonlySet<string> = new Set()

function viewWithout(kind: Kind, row: ResourceRow, hidden: ReadonlySet<string>): ResourceView {
  const { id, status, version } = row
  const view = { id, object: kind.type, status, version }
  return withTimes(withFields(view, JSON.parse(row.context), hidden), row) as ResourceView
}

/** What an event shows of the resource, as JSON text. */
export function summaryOf(
  kind: Kind,
  row: Pick<ResourceRow, 'id' | 'createdAt' | 'updatedAt'>,
  status: string,
  context: JsonObject,
): string {
  const summary = { id: row.id, object: kind.type, status }
  return JSON.stringify(withTimes(withFields(summary, context, kind.private, kind.summary), row))
}

/** Adds fields one by one: many times faster than to spread them into the middle of an object. */
function withFields(
  target: Record<string, unknown>,
  fields: JsonObject,
  hidden: ReadonlySet<string>,
  only?: ReadonlySet<string>,
): Record<string, unknown> {
  for (const key of Object.keys(fields)) {
    if (!hidden.has(key) && only?.has(key) !== false) put(target, key, fields[key])
  }
  return target
}

function withTimes(
  target: Record<string, unknown>,
  { createdAt, updatedAt }: Pick<ResourceRow, 'createdAt' | 'updatedAt'>,
): Record<string, unknown> {
  target.created_at = toIso(createdAt)
  target.updated_at = toIso(updatedAt)
  return target
}
