/** How does SQLite keep what the engine writes? @module */

import type { Database } from 'better-sqlite3'
import type { Plan } from '../../core/questions.ts'
import type { Store, Writes } from '../store.ts'
import { type Answerer, createAnswerer, resourceById } from './answers.ts'
import { untilFree } from './busy.ts'
import { entryColumns, timerColumns, toEntryRow, toResourceRow, toTimerRow } from './columns.ts'
import { indeterminate, storageError } from './failures.ts'
import { createLister } from './lists.ts'
import { type Durability, migrate, openDatabase, requireSynchronous } from './open.ts'
import { prepare, queries } from './statement.ts'
import { createTurns } from './turns.ts'
import { createWriter, type Writer } from './writes.ts'

/** How to open an SQLite store. */
export interface SqliteOptions {
  /** A path, `:memory:`, or a database that the application has open and keeps. */
  readonly database: string | Database
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
  const reading = async <T>(read: () => T): Promise<T> => {
    await turn()
    return untilFree('read', busyTimeout, () => mapped('read', read))
  }
  const writing = <T>(write: () => T): Promise<T> =>
    untilFree('write', busyTimeout, () => mapped('write', write))
  const lister = createLister(database)
  return {
    transact: (plan) => untilFree('begin', busyTimeout, () => transaction.write(plan)),
    read: (plan) => reading(() => transaction.read(plan)),
    listResources: (query) => reading(() => lister.resources(query)),
    listEntries: (query) => reading(() => lister.entries(query)),
    listTimers: (query) => reading(() => lister.timers(query)),
    ...singleReads(database, reading),
    ...singleWrites(database, writing),
    close: async () => {
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
    throw storageError('write', error)
  }
}

/** Runs a plan to its end, answering what it asks. */
function driven<T>(plan: Plan<T>, answer: Answerer): T {
  let step = plan.next()
  while (!step.done) step = plan.next(answer(step.value))
  return step.value
}

type Reading = <T>(read: () => T) => Promise<T>

function singleReads(database: Database, reading: Reading) {
  const resource = resourceById(database)
  const entry = prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('id', '=', slot('id')),
  )
  const entryAt = prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('seq', '=', slot('seq')),
  )
  const due = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('next_at', '<=', slot('time'))
      .orderBy('next_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
  const next = prepare(database, () =>
    queries.selectFrom('pawl_timers').select('next_at').orderBy('next_at').limit(1),
  )
  return {
    findResource: (id: string) => reading(() => optional(resource.get({ id }), toResourceRow)),
    findEntry: (id: string) => reading(() => optional(entry.get({ id }), toEntryRow)),
    entriesAt: (places: readonly number[]) =>
      reading(() => places.flatMap((seq) => entryAt.all({ seq }).map(toEntryRow))),
    dueTimers: (time: number, limit: number) =>
      reading(() => due.all({ time, limit }).map(toTimerRow)),
    nextTimerAt: () => reading(() => next.get({})?.next_at),
  }
}

function optional<T, U>(value: T | undefined, convert: (value: T) => U): U | undefined {
  return value === undefined ? undefined : convert(value)
}

function singleWrites(database: Database, writing: Reading) {
  const postpone = prepare(database, (slot) =>
    queries
      .updateTable('pawl_timers')
      .set(({ eb }) => ({
        next_at: slot('nextAt'),
        last_error: slot('error'),
        attempts: eb('attempts', '+', 1),
      }))
      .where('position', '=', slot('position')),
  )
  const forget = prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_outcomes')
      .where(({ eb, refTuple, selectFrom }) =>
        eb(
          refTuple('tenant', 'key'),
          'in',
          selectFrom('pawl_outcomes')
            .select(['tenant', 'key'])
            .where('created_at', '<=', slot('before'))
            .limit(slot('limit'))
            .$asTuple('tenant', 'key'),
        ),
      ),
  )
  return {
    postponeTimer: (position: number, nextAt: number, error: string) =>
      writing(() => void postpone.run({ position, nextAt, error })),
    forgetOutcomes: (before: number, limit: number) => writing(() => forget.run({ before, limit })),
  }
}
