/** What was a resource after each of its changes, as its log alone tells? @module */

import type { Command, JsonObject } from './definition.ts'
import type { Difference } from './entries.ts'
import { type PendingTimer, replayTimers } from './replay-timers.ts'
import type { ResourceRow, SealedEntry } from './rows.ts'

/** A resource as its log says it was. Plain JSON, so that it can take the place of a log that is gone. */
export interface Replayed {
  /** Its row, without the hash of its latest entry. */
  readonly row: ResourceRow
  /** The place of its first entry in the log. */
  readonly born: number
  /** The place at which its latest change begins. */
  readonly place: number
  readonly timers: readonly PendingTimer[]
}

/** The entries of one change, the first of which carries its command and its difference. */
export type ChangeEntries = readonly [SealedEntry, ...SealedEntry[]]

/** A change as the log tells it. */
export interface LoggedChange {
  readonly entries: ChangeEntries
  readonly command: Command
  readonly difference: Difference
}

/** Whether an entry tells of something that did not change the resource. */
export function isNote({ internal, command }: Pick<SealedEntry, 'internal' | 'command'>): boolean {
  return internal && command === null
}

/** Whether an entry belongs to the change of the entry before it. */
export function isFurther(entry: Pick<SealedEntry, 'internal' | 'command'>): boolean {
  return entry.command === null && !entry.internal
}

/** Reads a change. Throws for entries that tell of none. */
export function readChange(entries: ChangeEntries): LoggedChange {
  const [{ command, change }] = entries
  const [read, difference]: unknown[] = [parsed(command), parsed(change)]
  if (!isObject(read) || typeof read.type !== 'string')
    throw new Error('it does not carry a command')
  if (!isObject(difference)) throw new Error('it does not say what it changed')
  return { entries, command: read as Command, difference }
}

/** Whether a change took the resource over to another version of its machine: it was not the machine's decision. */
export function isMigration({ entries: [first], command, difference }: LoggedChange): boolean {
  return command.type === 'migrate' && first.internal && difference.machine !== undefined
}

function parsed(text: string | null): unknown {
  return text === null ? null : JSON.parse(text)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The resource after a change; null stands for what has not been created yet. Throws for what cannot follow. */
export function replayChange(before: Replayed | null, change: LoggedChange): Replayed {
  const [first] = change.entries
  const row = before === null ? firstRow(change) : nextRow(before.row, change)
  return {
    row,
    born: before?.born ?? first.seq,
    place: first.seq,
    timers: replayTimers(before?.timers ?? [], change.difference, row.final),
  }
}

function firstRow(change: LoggedChange): ResourceRow {
  const { command, difference } = change
  const [{ resourceId: id, tenant, createdAt }] = change.entries
  if (command.type !== 'create') throw new Error(`it begins with "${command.type}"`)
  if (difference.value === undefined || difference.machine === undefined)
    throw new Error('it does not say in which state it begins')
  const nothing = {
    ...{ id, tenant, type: typeOf(change), createdAt, version: 0, final: false },
    ...{ head: null, latest: 0, entries: 0 },
    ...{ status: '', value: '', memory: null, context: '{}', machine: '' },
    ...{ updatedAt: createdAt, statusSince: createdAt },
  }
  return nextRow(nothing, change)
}

function nextRow(row: ResourceRow, change: LoggedChange): ResourceRow {
  const { entries, difference } = change
  const [{ resourceVersion: version, createdAt: updatedAt }] = entries
  const status = difference.status ?? statusShown(entries)
  return {
    ...row,
    status,
    version,
    final: difference.final ?? row.final,
    value: difference.value === undefined ? row.value : JSON.stringify(difference.value),
    memory: difference.memory === undefined ? row.memory : textOrNull(difference.memory),
    context: contextAfter(row.context, difference),
    machine: difference.machine ?? row.machine,
    updatedAt,
    statusSince: status === row.status ? row.statusSince : updatedAt,
  }
}

function textOrNull(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value)
}

function contextAfter(context: string, { set, unset = [] }: Difference): string {
  if (set === undefined) return context
  const fields = { ...JSON.parse(context), ...set }
  for (const field of unset) delete fields[field]
  return JSON.stringify(fields)
}

function typeOf({ entries: [{ data }] }: LoggedChange): string {
  const shown: unknown = JSON.parse(data)
  if (isObject(shown) && typeof shown.object === 'string') return shown.object
  throw new Error('it does not show what it is')
}

function statusShown(entries: ChangeEntries): string {
  const shown: unknown = JSON.parse((entries.at(-1) ?? entries[0]).data)
  if (isObject(shown) && typeof shown.status === 'string') return shown.status
  throw new Error('it does not show a status')
}
