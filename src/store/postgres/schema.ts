/** Which tables are there in PostgreSQL? @module */

import type { Tables as AllTables, LogTable } from '../schema.ts'

/**
 * The tables, as Kysely types them: the same as in SQLite, so that the same SQL reads both, but for two that keep
 * its commits small: there is an index instead of each.
 */
export interface Tables extends Omit<AllTables, 'pawl_listing' | 'pawl_statuses' | 'pawl_log'> {
  readonly pawl_log: LogOfPostgres
}

/** One row about the log as a whole: whoever appends to the log locks it until the commit. */
export interface LogOfPostgres extends LogTable {
  /** The place of the latest entry; 0 when there has been none. */
  head: number
  /** How many resources have been created; their positions count them, which no sequence would do without holes. */
  resources: number
}
