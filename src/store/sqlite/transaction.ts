/** How does a transaction span awaits? @module */

import { Kysely } from 'kysely'
import { PawlError } from '../../errors.ts'
import type { AnyTables, Store, Transaction } from '../store.ts'
import type { Bracket } from './brackets.ts'
import type { Connection, Token } from './connection.ts'
import type { When } from './deferred.ts'
import { createDialect } from './dialect.ts'
import { storageError } from './failures.ts'

/** Builds the store of a transaction from what runs work within it. */
export type StoreWithin = (within: When) => Store

/** Prepares a transaction; it takes the connection with its first use. */
export function createTransaction(
  connection: Connection,
  whole: Bracket,
  storeWithin: StoreWithin,
): Transaction {
  const { database } = connection
  const token: Token = { active: false }
  let giveBack: Promise<() => void> | null = null
  let hasEnded = false

  const begin = async (): Promise<void> => {
    if (hasEnded) throw misuse('it has ended', 'await everything that you do in it')
    giveBack ??= connection.take(token, whole.open)
    await giveBack
  }
  const within: When = async (work) => {
    await begin()
    if (hasEnded) throw misuse('it has ended', 'await everything that you do in it')
    if (!database.inTransaction) {
      throw misuse('the database has undone it', 'an error before this one says why')
    }
    try {
      return work()
    } catch (error) {
      throw storageError('transaction', error)
    }
  }
  const end = async (close: () => void): Promise<void> => {
    if (hasEnded) return
    hasEnded = true
    const release = await giveBack?.catch(() => undefined)
    if (release === undefined) return
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
    commit: () =>
      end(() => {
        if (!database.inTransaction) throw misuse('the database has undone it', 'run it again')
        whole.keep()
      }),
    rollback: () => end(whole.undo),
  }
}

function misuse(reason: string, advice: string): PawlError<'transaction_misuse'> {
  return new PawlError(
    'transaction_misuse',
    `the transaction cannot be used: ${reason}; ${advice}`,
    {
      reason,
    },
  )
}
