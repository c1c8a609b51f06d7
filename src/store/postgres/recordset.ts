/** How do many rows get into one statement? As one parameter: JSON that PostgreSQL takes apart. @module */

import { type RawBuilder, sql } from 'kysely'

/** The types that columns have. Bytes travel as hexadecimal text. */
export type ColumnType = 'text' | 'bigint' | 'smallint' | 'bytea'

/** Columns by the names of the fields that fill them, and their types. */
export type Columns = Readonly<Record<string, readonly [column: string, type: ColumnType]>>

/** The rows of a parameter as a table of that name, whose columns are named like the fields. */
export function recordset(columns: Columns, rows: never, name: string): RawBuilder<unknown> {
  const fields = Object.entries(columns).map(
    ([field, [, type]]) => sql`${sql.id(field)} ${sql.raw(type === 'bytea' ? 'text' : type)}`,
  )
  return sql`json_to_recordset(${rows}::json) as ${sql.id(name)} (${sql.join(fields)})`
}

/** The names of the columns. */
export function columnNames(columns: Columns): RawBuilder<unknown> {
  return sql.join(Object.values(columns).map(([column]) => sql.id(column)))
}

/** What a recordset of that name has for them. */
export function fieldsOf(columns: Columns, name: string): RawBuilder<unknown> {
  return sql.join(Object.keys(columns).map((field) => valueIn(columns, name, field)))
}

/** Sets columns to what a recordset of that name has for them. */
export function assignments(columns: Columns, name: string): RawBuilder<unknown> {
  return sql.join(
    Object.entries(columns).map(
      ([field, [column]]) => sql`${sql.id(column)} = ${valueIn(columns, name, field)}`,
    ),
  )
}

/** What a recordset of that name has for a field. */
export function valueIn(columns: Columns, name: string, field: string): RawBuilder<unknown> {
  const value = sql.ref(`${name}.${field}`)
  return columns[field]?.[1] === 'bytea' ? sql`decode(${value}, 'hex')` : value
}

/** Rows as the parameter of a recordset: what JSON cannot say, bytes and truth values, said otherwise. */
export function toRecordset(columns: Columns, rows: readonly object[]): string {
  const fields = Object.keys(columns)
  return JSON.stringify(
    rows.map((row) => {
      const record: Record<string, unknown> = {}
      for (const field of fields) record[field] = plain(Reflect.get(row, field))
      return record
    }),
  )
}

function plain(value: unknown): unknown {
  if (typeof value === 'boolean') return Number(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
}

/**
 * A statement that fails unless it changes so many rows: what is sent along with it is then undone as well, before
 * anybody has counted. Dividing by zero is the one way to fail that plain SQL has.
 */
export function exactly(statement: RawBuilder<unknown>, count: never): RawBuilder<unknown> {
  return sql`
    with changed as (${statement} returning 1)
    select 1 / (case when count(*) = ${count}::bigint then 1 else 0 end) from changed`
}
