/** What a simulation needs of the database below its engines, whichever it is. */

import type { Script } from './script.ts'
import type { Faults } from './trap.ts'

/** A row of the log; what else it has goes into the digest only. */
export interface Row {
  readonly seq: number
  readonly id: string
  readonly type: string
  readonly resource_id: string
  readonly resource_version: number
  readonly data: string
  readonly created_at: number
}

interface State {
  readonly id: string
  readonly status: string
  readonly version: number
}

interface Pending {
  readonly resource_id: string
  readonly due_at: number
}

interface KeptKey {
  readonly key: string
  readonly created_at: number
}

/** What can be seen in the database, past the engine. */
export interface Sight {
  /** The log from a place on. */
  entries(since: number): Promise<readonly Row[]>
  /** How many entries of the default tenant there are. */
  entryCount(): Promise<number>
  states(): Promise<readonly State[]>
  timers(): Promise<readonly Pending[]>
  /** How many rows the application has written. */
  notes(): Promise<number>
  /** The idempotency keys that are kept, and since when. */
  keys(): Promise<readonly KeptKey[]>
  /** Every resource, with all that its row has. */
  resources(): Promise<readonly object[]>
}

/** What an engine has of the database. */
export interface Connection extends Sight {
  /** What it is opened with. */
  readonly source: unknown
  readonly faults: Faults
  /** False when it is gone for good, and the engine with it. */
  isOpen(): boolean
  close(): Promise<void>
}

/** The database that the engines of one simulation share. */
export interface Ground {
  /** Whether transactions go on side by side; otherwise each waits for the one before it. */
  readonly isShared: boolean
  /** The folder for copies of the database; null where an engine makes none. */
  readonly copies: string | null
  connect(): Promise<Connection>
  /** Does away with it, whoever is still connected. */
  clear(): Promise<void>
}

/** Prepares the ground for a script. */
export type OpenGround = (script: Script) => Promise<Ground>

/** What can be seen with some way to read rows. */
export function sightOf(all: <T>(sql: string) => Promise<readonly T[]>): Sight {
  const count = async (sql: string) => (await all<{ readonly n: number }>(sql))[0]?.n ?? 0
  return {
    entries: (since) => all(`select * from pawl_events where seq > ${since} order by seq`),
    entryCount: () => count(`select count(*) as n from pawl_events where tenant = 'default'`),
    states: () => all('select id, status, version from pawl_resources'),
    timers: () => all('select resource_id, due_at from pawl_timers'),
    notes: () => count('select count(*) as n from notes'),
    keys: () => all('select key, created_at from pawl_outcomes'),
    resources: () => all('select * from pawl_resources order by id'),
  }
}
