/** Keeps an engine in PostgreSQL: any number of processes, on a database that you run already. @module */

import type { PoolConfig } from 'pg'
import { refuseIssues } from './errors.ts'
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
 * Throws `invalid_input` for what is neither a pool nor the options of one.
 *
 * @example
 * const engine = await createEngine({ database: postgres({ connectionString: process.env.DATABASE_URL }) })
 */
export function postgres(
  connection: PostgresConnection,
  { schema = 'pawl' }: PostgresOptions = {},
): StoreSource {
  refuseIssues('the connection of postgres', isObject(connection) ? [] : [NO_CONNECTION])
  refuseIssues('the options of postgres', isName(schema) ? [] : [NO_SCHEMA])
  const place = () => {
    const isOwn = !isPool(connection)
    return { pool: isPool(connection) ? connection : createPool(connection), isOwn, schema }
  }
  const source: StoreSource = { open: (how) => openPostgresStore({ ...place(), ...how }) }
  return asTarget(source, place)
}

const NO_CONNECTION = {
  ...{ path: [], code: 'invalid_type' },
  message: 'has to be a pool of pg, or options such as { connectionString }',
}

const NO_SCHEMA = {
  ...{ path: ['schema'], code: 'invalid_type' },
  message: 'has to be the name of a schema, 1 to 63 bytes long',
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    Buffer.byteLength(value) <= 63 &&
    !value.includes('\0')
  )
}

function isPool(connection: PostgresConnection): connection is Pool {
  return 'connect' in connection && typeof connection.connect === 'function'
}
