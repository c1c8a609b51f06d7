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
import { isPawlError, messageOf, PawlError } from '../../errors.ts'
import { dialectWithin } from '../dialect.ts'
import type { Connection } from './connection.ts'
import { causeOf, codeOf, storageError } from './failures.ts'
import type { Session } from './session.ts'
import { migrations } from './tables.ts'

const MIGRATIONS = 'pawl_migrations'

/**
 * Runs the migrations that a schema lacks, all or none. Throws `schema_too_new` for one from a later version, and the
 * `storage_*` errors.
 */
export async function migrate(connection: Connection, schema: string): Promise<void> {
  try {
    if (await connection.read('open', (session) => isCurrent(session, schema))) return
    await connection.write((session) => migrateNow(session, schema))
  } catch (error) {
    throw openingError(error)
  }
}

/** Whatever it was that failed, the caller was about to open. */
function openingError(error: unknown): unknown {
  if (!isPawlError(error)) return failed(messageOf(error), error)
  const isAnother = error.code.startsWith('storage_') && Reflect.get(error, 'operation') !== 'open'
  return isAnother ? storageError('open', error.cause) : error
}

function failed(reason: string, cause?: unknown): PawlError<'storage_failed'> {
  return new PawlError('storage_failed', `open: ${reason}`, { operation: 'open' }, { cause })
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
      ${TABLES} and relname = $2
    ) as found`,
    [schema, MIGRATIONS],
  )
  const [{ encoding, found }] = rows as [{ readonly encoding: string; readonly found: boolean }]
  if (encoding !== 'UTF8')
    throw failed(`the database cannot be used: its encoding is ${encoding} instead of UTF8`)
  if (!found) return []
  const { rows: names } = await session.once(`select name from ${quoted(schema)}.${MIGRATIONS}`)
  return (names as readonly { readonly name: string }[]).map(({ name }) => name)
}

// Also those that the role may not use.
const TABLES = `select relname as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
  where relkind in ('r', 'p') and nspname = $1`

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

// Those who open a new database at the same time do it one after the other.
const LOCK = 7_029_411

async function migrateNow(session: Session, schema: string): Promise<void> {
  await session.once('select pg_advisory_xact_lock($1)', [LOCK])
  if (await isCurrent(session, schema)) return
  const role = await requireSchema(session, schema)
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
  if (error !== undefined) throw refusedTables(error, role, schema)
}

/** Creates a schema unless it is there: to create one takes a right that is not needed otherwise. Gives the role. */
async function requireSchema(session: Session, schema: string): Promise<string> {
  const { rows } = await session.once(
    `select current_user as role, exists (
      select from pg_namespace where nspname = $1
    ) as found`,
    [schema],
  )
  const [{ role, found }] = rows as [{ readonly role: string; readonly found: boolean }]
  if (found) return role
  try {
    await session.once(`create schema if not exists ${quoted(schema)}`)
  } catch (error) {
    if (codeOf(error) !== FORBIDDEN) throw error
    const reason = `the role "${role}" may not create the schema "${schema}"`
    throw failed(`${reason}; have it created for it, or grant it create on the database`, error)
  }
  return role
}

const FORBIDDEN = '42501'

function refusedTables(error: unknown, role: string, schema: string): unknown {
  if (codeOf(error) !== FORBIDDEN) return error
  const cause = causeOf(error)
  const reason = `the role "${role}" may not create or change tables in the schema "${schema}"`
  const advice = 'grant it create on the schema, or have the owner of its tables open it first'
  return failed(`${reason} (${messageOf(cause)}); ${advice}`, cause)
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
    const { rows } = await session.once(TABLES, [schema])
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
