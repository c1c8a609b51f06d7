/** The rows that a good engineer would write by hand, and one change of them. @module */

import { randomUUID } from 'node:crypto'
import Database from 'better-sqlite3'
import type { Command, Durability } from './measure.ts'
import { TASKS } from './measure.ts'

// One row per task and one per event: no hash chain, no idempotency, no tenants, no timers.
const SCHEMA = `
  create table resources (
    id text primary key,
    status text not null,
    version integer not null,
    data text not null,
    created_at integer not null,
    updated_at integer not null
  ) strict;
  create table events (
    seq integer primary key,
    id text not null,
    type text not null,
    resource_id text not null,
    version integer not null,
    data text not null,
    created_at integer not null
  ) strict;
  create index events_by_resource on events (resource_id);
`

/** A row of `resources`. */
export interface ResourceRow {
  readonly id: string
  readonly status: string
  readonly version: number
  /** The fields, as JSON. */
  readonly data: string
  readonly created_at: number
  readonly updated_at: number
}

/** A row of `events`. */
export interface EventRow {
  readonly id: string
  readonly type: string
  readonly resource_id: string
  readonly version: number
  /** The resource at that moment, as JSON. */
  readonly data: string
  readonly created_at: number
}

/** The fields of each task. */
export const DATA = JSON.stringify({ name: 'Fetch', agent_id: 'agt_1', prompt: null, settings: {} })

/** Opens a fresh database with its tasks. */
export function openRows(file: string, durability: Durability): Database.Database {
  const database = new Database(file)
  database.pragma('journal_mode = wal')
  database.pragma(`synchronous = ${durability === 'full' ? 'full' : 'normal'}`)
  database.exec(SCHEMA)
  const insert = database.prepare("insert into resources values (?, 'learning', 1, ?, ?, ?)")
  database.transaction(() => {
    const now = Date.now()
    for (let task = 0; task < TASKS; task++) insert.run(idOf(task), DATA, now, now)
  })()
  return database
}

/** The id of a task. */
export function idOf(task: number): string {
  return `task_${String(task).padStart(22, '0')}`
}

const RULES: Record<string, Record<Command, string | undefined>> = {
  learning: { promote: 'test', demote: undefined },
  test: { promote: 'live', demote: 'learning' },
  live: { promote: undefined, demote: 'test' },
}

/** The event that reports a change of a task. */
export function eventOf(row: ResourceRow, fields: object, type = 'task.updated'): EventRow {
  const { id, status, version, created_at, updated_at } = row
  const data = JSON.stringify({ id, object: 'task', status, ...fields, created_at, updated_at })
  const event = { id: `evt_${randomUUID()}`, type, resource_id: id }
  return { ...event, version, data, created_at: updated_at }
}

/** One change inside an open transaction: read the row, update it with a version check, insert one event. */
export function prepareChange(
  database: Database.Database,
): (task: number, command: Command) => ResourceRow {
  const select = database.prepare<[string], ResourceRow>('select * from resources where id = ?')
  const update = database.prepare(
    'update resources set status = ?, version = ?, updated_at = ? where id = ? and version = ?',
  )
  const insert = database.prepare(
    'insert into events (id, type, resource_id, version, data, created_at) values (@id, @type, @resource_id, @version, @data, @created_at)',
  )
  return (task, command) => {
    const row = select.get(idOf(task))
    const status = RULES[row?.status ?? '']?.[command]
    if (row === undefined || status === undefined)
      throw new Error(`task ${task} does not accept ${command}`)
    const next = { ...row, status, version: row.version + 1, updated_at: Date.now() }
    const written = update.run(status, next.version, next.updated_at, row.id, row.version)
    if (written.changes !== 1) throw new Error(`task ${task} was changed by someone else`)
    insert.run(eventOf(next, JSON.parse(row.data)))
    return next
  }
}
