/** Keeps an engine in PostgreSQL: any number of processes, on a database that you run already. @module */

import type { PoolConfig } from 'pg'
import { type Issue, refuseIssues } from './errors.ts'
import { readable, taken } from './given.ts'
import { unknownKeys } from './runtime/options.ts'
import { createPool } from './store/postgres/pool.ts'
import type { Pool } from './store/postgres/session.ts'
import { openPostgresStore } from './store/postgres/store.ts'
import { asTarget } from './store/postgres/target.ts'
import type { StoreSource } from './store/store.ts'

export { type CopyOptions, type CopyProgress, type CopyReport, copy } from './copy.ts'
export type { Pool, PooledClient } from './store/postgres/session.ts'

/** Options of `postgres`. */
export interface PostgresOptions {
  /** The schema that gets pawl's tables; it is created if need be. @defaultValue 'pawl' */
  readonly schema?: string
}

/** A pool of `pg` that the application has open and keeps, or how to connect; that pool is closed with the engine. */
export type PostgresConnection = Pool | PoolConfig

/**
 * Names a PostgreSQL database for `createEngine({ database })`, version 14 or later.
 *
 * Throws `invalid_input` for what is neither a pool nor the options of one, and for a schema that cannot be.
 *
 * @example
 * const engine = await createEngine({ database: postgres({ connectionString: process.env.DATABASE_URL }) })
 */
export function postgres(
  connection: PostgresConnection,
  options: PostgresOptions = {},
): StoreSource {
  const issues = readable(() => connectionIssues(connection))
  refuseIssues('the connection of postgres', issues)
  const { schema = 'pawl' } = takenOptions(options)
  const place = () => {
    const isOwn = !isPool(connection)
    return { pool: isPool(connection) ? connection : createPool(connection), isOwn, schema }
  }
  const source: StoreSource = { open: (how) => openPostgresStore({ ...place(), ...how }) }
  return asTarget(source, place)
}

function takenOptions(given: PostgresOptions): PostgresOptions {
  const options = taken(given)
  refuseIssues('the options of postgres', [
    ...unknownKeys(options, ['schema']),
    ...schemaIssues(options.schema),
  ])
  return options
}

function schemaIssues(schema: unknown): Issue[] {
  if (schema === undefined || isName(schema)) return []
  const message =
    'has to be the name of a schema, 1 to 63 bytes long, that does not begin with "pg_"'
  return [{ path: ['schema'], code: 'invalid_type', message }]
}

function isName(value: unknown): boolean {
  if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > 63) return false
  // Those are PostgreSQL's own.
  return !(value.includes('\0') || value.startsWith('pg_'))
}

/** Says what stands in the way of connecting with it, and never what it is: there may be a password in it. */
function connectionIssues(connection: unknown): Issue[] {
  const refused = (message: string, ...path: readonly string[]): Issue[] => {
    return [{ path, code: 'invalid_type', message }]
  }
  if (typeof connection === 'string' || connection instanceof URL)
    return refused('is an address by itself; give { connectionString }')
  if (!isObject(connection) || Array.isArray(connection))
    return refused('has to be a pool of pg, or options such as { connectionString }')
  if (isClient(connection)) return refused('is a client; give a pool')
  if (isPool(connection) || !('connectionString' in connection)) return []
  const { connectionString } = connection
  if (typeof connectionString === 'string' && connectionString !== '') return []
  const found = connectionString === '' ? 'empty' : `of type ${typeof connectionString}`
  return refused(`has to be a text, and is ${found}`, 'connectionString')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isPool(connection: object): connection is Pool {
  return 'connect' in connection && typeof connection.connect === 'function'
}

/** A client of pg connects as well, but is one connection only, and says to what. */
function isClient(connection: object): boolean {
  return isPool(connection) && 'connectionParameters' in connection
}
