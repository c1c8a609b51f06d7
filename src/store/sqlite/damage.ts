/** Does a row hold what pawl writes, byte for byte? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { Audited } from '../audit.ts'
import { queries } from './statement.ts'

/** What the columns of a table hold: `?` stands for null as well, `flag` for 0 or 1. */
export interface Shape {
  readonly table: 'pawl_events' | 'pawl_resources'
  readonly key: 'seq' | 'position'
  /** By field: the type, and the column where it has another name. */
  readonly fields: Readonly<Record<string, readonly [type: Type, column?: string]>>
}

type Type = 'text' | 'text?' | 'integer' | 'integer?' | 'blob' | 'blob?' | 'flag'

/** The log. */
export const EVENTS: Shape = {
  table: 'pawl_events',
  key: 'seq',
  fields: {
    seq: ['integer'],
    id: ['text'],
    tenant: ['text'],
    type: ['text'],
    internal: ['flag'],
    resourceId: ['text', 'resource_id'],
    resourceVersion: ['integer', 'resource_version'],
    data: ['text'],
    previousStatus: ['text?', 'previous_status'],
    previousMs: ['integer?', 'previous_ms'],
    command: ['text?'],
    change: ['text?'],
    cause: ['text'],
    actor: ['text?'],
    correlationId: ['text', 'correlation_id'],
    causationId: ['text?', 'causation_id'],
    createdAt: ['integer', 'created_at'],
    hash: ['blob'],
    ordinal: ['integer'],
    previous: ['integer'],
  },
}

/** The resources. */
export const RESOURCES: Shape = {
  table: 'pawl_resources',
  key: 'position',
  fields: {
    position: ['integer'],
    id: ['text'],
    tenant: ['text'],
    type: ['text'],
    status: ['text'],
    version: ['integer'],
    final: ['flag'],
    value: ['text'],
    memory: ['text?'],
    context: ['text'],
    machine: ['text'],
    createdAt: ['integer', 'created_at'],
    updatedAt: ['integer', 'updated_at'],
    statusSince: ['integer', 'status_since'],
    head: ['blob?'],
    latest: ['integer'],
    entries: ['integer'],
  },
}

/** Names the columns of a row that hold what pawl never writes, and gives the row the types that it should have. */
export function audited<Row>(
  database: Database,
  shape: Shape,
  columns: object,
  convert: (columns: object) => Row,
): Audited<Row> {
  const values = columns as Readonly<Record<string, unknown>>
  const damaged: string[] = []
  for (const [field, [type, column = field]] of Object.entries(shape.fields)) {
    const value = values[field]
    if (fits(value, type) && isExact(database, shape, values, column, value)) continue
    damaged.push(column)
  }
  return { ...convert(columns), damaged }
}

function fits(value: unknown, type: Type): boolean {
  switch (type) {
    case 'flag':
      return value === 0 || value === 1
    case 'text':
    case 'text?':
      return typeof value === 'string' || (value === null && type === 'text?')
    case 'integer':
    case 'integer?':
      return Number.isSafeInteger(value) || (value === null && type === 'integer?')
    case 'blob':
    case 'blob?':
      return Buffer.isBuffer(value) || (value === null && type === 'blob?')
  }
}

// What stands for every malformed byte: texts that hold it may be another text than they seem.
const REPLACEMENT = '\uFFFD'

function isExact(
  database: Database,
  { table, key }: Shape,
  values: Readonly<Record<string, unknown>>,
  column: string,
  value: unknown,
): boolean {
  if (typeof value !== 'string' || !value.includes(REPLACEMENT)) return true
  const { sql: text, parameters } = queries
    .selectFrom(table)
    .select(sql<Buffer>`cast(${sql.ref(column)} as blob)`.as('bytes'))
    .where(sql.ref(key), '=', values[key])
    .compile()
  const bytes = database
    .prepare<unknown[], Buffer>(text)
    .pluck()
    .get(...parameters)
  return bytes?.equals(Buffer.from(value)) ?? false
}
