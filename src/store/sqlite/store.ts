/** How does SQLite keep what the engine writes? @module */

import type { Database } from 'better-sqlite3'
import { closed } from '../../errors.ts'
import type { Audit, Pruning } from '../audit.ts'
import type { Consumers } from '../consumers.ts'
import type { DeliveryReads, DeliveryWrites } from '../deliveries.ts'
import { misuse } from '../misuse.ts'
import { remembered } from '../remembered.ts'
import type { OpenOptions, Reads, Store, Transaction, Upkeep } from '../store.ts'
import { createAudit } from './audit.ts'
import { backup } from './backup.ts'
import { createMigrationLists } from './behind.ts'
import { type Bracket, createBrackets, createPlanner, within } from './brackets.ts'
import { untilFree } from './busy.ts'
import { type Connection, createConnection } from './connection.ts'
import { createConsumers } from './consumers.ts'
import { deferred, type Immediate, type When } from './deferred.ts'
import { createDeliveries } from './deliveries.ts'
import { brokeConstraint, storageError } from './failures.ts'
import { createLister } from './lists.ts'
import { createLookups } from './lookups.ts'
import { migrate, openDatabase, requireSynchronous } from './open.ts'
import { createPruning } from './pruning.ts'
import { createResealing, createSecretLists } from './secrets.ts'
import { createTransaction } from './transaction.ts'
import { createChecks, createUpkeep } from './upkeep.ts'

/** How to open an SQLite store. */
export interface SqliteOptions extends OpenOptions {
  /** A path, `:memory:`, or a database that the application has open and keeps. */
  readonly database: string | Database
}

/** Opens an SQLite store, migrating it if need be. */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const { database, durability, busyTimeout } = options
  const end = performance.now() + busyTimeout
  const opened = await untilFree('open', end, () => openDatabase(database, durability))
  try {
    await untilFree('migrate', end, () => migrate(opened))
    requireSynchronous(opened, durability)
    return createStore(opened, options)
  } catch (error) {
    if (typeof database === 'string') opened.close()
    throw storageError('open', error)
  }
}

function createStore(database: Database, { database: given, busyTimeout }: SqliteOptions): Store {
  const connection = createConnection(database, busyTimeout)
  const { view, whole, part } = createBrackets(database)
  const planner = createPlanner(database)
  const deliveries = createDeliveries(database)
  const reads: Immediate<Read> = { ...createReads(database), ...deliveries.reads }
  const audit = createAudit(database)
  const writes: Immediate<Written> = { ...createWrites(database), ...deliveries.writes }
  const reading: When = async (work) => {
    connection.requireAccess()
    return connection.pass('read', work)
  }
  const writing: When = async (work) => {
    connection.requireAccess()
    return connection.write(() => within(whole, work))
  }
  const storeWithin = (run: When): Store => ({
    ...deferred<Read>(reads, run),
    ...deferred<Audit>(audit, run),
    ...deferred<Written>(writes, (work) => run(() => within(part, work))),
    read: (plan) => run(() => planner.read(NOTHING, plan)),
    transact: (plan) => run(() => planner.write(part, plan)),
    ...outer,
    requireAccess: () => {},
  })
  const outer = createOuter(connection, {
    begin: () =>
      createTransaction({ connection, whole, storeWithin, head: () => reads.log().head }),
    head: () => reads.log().head,
    isOwn: typeof given === 'string',
  })
  return {
    ...deferred<Read>(reads, reading),
    ...deferred<Audit>(audit, (work) => reading(() => within(view, work))),
    ...deferred<Written>(writes, writing),
    read: (plan) => reading(() => planner.read(view, plan)),
    // Not refused within a transaction: here the writer comes with the calls of many.
    transact: (plan) => connection.write(() => planner.write(whole, plan)),
    ...outer,
  }
}

interface Outside {
  readonly begin: () => Transaction
  readonly head: () => number
  /** Whether the connection has been opened for this store. */
  readonly isOwn: boolean
}

/** What there is only outside of a transaction, or the same within it. */
function createOuter(
  connection: Connection,
  { begin, head, isOwn }: Outside,
): Omit<Store, keyof Read | keyof Audit | keyof Written | 'read' | 'transact'> {
  const { database } = connection
  const open = new Set<Transaction>()
  return {
    transaction: () => remembered(open, begin()),
    within: () => {
      throw misuse(NOT_HERE, 'use engine.transaction, whose tx.db reaches tables of your own')
    },
    requireAccess: connection.requireAccess,
    brokeConstraint,
    headNow: async () => {
      connection.requireAccess()
      try {
        return connection.headAtBegin() ?? head()
      } catch (error) {
        throw storageError('read', error)
      }
    },
    // Not refused within a transaction: whoever watches for commits does so for many.
    othersCommits: () =>
      connection.pass('read', () => {
        const version = database.pragma('data_version', { simple: true })
        return Number(version) + connection.othersWrites()
      }),
    backup: async (path, signal) => {
      connection.requireAccess()
      const all = database.memory
        ? await connection.pass('backup', () => database.serialize())
        : database.name
      await backup(all, path, signal)
    },
    close: async () => {
      connection.close()
      await Promise.all([...open].map(({ rollback }) => rollback(closed())))
      // A database that the application opened stays open; closing one twice does nothing.
      if (isOwn) database.close()
    },
  }
}

const NOT_HERE = 'SQLite has no other connection that could share it'

// Within a transaction, what is read is consistent as it is.
const NOTHING: Bracket = { open: () => {}, keep: () => {}, undo: () => {} }

function createReads(database: Database): Immediate<Reads> {
  return {
    ...createLookups(database),
    ...createLister(database),
    ...createChecks(database),
    ...createMigrationLists(database),
    ...createSecretLists(database),
  }
}

type Read = Reads & DeliveryReads

type Written = Upkeep & Consumers & DeliveryWrites & Pruning

function createWrites(database: Database): Immediate<Omit<Written, keyof DeliveryWrites>> {
  return {
    ...createUpkeep(database),
    ...createConsumers(database),
    ...createPruning(database),
    ...createResealing(database),
  }
}
