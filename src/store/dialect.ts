/** How does an application reach its own tables, with Kysely, within a transaction of the engine? @module */

import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely'
import { PawlError } from '../errors.ts'

/** Runs a query within a transaction. */
export type Execute = <Row>(query: CompiledQuery) => Promise<QueryResult<Row>>

/** A dialect that runs every query within a transaction that somebody else begins and ends. */
export function dialectWithin(
  parts: Pick<Dialect, 'createAdapter' | 'createIntrospector' | 'createQueryCompiler'>,
  execute: Execute,
): Dialect {
  return { ...parts, createDriver: () => createDriver(execute) }
}

function createDriver(execute: Execute): Driver {
  const executeQuery: Execute = async (query) => {
    if (ENDS_OR_BEGINS.test(query.sql)) throw notHere()
    return execute(query)
  }
  const connection: DatabaseConnection = {
    executeQuery,
    // A statement that is being iterated over keeps every other one from running.
    async *streamQuery<Row>(query: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
      yield await executeQuery<Row>(query)
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
