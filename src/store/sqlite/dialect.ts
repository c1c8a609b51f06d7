/** How does Kysely run the application's queries on an SQLite connection? @module */

import type { Database } from 'better-sqlite3'
import {
  type CompiledQuery,
  type Dialect,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { dialectWithin } from '../dialect.ts'
import type { When } from './deferred.ts'

/** A dialect that runs every query within a transaction that somebody else begins and ends. */
export function createDialect(database: Database, within: When): Dialect {
  const parts = {
    createAdapter: () => new SqliteAdapter(),
    createIntrospector: (db: never) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
  return dialectWithin(parts, <Row>(query: CompiledQuery) =>
    within(() => execute<Row>(database, query)),
  )
}

function execute<Row>(database: Database, { sql, parameters }: CompiledQuery): QueryResult<Row> {
  const statement = database.prepare<unknown[], Row>(sql)
  if (statement.reader) return { rows: statement.all(...parameters) }
  const { changes, lastInsertRowid } = statement.run(...parameters)
  return {
    rows: [],
    numAffectedRows: BigInt(changes),
    insertId: BigInt(lastInsertRowid),
  }
}
