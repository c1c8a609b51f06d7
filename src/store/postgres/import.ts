/** How does a whole database get into PostgreSQL, slice by slice, from another store? @module */

import {
  type CopiedRest,
  type CopiedRow,
  type CopiedTable,
  copiedTables,
} from '../copied-tables.ts'
import { createConnection } from './connection.ts'
import { brokeConstraint, storageError } from './failures.ts'
import { createMark, type Target } from './import-mark.ts'
import { changedMeanwhile, goneOn, writtenByOthers } from './import-refusals.ts'
import { createRestWriter, prepareTable, type TableImport } from './import-rows.ts'
import { migrate } from './open.ts'
import type { Pool, Session } from './session.ts'
import { createStatements } from './statement.ts'

/** Where a database is copied to. */
export interface ImportOptions {
  /** Whose connections are used, one at a time. */
  readonly pool: Pool
  /** Whether the pool ends with the copy. */
  readonly isOwn: boolean
  /** Where pawl's tables are, or will be. */
  readonly schema: string
}

/** A database that another one is copied into. */
export interface Import {
  /**
   * Claims the database for the copy; from then on to the end, no engine can be opened on it. Throws `invalid_input`
   * where it holds another one.
   */
  begin(rest: CopiedRest): Promise<Target>
  /** The key of the last row that is there; null for none. */
  lastKey(table: CopiedTable): Promise<readonly unknown[] | null>
  insert(table: CopiedTable, rows: readonly CopiedRow[]): Promise<void>
  count(table: CopiedTable): Promise<number>
  /** How many of these rows are there, with the same in every column. */
  countSame(table: CopiedTable, rows: readonly CopiedRow[]): Promise<number>
  /** The error for what is not the same on both sides, after the copy. */
  differing(target: Target): Error
  /** Whether the rows about the log, and about what has been given out, say the same. */
  isSameRest(rest: CopiedRest): Promise<boolean>
  end(rest: CopiedRest): Promise<void>
  close(): Promise<void>
}

// How long to wait for others.
const PATIENCE_MS = 30_000

/** Opens a database to copy another one into, migrating it if need be. */
export async function openImport({ pool, isOwn, schema }: ImportOptions): Promise<Import> {
  const connection = createConnection(pool, 'full', PATIENCE_MS)
  const close = async (): Promise<void> => {
    connection.close()
    if (isOwn) await pool.end()
  }
  try {
    await migrate(connection, schema)
  } catch (error) {
    await close()
    throw storageError('copy', error)
  }
  const statements = createStatements(schema)
  const [mark, rest] = [createMark(statements), createRestWriter(statements)]
  const tables = new Map(copiedTables.map((table) => [table, prepareTable(statements, table)]))
  const of = (table: CopiedTable): TableImport => {
    return tables.get(table) ?? prepareTable(statements, table)
  }
  const read = <T>(work: (session: Session) => Promise<T>) => connection.read('copy', work)
  const { write } = connection
  return {
    begin: ({ log }) => write((session) => mark.begin(session, log)),
    lastKey: (table) => read((session) => of(table).lastKey(session)),
    insert: (table, rows) =>
      write((session) => of(table).insert(session, rows)).catch((error: unknown) => {
        throw brokeConstraint(error) ? writtenByOthers(schema, error) : error
      }),
    count: (table) => read((session) => of(table).count(session)),
    countSame: (table, rows) => read((session) => of(table).countSame(session, rows)),
    isSameRest: (given) => read((session) => rest.isSame(session, given)),
    end: async (given) => {
      await write(async (session) => {
        await mark.end(session)
        await rest.write(session, given)
      })
      // Without that, the first queries would be planned as if there was nothing.
      for (const table of copiedTables) await read((session) => of(table).analyze(session))
    },
    differing: (target) => (target === 'whole' ? goneOn(schema) : changedMeanwhile(schema)),
    close,
  }
}
