/** How does an application reach its own tables, with Kysely, within a transaction of the engine? @module */

import type { Database } from 'better-sqlite3'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { PawlError } from '../../errors.ts'
import type { When } from './deferred.ts'

/** A dialect that runs every query within a transaction that somebody else begins and ends. */
export function createDialect(database: Database, within: When): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => createDriver(database, within),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

function createDriver(database: Database, within: When): Driver {
  const connection: DatabaseConnection = {
    executeQuery: <Row>(query: CompiledQuery) => within(() => execute<Row>(database, query)),
    // A statement that is being iterated over keeps every other one from running.
    async *streamQuery<Row>(query: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
      yield await within(() => execute<Row>(database, query))
    },
  }
  return {
    init: async () => {},
    acquireConnection: async () => connection,
    releaseConnection: async () => {},
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    destroy: async () => {},
  }
}

function execute<Row>(database: Database, { sql, parameters }: CompiledQuery): QueryResult<Row> {
  if (ENDS_OR_BEGINS.test(sql)) throw notHere()
  const statement = database.prepare<unknown[], Row>(sql)
  if (statement.reader) return { rows: statement.all(...parameters) }
  const { changes, lastInsertRowid } = statement.run(...parameters)
  return {
    rows: [],
    numAffectedRows: BigInt(changes),
    insertId: BigInt(lastInsertRowid),
  }
}

// Savepoints of the application's own are fine.
const ENDS_OR_BEGINS = /^\s*(?:begin|commit|end|rollback(?!\s+(?:transaction\s+)?to\b))\b/i

async function refuse(): Promise<never> {
  throw notHere()
}

function notHere(): PawlError<'transaction_misuse'> {
  const reason = 'a transaction cannot begin or end within one'
  const message = `${reason}: tx.db is in a transaction already`
  return new PawlError('transaction_misuse', message, { reason })
}
