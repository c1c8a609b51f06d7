/** How does a PostgreSQL database get pawl's tables, once, whoever opens it? @module */

import {
  type CompiledQuery,
  type DatabaseIntrospector,
  Kysely,
  Migrator,
  PostgresAdapter,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import { PawlError } from '../../errors.ts'
import { dialectWithin } from '../dialect.ts'
import type { Connection } from './connection.ts'
import type { Session } from './session.ts'
import { migrations } from './tables.ts'

const MIGRATIONS = 'pawl_migrations'

/** Runs the migrations that a schema lacks, all or none. Throws `schema_too_new` for one from a later version. */
export async function migrate(connection: Connection, schema: string): Promise<void> {
  if (await connection.read('open', (session) => isCurrent(session, schema))) return
  await connection.write((session) => migrateNow(session, schema))
}

async function isCurrent(session: Session, schema: string): Promise<boolean> {
  const known = Object.keys(migrations)
  const applied = await appliedMigrations(session, schema)
  const unknown = applied.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    const message = `the database has been migrated by a later version of pawl (${unknown}); upgrade pawl`
    throw new PawlError('schema_too_new', message, { found: unknown })
  }
  return applied.length === known.length
}

async function appliedMigrations(session: Session, schema: string): Promise<readonly string[]> {
  const { rows } = await session.once(
    `select current_setting('server_encoding') as encoding, exists (
      select 1 from information_schema.tables where table_schema = $1 and table_name = $2
    ) as found`,
    [schema, MIGRATIONS],
  )
  const [{ encoding, found }] = rows as [{ readonly encoding: string; readonly found: boolean }]
  if (encoding !== 'UTF8') throw unsupported(`its encoding is ${encoding} instead of UTF8`)
  if (!found) return []
  const { rows: names } = await session.once(`select name from ${quoted(schema)}.${MIGRATIONS}`)
  return (names as readonly { readonly name: string }[]).map(({ name }) => name)
}

function unsupported(reason: string): PawlError<'storage_failed'> {
  const message = `open: the database cannot be used: ${reason}`
  return new PawlError('storage_failed', message, { operation: 'open' })
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

// Those who open a new database at the same time do it one after the other.
const LOCK = 7_029_411

async function migrateNow(session: Session, schema: string): Promise<void> {
  await session.once('select pg_advisory_xact_lock($1)', [LOCK])
  await session.once(`create schema if not exists ${quoted(schema)}`)
  await session.once(`set local search_path to ${quoted(schema)}`)
  const migrator = new Migrator({
    db: new Kysely({ dialect: createDialect(session, schema) }),
    provider: { getMigrations: async () => migrations },
    migrationTableSchema: schema,
    migrationTableName: MIGRATIONS,
    migrationLockTableName: `${MIGRATIONS}_lock`,
    disableTransactions: true,
  })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}

function createDialect(session: Session, schema: string) {
  const parts = {
    createAdapter: () => new PostgresAdapter(),
    createIntrospector: () => createIntrospector(session, schema),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  }
  return dialectWithin(parts, <Row>(query: CompiledQuery) => execute<Row>(session, query))
}

/** Kysely's own looks at every table of the database, and fails where another one is dropped at the same time. */
function createIntrospector(session: Session, schema: string): DatabaseIntrospector {
  const getTables = async () => {
    const { rows } = await session.once(
      'select table_name as name from information_schema.tables where table_schema = $1',
      [schema],
    )
    const names = rows as readonly { readonly name: string }[]
    return names.map(({ name }) => ({ name, schema, isView: false, isForeign: false, columns: [] }))
  }
  return {
    getSchemas: async () => [{ name: schema }],
    getTables,
    getMetadata: async () => ({ tables: await getTables() }),
  }
}

async function execute<Row>(
  session: Session,
  { sql: text, parameters }: CompiledQuery,
): Promise<QueryResult<Row>> {
  return { rows: (await session.once(text, parameters)).rows as Row[] }
}
