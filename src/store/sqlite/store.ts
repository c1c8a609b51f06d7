/** How does SQLite keep what the engine writes? @module */

import type { Database } from 'better-sqlite3'
import type { Plan } from '../../core/questions.ts'
import { closed } from '../../errors.ts'
import type { Store, Writes } from '../store.ts'
import { type Answerer, createAnswerer } from './answers.ts'
import { untilFree } from './busy.ts'
import { indeterminate, storageError } from './failures.ts'
import { createLister } from './lists.ts'
import { createLookups, type WhenFree } from './lookups.ts'
import { type Durability, migrate, openDatabase, requireSynchronous } from './open.ts'
import { createTurns } from './turns.ts'
import { createUpkeep } from './upkeep.ts'
import { createWriter, type Writer } from './writes.ts'

/** How to open an SQLite store. */
export interface SqliteOptions {
  /** A path, `:memory:`, or a database that the application has open and keeps. */
  readonly database: string | Database
  /** What a commit survives. */
  readonly durability: Durability
  /** How long to wait while other connections hold the database, in milliseconds. */
  readonly busyTimeout: number
}

/** Opens an SQLite store, migrating it if need be. */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const { database, durability, busyTimeout } = options
  const opened = await untilFree('open', busyTimeout, () => openDatabase(database, durability))
  try {
    await untilFree('migrate', busyTimeout, () => migrate(opened))
    requireSynchronous(opened, durability)
    return createStore(opened, options)
  } catch (error) {
    if (typeof database === 'string') opened.close()
    throw error
  }
}

function createStore(database: Database, { database: given, busyTimeout }: SqliteOptions): Store {
  const transaction = createTransaction(database)
  const turn = createTurns()
  let isClosed = false
  const whenFree =
    (operation: string): WhenFree =>
    (work) =>
      untilFree(operation, busyTimeout, () => {
        if (isClosed || !database.open) throw closed()
        return mapped(operation, work)
      })
  const [read, write] = [whenFree('read'), whenFree('write')]
  const reading: WhenFree = async (work) => {
    await turn()
    return read(work)
  }
  const lister = createLister(database)
  return {
    transact: (plan) => write(() => transaction.write(plan)),
    read: (plan) => reading(() => transaction.read(plan)),
    listResources: (query) => reading(() => lister.resources(query)),
    listEntries: (query) => reading(() => lister.entries(query)),
    listTimers: (query) => reading(() => lister.timers(query)),
    ...createLookups(database, reading),
    ...createUpkeep(database, reading, write),
    close: async () => {
      isClosed = true
      // A database that the application opened stays open; closing one twice does nothing.
      if (typeof given === 'string') database.close()
    },
  }
}

function mapped<T>(operation: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw storageError(operation, error)
  }
}

function createTransaction(database: Database) {
  const answer = createAnswerer(database)
  const write = createWriter(database)
  const begin = database.prepare('begin immediate')
  const beginReading = database.prepare('begin')
  const commit = database.prepare('commit')
  const rollback = (): void => {
    if (database.inTransaction) database.exec('rollback')
  }
  const commitOrDoubt = (): void => {
    try {
      commit.run()
    } catch (cause) {
      rollback()
      throw indeterminate(cause)
    }
  }
  return {
    read: <T>(plan: () => Plan<T>): T => {
      beginReading.run()
      try {
        return driven(plan(), answer)
      } finally {
        rollback()
      }
    },
    write: <T>(plan: () => Plan<{ readonly writes: Writes | null; readonly result: T }>): T => {
      begin.run()
      const { writes, result } = planned(plan, { answer, write, rollback })
      if (writes === null) rollback()
      else commitOrDoubt()
      return result
    },
  }
}

interface Transaction {
  readonly answer: Answerer
  readonly write: Writer
  readonly rollback: () => void
}

function planned<T extends { readonly writes: Writes | null }>(
  plan: () => Plan<T>,
  transaction: Transaction,
): T {
  try {
    const outcome = driven(plan(), transaction.answer)
    if (outcome.writes !== null) transaction.write(outcome.writes)
    return outcome
  } catch (error) {
    transaction.rollback()
    throw error
  }
}

/** Runs a plan to its end, answering what it asks. */
function driven<T>(plan: Plan<T>, answer: Answerer): T {
  let step = plan.next()
  while (!step.done) step = plan.next(answer(step.value))
  return step.value
}
