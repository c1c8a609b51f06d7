/** Which tables are there? @module */

import type { Generated } from 'kysely'
import type {
  AttemptsTable,
  DeliveriesTable,
  DestinationsTable,
  DispatchTable,
} from './delivery-schema.ts'

/** The tables, as Kysely types them. Times are milliseconds since 1970, truth values 0 or 1, JSON is text. */
export interface Tables {
  readonly pawl_resources: ResourcesTable
  readonly pawl_events: EventsTable
  readonly pawl_listing: ListingTable
  readonly pawl_statuses: StatusesTable
  readonly pawl_timers: TimersTable
  readonly pawl_references: ReferencesTable
  readonly pawl_secrets: SecretsTable
  readonly pawl_outcomes: OutcomesTable
  readonly pawl_log: LogTable
  readonly pawl_machines: MachinesTable
  readonly pawl_consumers: ConsumersTable
  readonly pawl_parked: ParkedTable
  readonly pawl_bases: BasesTable
  readonly pawl_dispatch: DispatchTable
  readonly pawl_destinations: DestinationsTable
  readonly pawl_deliveries: DeliveriesTable
  readonly pawl_attempts: AttemptsTable
}

/** One row per resource. */
export interface ResourcesTable {
  /** The order of creation, over all types and tenants. */
  position: Generated<number>
  id: string
  tenant: string
  type: string
  status: string
  version: number
  final: number
  value: string
  memory: string | null
  context: string
  machine: string
  created_at: number
  updated_at: number
  status_since: number
  head: Uint8Array | null
  /** The place of its latest entry in the log. */
  latest: number
  /** How many entries it has in the log, those included that have been pruned since `0003_late_indexes` counted them. */
  entries: number
}

/** The log: one row per entry, public or internal. */
export interface EventsTable {
  /** The commit order, without holes. */
  seq: number
  id: string
  tenant: string
  type: string
  internal: number
  resource_id: string
  resource_version: number
  data: string
  previous_status: string | null
  previous_ms: number | null
  command: string | null
  change: string | null
  cause: string
  actor: string | null
  correlation_id: string
  causation_id: string | null
  created_at: number
  /** SHA-256 over the entry and the hash of the resource's entry before it. */
  hash: Uint8Array
  /** Which of its resource's entries it is, from 1. */
  ordinal: number
  /** The place of the resource's entry before it; 0 for the first. */
  previous: number
}

/** The statuses that resources had when the log was listed last: whoever has an entry since may have another one. */
export interface StatusesTable {
  position: number
  tenant: string
  type: string
  status: string
}

/** What there is to look for in the log, up to a place: what follows is looked through. */
export interface ListingTable {
  seq: number
  id: string
  tenant: string
  type: string
  internal: number
}

/** One row per future command. */
export interface TimersTable {
  /** The order in which timers were set. */
  position: Generated<number>
  resource_id: string
  tenant: string
  name: string | null
  event: string
  due_at: number
  next_at: number
  attempts: Generated<number>
  last_error: string | null
}

/** One row per reference from one resource to another. */
export interface ReferencesTable {
  resource_id: string
  field: string
  /** The type of the resource that refers. */
  type: string
  target_id: string
  /** Whether the resource that refers has not ended. */
  live: number
  /** The order in which the resource that refers was created. */
  position: number
}

/** One row per secret of a resource. */
export interface SecretsTable {
  resource_id: string
  name: string
  envelope: Uint8Array
}

/** One row per idempotency key. */
export interface OutcomesTable {
  tenant: string
  key: string
  fingerprint: string
  resource: string
  changed: number
  events: string
  secrets: Uint8Array | null
  created_at: number
}

/** One row about the log as a whole. */
export interface LogTable {
  id: number
  /** Made up with the database; cursors carry it. */
  identity: string
  /** The last place that has been pruned; 0 as long as the log is whole. */
  pruned: number
}

/** One row per type: the machine that all its rows have been checked against. */
export interface MachinesTable {
  type: string
  machine: string
}

/** One row per consumer. */
export interface ConsumersTable {
  tenant: string
  name: string
  /** The last place of the log that it is done with. */
  position: number
  /** Who runs it now; null when nobody does. */
  owner: string | null
  /** Counts the owners: what an earlier one still writes is refused. */
  fence: number
  leased_until: number
  /** How often the event after the position has failed. */
  attempts: Generated<number>
  next_at: Generated<number>
  last_error: string | null
}

/** One row per event that a consumer has given up on. */
export interface ParkedTable {
  tenant: string
  consumer: string
  seq: number
  event_id: string
  error: string
  attempts: number
  parked_at: number
  /** Whether it is to be tried once more. */
  retry: Generated<number>
}

/** One row per resource whose first entries have been pruned: what they came to. */
export interface BasesTable {
  resource_id: string
  /** The place of its last pruned entry. */
  seq: number
  state: string
  /** The hash of its last pruned entry, from which its chain goes on. */
  hash: Uint8Array
  /** SHA-256 over the columns before. */
  digest: Uint8Array
}
