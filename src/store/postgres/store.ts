/** How does PostgreSQL keep what the engine writes? @module */

import { closed, PawlError } from '../../errors.ts'
import type { Audit, Pruning } from '../audit.ts'
import type { Consumers } from '../consumers.ts'
import type { DeliveryReads, DeliveryWrites } from '../deliveries.ts'
import { remembered } from '../remembered.ts'
import type { OpenOptions, Reads, Store, Transaction, Upkeep } from '../store.ts'
import { createAudit } from './audit.ts'
import { createMigrationLists } from './behind.ts'
import { type Connection, createConnection } from './connection.ts'
import { createConsumers } from './consumers.ts'
import { createDeliveries } from './deliveries.ts'
import { brokeConstraint, storageError } from './failures.ts'
import { requireWhole } from './import-mark.ts'
import { begunBy, isKept } from './joined.ts'
import { createLister } from './lists.ts'
import { noNeeds } from './locks.ts'
import { createLookups } from './lookups.ts'
import { bound, type OnSession, type With } from './on-session.ts'
import { migrate } from './open.ts'
import { type Lasting, planned, written } from './part.ts'
import { createPlanner, type Planner } from './planner.ts'
import { createPruning } from './pruning.ts'
import { createResealing, createSecretLists } from './secrets.ts'
import type { Pool } from './session.ts'
import { createStatements, type Statements } from './statement.ts'
import { createTransaction } from './transaction.ts'
import { createChecks, createUpkeep } from './upkeep.ts'
import { waitingFor } from './waiting.ts'

/** How to open a PostgreSQL store. */
export interface PostgresOptions extends OpenOptions {
  /** Whose connections are used. */
  readonly pool: Pool
  /** Whether the pool ends with the store. */
  readonly isOwn: boolean
  /** Where pawl's tables are, or will be. */
  readonly schema: string
}

/** Opens a PostgreSQL store, migrating it if need be. */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const { pool, isOwn, schema, durability, busyTimeout } = options
  const connection = createConnection(pool, durability, busyTimeout)
  try {
    await migrate(connection, schema)
    await connection.read('open', (session) => requireWhole(session, schema))
    return createStore(connection, createStatements(schema), isOwn ? pool : null)
  } catch (error) {
    if (isOwn) await pool.end()
    throw storageError('open', error)
  }
}

type Read = Reads & DeliveryReads

type Written = Upkeep & Consumers & DeliveryWrites & Pruning

interface Functions {
  readonly reads: OnSession<Read>
  readonly audit: OnSession<Audit>
  readonly writes: OnSession<Written>
  readonly planner: Planner
}

function createFunctions(statements: Statements): Functions {
  const deliveries = createDeliveries(statements)
  return {
    reads: {
      ...createLookups(statements),
      ...createLister(statements),
      ...createChecks(statements),
      ...createMigrationLists(statements),
      ...createSecretLists(statements),
      ...deliveries.reads,
    },
    audit: createAudit(statements),
    writes: {
      ...createUpkeep(statements),
      ...createConsumers(statements),
      ...createPruning(statements),
      ...createResealing(statements),
      ...deliveries.writes,
    },
    planner: createPlanner(statements),
  }
}

function createStore(connection: Connection, statements: Statements, own: Pool | null): Store {
  const functions = createFunctions(statements)
  const { reads, audit, writes, planner } = functions
  const { timeout } = connection
  const lasting: Lasting = { timeout, patience: () => waitingFor(timeout) }
  const open = (use: Connection['read'], operation: string): With => {
    return async (work) => {
      connection.requireAccess()
      return use(operation, work)
    }
  }
  const [reading, viewing] = [open(connection.read, 'read'), open(connection.view, 'read')]
  const writing = open((_, work) => connection.write(work), 'write')
  const read = bound<Read>(reads, reading)
  const outer = createOuter(connection, own, {
    begin: () =>
      createTransaction({
        connection,
        storeWithin: (within) => ({ ...toPart(functions, within, lasting), ...outer }),
      }),
    within: (db, identity) => {
      const { requireAccess } = connection
      const { number, within, patience } = begunBy(db, { requireAccess, log: reads.log, identity })
      return {
        store: { ...toPart(functions, within, { timeout, patience }), ...outer },
        number,
        isKept: (signal) => isKept(number() ?? '', (work) => connection.read('read', work), signal),
      }
    },
    head: async () => (await connection.read('read', (session) => reads.log(session))).head,
  })
  return {
    ...read,
    ...bound<Audit>(audit, viewing),
    ...bound<Written>(writes, writing),
    read: (plan) => viewing((session) => planner.read(session, plan)),
    // Not refused within a transaction: here the writer comes with the calls of many.
    transact: (plan, scouts = NOBODY) => {
      const whole = { plan, scouts, needs: noNeeds() }
      return connection.plan((session, commit) => planner.write(session, whole, commit))
    },
    ...outer,
    requireAccess: connection.requireAccess,
  }
}

const NOBODY = () => []

type Outer = Omit<
  Store,
  keyof Read | keyof Audit | keyof Written | 'read' | 'transact' | 'requireAccess'
>

/** The store within a transaction: each call that writes is a part of it, kept or undone whole. */
function toPart(
  { reads, audit, writes, planner }: Functions,
  within: With,
  lasting: Lasting,
): Omit<Store, keyof Outer> {
  const part: With = (work) => within((session) => written(session, lasting, work))
  return {
    ...bound<Read>(reads, within),
    ...bound<Audit>(audit, within),
    ...bound<Written>(writes, part),
    read: (plan) => within((session) => planner.read(session, plan)),
    transact: (plan, scouts = NOBODY) => {
      const whole = { plan, scouts, needs: noNeeds() }
      return within((session) => planned(session, lasting, planner, whole))
    },
    requireAccess: () => {},
  }
}

interface Outside extends Pick<Store, 'within'> {
  readonly begin: () => Transaction
  readonly head: () => Promise<number>
}

/** What there is only outside of a transaction, or the same within it. */
function createOuter(
  connection: Connection,
  own: Pool | null,
  { begin, within, head }: Outside,
): Outer {
  const open = new Set<Transaction>()
  return {
    transaction: () => remembered(open, begin()),
    within,
    brokeConstraint,
    headNow: async () => {
      connection.requireAccess()
      return head()
    },
    // Own commits count as well: whoever looks again then finds nothing new.
    othersCommits: head,
    backup: async () => {
      connection.requireAccess()
      throw new PawlError('storage_failed', NO_BACKUP, { operation: 'backup' })
    },
    close: async () => {
      connection.close()
      await Promise.all([...open].map(({ rollback }) => rollback(closed())))
      await own?.end()
    },
  }
}

const NO_BACKUP =
  'backup: PostgreSQL is backed up with its own tools; run pg_dump, or archive its WAL'
