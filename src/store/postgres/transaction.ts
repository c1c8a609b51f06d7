/** How does a transaction of PostgreSQL last over many calls? @module */

import {
  type CompiledQuery,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import { isPawlError } from '../../errors.ts'
import { dialectWithin } from '../dialect.ts'
import { misuse, undone } from '../misuse.ts'
import type { AnyTables, Store, Transaction } from '../store.ts'
import { type Connection, commit, type Token } from './connection.ts'
import { storageError } from './failures.ts'
import type { With } from './on-session.ts'
import type { Taken } from './waiting.ts'

/** What a transaction needs of the store that it belongs to. */
export interface TransactionParts {
  readonly connection: Connection
  /** Builds the store within it, from what runs work there. */
  readonly storeWithin: (within: With) => Store
}

/** Prepares a transaction; it takes a connection with its first use. */
export function createTransaction({ connection, storeWithin }: TransactionParts): Transaction {
  const token: Token = { active: false }
  const failures = new WeakSet<object>()
  let taking: Promise<Taken> | null = null
  let ended: Error | null = null
  // The first error within it that nobody could take back.
  let undoing: unknown
  // One thing after the other: two of them on one connection would undo each other.
  let last: Promise<unknown> = Promise.resolve()

  const requireGoing = (): void => {
    if (ended !== null) throw ended
  }
  const fail = (cause: unknown): never => {
    const isUndone = Reflect.get(Object(cause), 'code') === IN_FAILED_TRANSACTION
    const error = isUndone ? undone(undoing) : storageError('transaction', cause)
    undoing ??= error
    if (isPawlError(error)) failures.add(error)
    throw error
  }
  const take = async (): Promise<Taken> => {
    connection.requireAccess()
    const taken = await connection.take()
    token.active = true
    return taken
  }
  const begin = async (): Promise<Taken> => {
    requireGoing()
    taking ??= take()
    const taken = await taking.catch(fail)
    requireGoing()
    return taken
  }
  const inTurn = <T>(work: (taken: Taken) => Promise<T>): Promise<T> => {
    const next = last.then(async () => work(await begin()))
    last = next.catch(() => {})
    return next
  }
  const end = async (close: (taken: Taken) => Promise<void>, reason?: Error): Promise<void> => {
    ended ??= reason ?? misuse('it has ended', 'await everything that you do in it')
    await last
    const taken = await taking?.catch(() => undefined)
    if (taken === undefined) return
    taking = null
    token.active = false
    await close(taken)
  }
  return {
    store: storeWithin((work) => inTurn(({ session }) => work(session).catch(fail))),
    db: new Kysely<AnyTables>({
      dialect: dialectWithin(PARTS, (query) =>
        inTurn((taken) => execute<never>(taken, query).catch(fail)),
      ),
    }),
    begin: async () => void (await begin()),
    run: (work) => connection.inside(token, work),
    commit: async () => {
      requireGoing()
      await end((taken) => kept(taken, undoing))
    },
    rollback: (reason) => end(forgotten, reason),
    hasFailedWith: (error) => isPawlError(error) && failures.has(error),
  }
}

// PostgreSQL's word for whatever comes after an error that nobody has taken back.
const IN_FAILED_TRANSACTION = '25P02'

const PARTS = {
  createAdapter: () => new PostgresAdapter(),
  createIntrospector: (db: never) => new PostgresIntrospector(db),
  createQueryCompiler: () => new PostgresQueryCompiler(),
}

async function kept({ session, giveBack }: Taken, undoing: unknown): Promise<void> {
  const isKept = await commit(session).catch((error: unknown) => {
    giveBack(true)
    throw storageError('commit', error)
  })
  giveBack(false)
  if (!isKept) throw undone(undoing)
}

async function forgotten({ session, giveBack }: Taken): Promise<void> {
  const isGone = await session.once('rollback').then(
    () => false,
    () => true,
  )
  giveBack(isGone)
}

/** Runs a query of the application's own; its types come back as it has set up `pg`. */
async function execute<Row>(
  { client }: Taken,
  { sql, parameters }: CompiledQuery,
): Promise<QueryResult<Row>> {
  const { rows, rowCount, command } = await client.query({ text: sql, values: [...parameters] })
  const isChange = ['INSERT', 'UPDATE', 'DELETE', 'MERGE'].includes(command ?? '')
  return {
    rows: rows as Row[],
    ...(isChange && { numAffectedRows: BigInt(rowCount ?? 0) }),
  }
}
