/** What is copied from one store to another, and in which order? @module */

import type { Tables } from './schema.ts'

/** The types of columns; `said` is text that somebody else has said, such as an error or an answer. */
export type CopiedType = 'text' | 'said' | 'bigint' | 'smallint' | 'bytea'

// What is left out: indexes that SQLite keeps as tables, and tables with one row that is there from the start.
type Omitted = 'pawl_listing' | 'pawl_statuses' | 'pawl_log' | 'pawl_dispatch'

/** The tables that are copied row by row. */
export type CopiedName = Exclude<keyof Tables, Omitted>

/** A table that is copied row by row. */
export interface CopiedTable {
  readonly name: CopiedName
  /** What its rows are told apart and put in order by. */
  readonly key: readonly string[]
  readonly columns: Readonly<Record<string, CopiedType>>
}

/** A row, by its columns. */
export type CopiedRow = Readonly<Record<string, unknown>>

/** What is copied besides: one row about the log, one about where its events have been given out. */
export interface CopiedRest {
  readonly log: { readonly identity: string; readonly pruned: number; readonly head: number }
  readonly dispatch: CopiedRow
  /** The highest position that has ever been given, by table. */
  readonly positions: Readonly<Record<Numbered, number>>
}

/** The tables whose rows have positions that count up. */
export const numbered = ['pawl_resources', 'pawl_timers', 'pawl_destinations'] as const

/** A table whose rows have positions that count up. */
export type Numbered = (typeof numbered)[number]

/** The columns of the row about where events have been given out. */
export const dispatchColumns = ['position', 'within', 'revision'] as const

function table<Name extends CopiedName>(
  name: Name,
  key: readonly (keyof Tables[Name] & string)[],
  columns: { readonly [Column in keyof Tables[Name]]-?: CopiedType },
): CopiedTable {
  return { name, key, columns: columns as CopiedTable['columns'] }
}

const resources = table('pawl_resources', ['position'], {
  ...{ position: 'bigint', id: 'text', tenant: 'text', type: 'text', status: 'text' },
  ...{ version: 'bigint', final: 'smallint', value: 'text', memory: 'text', context: 'text' },
  ...{ machine: 'text', created_at: 'bigint', updated_at: 'bigint', status_since: 'bigint' },
  ...{ head: 'bytea', latest: 'bigint', entries: 'bigint' },
})

const events = table('pawl_events', ['seq'], {
  ...{ seq: 'bigint', id: 'text', tenant: 'text', type: 'text', internal: 'smallint' },
  ...{ resource_id: 'text', resource_version: 'bigint', data: 'text', previous_status: 'text' },
  ...{ previous_ms: 'bigint', command: 'text', change: 'text', cause: 'text', actor: 'text' },
  ...{ correlation_id: 'text', causation_id: 'text', created_at: 'bigint', hash: 'bytea' },
  ...{ ordinal: 'bigint', previous: 'bigint' },
})

const bases = table('pawl_bases', ['resource_id'], {
  ...{ resource_id: 'text', seq: 'bigint', state: 'text', hash: 'bytea', digest: 'bytea' },
})

const machines = table('pawl_machines', ['type'], { type: 'text', machine: 'text' })

const timers = table('pawl_timers', ['position'], {
  ...{ position: 'bigint', resource_id: 'text', tenant: 'text', name: 'text', event: 'text' },
  ...{ due_at: 'bigint', next_at: 'bigint', attempts: 'bigint', last_error: 'said' },
})

const references = table('pawl_references', ['resource_id', 'field'], {
  ...{ resource_id: 'text', field: 'text', type: 'text', target_id: 'text' },
  ...{ live: 'smallint', position: 'bigint' },
})

const secrets = table('pawl_secrets', ['resource_id', 'name'], {
  ...{ resource_id: 'text', name: 'text', envelope: 'bytea' },
})

const outcomes = table('pawl_outcomes', ['tenant', 'key'], {
  ...{ tenant: 'text', key: 'text', fingerprint: 'text', resource: 'text', changed: 'smallint' },
  ...{ events: 'text', secrets: 'bytea', created_at: 'bigint' },
})

const consumers = table('pawl_consumers', ['tenant', 'name'], {
  ...{ tenant: 'text', name: 'text', position: 'bigint', owner: 'text', fence: 'bigint' },
  ...{ leased_until: 'bigint', attempts: 'bigint', next_at: 'bigint', last_error: 'said' },
})

const parked = table('pawl_parked', ['tenant', 'consumer', 'seq'], {
  ...{ tenant: 'text', consumer: 'text', seq: 'bigint', event_id: 'text', error: 'said' },
  ...{ attempts: 'bigint', parked_at: 'bigint', retry: 'smallint' },
})

const destinations = table('pawl_destinations', ['position'], {
  ...{ position: 'bigint', id: 'text', tenant: 'text', patterns: 'text', ordered: 'smallint' },
  ...{ phase: 'text', place: 'bigint', clock: 'bigint', accepted: 'bigint' },
  ...{ next_at: 'bigint', verify_at: 'bigint' },
})

const deliveries = table('pawl_deliveries', ['seq', 'destination'], {
  ...{ seq: 'bigint', destination: 'bigint', tenant: 'text', event_id: 'text', event_type: 'text' },
  ...{ resource_id: 'text', replay: 'smallint', status: 'text', open: 'smallint' },
  ...{ ready: 'smallint', delivering: 'smallint', next_at: 'bigint', taken_at: 'bigint' },
  ...{ fence: 'bigint', attempts: 'bigint', tries: 'bigint', began: 'bigint' },
  ...{ last_error: 'said', created_at: 'bigint', delivered_at: 'bigint' },
})

const attempts = table('pawl_attempts', ['seq', 'destination', 'number'], {
  ...{ seq: 'bigint', destination: 'bigint', number: 'bigint', at: 'bigint' },
  ...{ status_code: 'bigint', duration_ms: 'bigint', error: 'said', response_body: 'said' },
})

/** Whatever refers to something else comes after it. */
export const copiedTables: readonly CopiedTable[] = [
  ...[resources, events, bases, machines, timers, references, secrets, outcomes],
  ...[consumers, parked, destinations, deliveries, attempts],
]
