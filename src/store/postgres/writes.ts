/** How does PostgreSQL write what a transaction comes to, with statements for many rows? @module */

import { sql } from 'kysely'
import type { ResourceRow } from '../../core/rows.ts'
import type { Writes } from '../store.ts'
import type { Book } from './answers.ts'
import { createBelongings } from './belongings.ts'
import {
  assignments,
  type Columns,
  columnNames,
  exactly,
  fieldsOf,
  recordset,
  toRecordset,
} from './recordset.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements, unlessEmpty } from './statement.ts'
import { createTimerWriter } from './timer-writes.ts'

/** Writes everything; what others have changed in between makes it fail with a conflict. */
export type Writer = (session: Session, writes: Writes, book: Book) => Promise<void>

/** Prepares the statements that write; those of which there is nothing to write are left out. */
export function createWriter(statements: Statements): Writer {
  const [insert, update] = [insertingResources(statements), updatingResources(statements)]
  const [note, append] = [notingResources(statements), appending(statements)]
  const end = endingReferences(statements)
  const writeTimers = createTimerWriter(statements)
  const belongings = createBelongings(statements)
  const writeResources = (session: Session, { created, changed, noted }: Writes) => [
    unlessEmpty(created, (rows) =>
      insert.run(session, { rows: toRecordset(RESOURCE, counted(rows)), count: rows.length }),
    ),
    unlessEmpty(changed, (rows) =>
      update.run(session, { rows: toRecordset(CHANGED, rows), count: rows.length }),
    ),
    unlessEmpty(endedIn(changed), (ids) => end.run(session, { ids })),
    unlessEmpty(noted, (rows) => note.run(session, { rows: toRecordset(NOTED, rows) })),
  ]
  const writeEntries = (session: Session, { entries }: Writes) =>
    unlessEmpty(entries, (rows) =>
      append.run(session, { rows: toRecordset(ENTRY, rows), head: rows.at(-1)?.seq }),
    )
  // All is sent at once, in this order, which satisfies the foreign keys.
  return async (session, writes, book) => {
    await Promise.all([
      ...writeResources(session, writes),
      writeEntries(session, writes),
      ...writeTimers(session, writes.timers),
      ...belongings.secrets(session, writes.secrets),
      ...belongings.references(session, writes.references),
      belongings.outcomes(session, writes.outcomes, book),
    ])
  }
}

function endedIn(changed: readonly ResourceRow[]): readonly string[] {
  return changed.filter(({ final }) => final).map(({ id }) => id)
}

function counted(rows: readonly ResourceRow[]): readonly object[] {
  return rows.map((row, index) => ({ ...row, number: index + 1 }))
}

// What a change gives another value.
const CHANGING: Columns = {
  status: ['status', 'text'],
  version: ['version', 'bigint'],
  final: ['final', 'smallint'],
  value: ['value', 'text'],
  memory: ['memory', 'text'],
  context: ['context', 'text'],
  machine: ['machine', 'text'],
  updatedAt: ['updated_at', 'bigint'],
  statusSince: ['status_since', 'bigint'],
}

// What each entry in the log gives another value.
const CHAINED: Columns = {
  head: ['head', 'bytea'],
  latest: ['latest', 'bigint'],
  entries: ['entries', 'bigint'],
}

const RESOURCE: Columns = {
  number: ['position', 'bigint'],
  id: ['id', 'text'],
  tenant: ['tenant', 'text'],
  type: ['type', 'text'],
  createdAt: ['created_at', 'bigint'],
  ...CHANGING,
  ...CHAINED,
}

const CHANGED: Columns = { id: ['id', 'text'], ...CHANGING, ...CHAINED }
const NOTED: Columns = { id: ['id', 'text'], ...CHAINED }

const ENTRY: Columns = {
  seq: ['seq', 'bigint'],
  id: ['id', 'text'],
  tenant: ['tenant', 'text'],
  type: ['type', 'text'],
  internal: ['internal', 'smallint'],
  resourceId: ['resource_id', 'text'],
  resourceVersion: ['resource_version', 'bigint'],
  data: ['data', 'text'],
  previousStatus: ['previous_status', 'text'],
  previousMs: ['previous_ms', 'bigint'],
  command: ['command', 'text'],
  change: ['change', 'text'],
  cause: ['cause', 'text'],
  actor: ['actor', 'text'],
  correlationId: ['correlation_id', 'text'],
  causationId: ['causation_id', 'text'],
  createdAt: ['created_at', 'bigint'],
  hash: ['hash', 'bytea'],
  ordinal: ['ordinal', 'bigint'],
  previous: ['previous', 'bigint'],
}

/** Their positions go on from those of all before: the row that says how many these were is locked by it. */
function insertingResources({ table, prepare }: Statements) {
  const { number: _, ...columns } = RESOURCE
  return prepare(
    (slot: Slot<'rows' | 'count'>) => sql`
      with before as (
        update ${table('pawl_log')} set resources = resources + ${slot('count')}::bigint
        where id = 1 returning resources - ${slot('count')}::bigint as count
      )
      insert into ${table('pawl_resources')} (position, ${columnNames(columns)})
      select before.count + "row".number, ${fieldsOf(columns, 'row')}
      from before, ${recordset(RESOURCE, slot('rows'), 'row')}`,
  )
}

function updatingResources({ table, prepare }: Statements) {
  return prepare((slot: Slot<'rows' | 'count'>) =>
    exactly(
      sql`
          update ${table('pawl_resources')} as resource
          set ${assignments({ ...CHANGING, ...CHAINED }, 'row')}
          from ${recordset(CHANGED, slot('rows'), 'row')}
          where resource.id = "row".id and resource.version < "row".version`,
      slot('count'),
    ),
  )
}

function notingResources({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'rows'>) => sql`
      update ${table('pawl_resources')} as resource set ${assignments(CHAINED, 'row')}
      from ${recordset(NOTED, slot('rows'), 'row')}
      where resource.id = "row".id`,
  )
}

/** The entries, and where the log ends with them: whoever reads that has locked it before. */
function appending({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'rows' | 'head'>) => sql`
      with grown as (update ${table('pawl_log')} set head = ${slot('head')}::bigint where id = 1)
      insert into ${table('pawl_events')} (${columnNames(ENTRY)})
      select ${fieldsOf(ENTRY, 'row')} from ${recordset(ENTRY, slot('rows'), 'row')}`,
  )
}

function endingReferences({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'ids'>) =>
    queries
      .updateTable('pawl_references')
      .set({ live: 0 })
      .where('resource_id', '=', anyOf<string>(slot('ids'), 'text')),
  )
}
