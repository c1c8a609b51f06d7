/** Under which names do columns become fields? The one place where snake case turns into camel case. @module */

import type { ResourceRow, SealedEntry, TimerRow } from '../core/rows.ts'
import type { Placed, ReadEntry } from './queries.ts'

/** The columns of a resource. */
export const resourceColumns = [
  'position',
  'id',
  'tenant',
  'type',
  'status',
  'version',
  'final',
  'value',
  'memory',
  'context',
  'machine',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'status_since as statusSince',
  'head',
  'latest',
  'entries',
] as const

/** The columns of an entry of the log. */
export const entryColumns = [
  'seq',
  'id',
  'tenant',
  'type',
  'internal',
  'resource_id as resourceId',
  'resource_version as resourceVersion',
  'data',
  'previous_status as previousStatus',
  'previous_ms as previousMs',
  'command',
  'change',
  'cause',
  'actor',
  'correlation_id as correlationId',
  'causation_id as causationId',
  'created_at as createdAt',
  'hash',
  'ordinal',
  'previous',
] as const

/** The columns of an entry that readers of the log get, in the order of `toReadEntry`. */
export const readColumns = [
  'seq',
  'id',
  'tenant',
  'type',
  'internal',
  'resource_id',
  'resource_version',
  'data',
  'previous_status',
  'previous_ms',
  'cause',
  'actor',
  'correlation_id',
  'causation_id',
  'created_at',
] as const

/** The columns of a timer. */
export const timerColumns = [
  'position',
  'resource_id as resourceId',
  'tenant',
  'name',
  'event',
  'due_at as dueAt',
  'next_at as nextAt',
  'attempts',
  'last_error as lastError',
] as const

/** The columns of a consumer. */
export const consumerColumns = [
  'tenant',
  'name',
  'position',
  'owner',
  'fence',
  'leased_until as leasedUntil',
  'attempts',
  'next_at as nextAt',
  'last_error as lastError',
] as const

/** The columns of an event that a consumer has put aside. */
export const parkedColumns = [
  'seq',
  'event_id as eventId',
  'error',
  'attempts',
  'parked_at as parkedAt',
  'retry',
] as const

/** Gives a resource, as an array of the columns above, the types of a row. */
export function toPlacedResource(columns: unknown): Placed<ResourceRow> {
  const row = columns as readonly unknown[]
  const resource = {
    position: row[0],
    id: row[1],
    tenant: row[2],
    type: row[3],
    status: row[4],
    version: row[5],
    final: row[6] === 1,
    value: row[7],
    memory: row[8],
    context: row[9],
    machine: row[10],
    createdAt: row[11],
    updatedAt: row[12],
    statusSince: row[13],
    head: row[14],
    latest: row[15],
    entries: row[16],
  }
  return resource as Placed<ResourceRow>
}

/** Gives a resource as SQLite returns it the types of a row. */
export function toResourceRow(columns: unknown): Placed<ResourceRow> {
  // The object that SQLite has just made: nobody else has it.
  const row = columns as { final: unknown }
  row.final = Boolean(row.final)
  return columns as Placed<ResourceRow>
}

/** Gives an entry as SQLite returns it the types of a row. */
export function toEntryRow(columns: unknown): SealedEntry {
  const row = columns as { internal: unknown }
  row.internal = Boolean(row.internal)
  return columns as SealedEntry
}

/** Gives an entry, as an array of the columns above, the types of a row. */
export function toReadEntry(columns: unknown): ReadEntry {
  const row = columns as readonly unknown[]
  const entry = {
    seq: row[0],
    id: row[1],
    tenant: row[2],
    type: row[3],
    internal: row[4] === 1,
    resourceId: row[5],
    resourceVersion: row[6],
    data: row[7],
    previousStatus: row[8],
    previousMs: row[9],
    cause: row[10],
    actor: row[11],
    correlationId: row[12],
    causationId: row[13],
    createdAt: row[14],
  }
  return entry as ReadEntry
}

/** Gives a timer as SQLite returns it the types of a row. */
export function toTimerRow(columns: unknown): TimerRow {
  return columns as TimerRow
}
