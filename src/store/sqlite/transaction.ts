/** How does a transaction span awaits? @module */

import { Kysely } from 'kysely'
import { PawlError } from '../../errors.ts'
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
  let giveBack: Promise<() => void> | null = null
  let ended: Error | null = null

  const requireGoing = (): void => {
    if (ended !== null) throw ended
  }
  const begin = async (): Promise<void> => {
    requireGoing()
    giveBack ??= connection.take(token, whole.open, head)
    await giveBack
    requireGoing()
  }
  const within: When = async (work) => {
    await begin()
    await connection.turn()
    requireGoing()
    if (!database.inTransaction) throw undone()
    try {
      return work()
    } catch (error) {
      throw storageError('transaction', error)
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
        if (!database.inTransaction) throw indeterminate(undone())
        whole.keep()
      })
    },
    rollback: (reason) => end(whole.undo, reason),
  }
}

function undone(): PawlError<'transaction_misuse'> {
  return misuse(
    'it is no longer open on the database',
    'an error before this one has undone it, or the application has ended it itself',
  )
}

function misuse(reason: string, advice: string): PawlError<'transaction_misuse'> {
  const message = `the transaction cannot be used: ${reason}; ${advice}`
  return new PawlError('transaction_misuse', message, { reason })
}
