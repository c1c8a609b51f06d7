/** How are rows written and compared that another store has? @module */

import { type RawBuilder, sql } from 'kysely'
import {
  type CopiedRest,
  type CopiedRow,
  type CopiedTable,
  type CopiedType,
  numbered,
} from '../copied-tables.ts'
import { keepable } from './keepable.ts'
import {
  type Columns,
  type ColumnType,
  columnNames,
  fieldsOf,
  recordset,
  toRecordset,
  valueIn,
} from './recordset.ts'
import type { Session } from './session.ts'
import type { Prepared, Slot, Statements } from './statement.ts'

/** One table that rows are copied into. */
export interface TableImport {
  lastKey(session: Session): Promise<readonly unknown[] | null>
  insert(session: Session, rows: readonly CopiedRow[]): Promise<void>
  count(session: Session): Promise<number>
  countSame(session: Session, rows: readonly CopiedRow[]): Promise<number>
  analyze(session: Session): Promise<void>
}

/** Prepares copying rows into a table. */
export function prepareTable(statements: Statements, table: CopiedTable): TableImport {
  const { prepare } = statements
  const name = statements.table(table.name)
  const columns: Columns = Object.fromEntries(
    Object.entries(table.columns).map(([column, type]) => [column, [column, typeOf(type)]]),
  )
  const last = lastOf(statements, table)
  const insert = inserting(statements, table, columns)
  const same = comparing(statements, table, columns)
  const count = prepare(() => sql<{ count: number }>`select count(*) as count from ${name}`)
  const analyze = prepare(() => sql`analyze ${name}`)
  const toRows = (rows: readonly CopiedRow[]) =>
    toRecordset(
      columns,
      rows.map((row) => kept(table, row)),
    )
  return {
    lastKey: async (session) => {
      const row = await last.get(session, {})
      return row === undefined ? null : table.key.map((column) => row[column])
    },
    insert: async (session, rows) => void (await insert.run(session, { rows: toRows(rows) })),
    count: async (session) => (await count.get(session, {}))?.count ?? 0,
    countSame: async (session, rows) =>
      (await same.get(session, { rows: toRows(rows) }))?.count ?? 0,
    analyze: async (session) => void (await analyze.run(session, {})),
  }
}

function typeOf(type: CopiedType): ColumnType {
  return type === 'said' ? 'text' : type
}

/** What somebody has said may have a NUL in it, which PostgreSQL cannot keep; nothing else has. */
function kept({ columns }: CopiedTable, row: CopiedRow): CopiedRow {
  const values = Object.entries(row).map(([column, value]) => [
    column,
    columns[column] === 'said' && typeof value === 'string' ? keepable(value) : value,
  ])
  return Object.fromEntries(values)
}

function lastOf({ prepare, table }: Statements, { name, key }: CopiedTable) {
  const descending = sql.join(key.map((column) => sql`${sql.id(column)} desc`))
  return prepare(
    () => sql<CopiedRow>`
      select ${sql.join(key.map((column) => sql.id(column)))} from ${table(name)}
      order by ${descending} limit 1`,
  )
}

function inserting({ prepare, table }: Statements, { name }: CopiedTable, columns: Columns) {
  return prepare(
    (slot: Slot<'rows'>) => sql`
      insert into ${table(name)} (${columnNames(columns)}) overriding system value
      select ${fieldsOf(columns, 'row')} from ${recordset(columns, slot('rows'), 'row')}`,
  )
}

function comparing(
  { prepare, table }: Statements,
  { name, key }: CopiedTable,
  columns: Columns,
): Prepared<'rows', { count: number }> {
  const isKey = (column: string) => key.includes(column)
  const conditions = Object.keys(columns).map((column): RawBuilder<unknown> => {
    const [here, there] = [sql.id('stored', column), valueIn(columns, 'row', column)]
    // An index finds what is equal, but not what is not distinct.
    return isKey(column) ? sql`${here} = ${there}` : sql`${here} is not distinct from ${there}`
  })
  return prepare(
    (slot: Slot<'rows'>) => sql<{ count: number }>`
      select count(*) as count from ${recordset(columns, slot('rows'), 'row')}
      join ${table(name)} as stored on ${sql.join(conditions, sql` and `)}`,
  )
}

/** The rows of which there is always one, and the positions that are given next. */
export interface RestWriter {
  isSame(session: Session, rest: CopiedRest): Promise<boolean>
  write(session: Session, rest: CopiedRest): Promise<void>
}

/** Prepares writing and comparing the rest. */
export function createRestWriter(statements: Statements): RestWriter {
  const { prepare, table } = statements
  const log = writingLog(statements)
  const dispatch = prepare(
    (slot: Slot<'position' | 'within' | 'revision'>) => sql`
      update ${table('pawl_dispatch')} set position = ${slot('position')},
        within = ${slot('within')}, revision = ${slot('revision')} where id = 1`,
  )
  const found = readingRest(statements)
  const sequences = sequencesOf(statements)
  return {
    isSame: async (session, rest) => {
      const row: object = (await found.get(session, {})) ?? {}
      const given = Object.entries({ ...rest.log, ...rest.dispatch })
      return given.every(([name, value]) => Reflect.get(row, name) === value)
    },
    write: async (session, { log: row, dispatch: place, positions }) => {
      await log.run(session, { ...row, resources: positions.pawl_resources })
      await dispatch.run(session, place as never)
      for (const [name, sequence] of sequences)
        await sequence.run(session, { last: positions[name] })
    },
  }
}

function writingLog({ prepare, table }: Statements) {
  return prepare(
    (slot: Slot<'identity' | 'pruned' | 'head' | 'resources'>) => sql`
      update ${table('pawl_log')} set identity = ${slot('identity')}, pruned = ${slot('pruned')},
        head = ${slot('head')}, resources = ${slot('resources')} where id = 1`,
  )
}

function readingRest({ prepare, table }: Statements) {
  return prepare(
    () => sql<CopiedRow>`
      select log.identity, log.pruned, log.head, dispatch.position, dispatch.within,
        dispatch.revision
      from ${table('pawl_log')} as log, ${table('pawl_dispatch')} as dispatch`,
  )
}

/** Positions that PostgreSQL gives itself go on behind the highest that there has ever been. */
function sequencesOf({ prepare, schema }: Statements) {
  return numbered
    .filter((name) => name !== 'pawl_resources')
    .map((name) => {
      const qualified = `"${schema.replaceAll('"', '""')}".${name}`
      const statement = prepare(
        (slot: Slot<'last'>) => sql`
          select setval(
            pg_get_serial_sequence(${qualified}, 'position'),
            greatest(${slot('last')}::bigint, 1), ${slot('last')}::bigint > 0
          )`,
      )
      return [name, statement] as const
    })
}
