/** How does a transaction span awaits? @module */

import { Kysely } from 'kysely'
import { isPawlError } from '../../errors.ts'
import { misuse, undone } from '../misuse.ts'
import type { AnyTables, Store, Transaction } from '../store.ts'
import type { Bracket } from './brackets.ts'
import type { Connection } from './connection.ts'
import type { When } from './deferred.ts'
import { createDialect } from './dialect.ts'
import { indeterminate, storageError } from './failures.ts'
import type { Token } from './gate.ts'

/** What a transaction needs of the store that it belongs to. */
export interface TransactionParts {
  readonly connection: Connection
  readonly whole: Bracket
  /** Builds the store within it, from what runs work there. */
  readonly storeWithin: (within: When) => Store
  /** The place at which the log ends. */
  readonly head: () => number
}

/** Prepares a transaction; it takes the connection with its first use. */
export function createTransaction(parts: TransactionParts): Transaction {
  const { connection, whole, storeWithin, head } = parts
  const { database } = connection
  const token: Token = { active: false }
  const failures = new WeakSet<object>()
  let giveBack: Promise<() => void> | null = null
  let ended: Error | null = null
  // The error with which the database has undone it.
  let undoing: unknown

  const fail = (error: unknown): never => {
    if (isPawlError(error)) failures.add(error)
    throw error
  }
  const requireGoing = (): void => {
    if (ended !== null) throw ended
  }
  const begin = async (): Promise<void> => {
    requireGoing()
    giveBack ??= connection.take(token, whole, head)
    await giveBack.catch(fail)
    requireGoing()
  }
  const within: When = async (work) => {
    await begin()
    await connection.turn()
    requireGoing()
    if (!database.inTransaction) throw undone(undoing)
    try {
      return work()
    } catch (cause) {
      const error = storageError('transaction', cause)
      if (!database.inTransaction) undoing ??= error
      return fail(error)
    }
  }
  const end = async (close: () => void, reason?: Error): Promise<void> => {
    ended ??= reason ?? misuse('it has ended', 'await everything that you do in it')
    const release = await giveBack?.catch(() => undefined)
    if (release === undefined) return
    giveBack = null
    try {
      close()
    } finally {
      release()
    }
  }
  return {
    store: storeWithin(within),
    db: new Kysely<AnyTables>({ dialect: createDialect(database, within) }),
    begin,
    run: (work) => connection.inside(token, work),
    commit: async () => {
      requireGoing()
      await end(() => {
        if (!database.inTransaction) throw indeterminate(undone(undoing))
        whole.keep()
      })
    },
    rollback: (reason) => end(whole.undo, reason),
    hasFailedWith: (error) => isPawlError(error) && failures.has(error),
  }
}
