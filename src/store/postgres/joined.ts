/** How does an engine write in a transaction that the application has begun, and ends itself? @module */

import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery, type DatabaseConnection, type Kysely, type QueryResult } from 'kysely'
import { messageOf, type PawlError } from '../../errors.ts'
import { misuse, undone } from '../misuse.ts'
import type { AnyTables, LogRow } from '../store.ts'
import { codeOf, storageError } from './failures.ts'
import type { With } from './on-session.ts'
import { type Client, type ClientQuery, type Session, sessionOn } from './session.ts'

/** A transaction that the application has begun. */
export interface Begun {
  /** Does work in it as a whole: whatever else is done in it waits meanwhile. */
  readonly within: With
  /** PostgreSQL's number of it; null as long as no work has been done. */
  number(): string | null
  /** The statement after which it waits for locks as the application wants it. */
  patience(): string
}

/** What has to fit for work to be done in it. */
export interface Meeting {
  /** Throws `closed` after the end of the engine. */
  requireAccess(): void
  log(session: Session): Promise<LogRow>
  /** Which database the engine has. */
  readonly identity: string
}

/** Uses a transaction of Kysely. Throws `transaction_misuse` for what is none, or one that is not on the database. */
export function begunBy(db: Kysely<AnyTables>, meeting: Meeting): Begun {
  if (!db.isTransaction) throw misuse('it has not begun', 'give what db.transaction() gives')
  let known: Met | null = null
  const begun = async (session: Session): Promise<Met> => {
    if (known === null) return met(session, meeting)
    if ((await numberOf(session)) !== known.number) throw over()
    return known
  }
  return {
    number: () => known?.number ?? null,
    patience: () => `set local lock_timeout = '${known?.lockTimeout ?? 0}'`,
    within: async (work) => {
      meeting.requireAccess()
      try {
        return await db.getExecutor().provideConnection((connection) =>
          alone(connection, async (client) => {
            const session = sessionOn(client)
            known = await begun(session)
            return work(session)
          }),
        )
      } catch (error) {
        throw toError(error)
      }
    },
  }
}

/**
 * Does work with a connection that nobody else uses meanwhile. Kysely lets other queries of a transaction wait, but not
 * its end: what is sent after that would happen outside of it, or in a transaction of somebody else.
 */
async function alone<T>(
  connection: DatabaseConnection,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { executeQuery } = connection
  const execute: Execute = (...query) => executeQuery.apply(connection, query)
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const later: Execute = async (...query) => {
    await ended
    return execute(...query)
  }
  connection.executeQuery = later as typeof executeQuery
  try {
    return await work(clientOf(execute))
  } finally {
    connection.executeQuery = executeQuery
    end()
  }
}

type Execute = (
  ...query: Parameters<DatabaseConnection['executeQuery']>
) => Promise<QueryResult<unknown>>

/**
 * The driver's client, as far as it is used. Kysely hands the text of a query on to `pg` as it is, which takes an
 * object as well: only so do types come back as they have to, however the application has set up `pg`.
 */
function clientOf(execute: Execute): Client {
  return {
    query: async (config) => {
      const { text, values = [] } = config
      const query = { ...CompiledQuery.raw(text, values), sql: shownAs(text, config) }
      const { rows, numAffectedRows } = await execute(query)
      return { rows, rowCount: Number(numAffectedRows ?? rows.length) }
    },
  }
}

/** Whoever logs queries sees the text. */
function shownAs(text: string, config: ClientQuery): string {
  return { ...config, toString: () => text, toJSON: () => text } as unknown as string
}

/** What is known of a transaction. */
interface Met {
  readonly number: string
  /** How long it waits for locks, as PostgreSQL writes it. */
  readonly lockTimeout: string
}

/** Makes sure that the transaction is one on the database. */
async function met(session: Session, { log, identity }: Meeting): Promise<Met> {
  const found = await log(session).catch((error: unknown) => {
    const code = codeOf(error)
    if (code === undefined) throw unusable(messageOf(error), error)
    throw code === NO_TABLE ? elsewhere() : error
  })
  if (typeof found.head !== 'number') throw unusable('it gives numbers as texts')
  if (found.identity !== identity) throw elsewhere()
  const { rows } = await session.once(
    `select pg_current_xact_id()::text as number, current_setting('lock_timeout') as "lockTimeout"`,
  )
  return rows[0] as Met
}

async function numberOf(session: Session): Promise<string | null> {
  const { rows } = await session.once('select pg_current_xact_id_if_assigned()::text as number')
  return (rows[0] as { readonly number: string | null }).number
}

function over(cause?: unknown): PawlError<'transaction_misuse'> {
  return misuse('it has ended', 'await everything that you do in it', cause)
}

function unusable(reason: string, cause?: unknown): PawlError<'transaction_misuse'> {
  if (ENDED.test(reason)) return over(cause)
  const advice = "begin it with Kysely's PostgresDialect, on a pool of pg"
  return misuse(`its driver cannot be used (${reason})`, advice, cause)
}

function elsewhere(): PawlError<'transaction_misuse'> {
  return misuse('it is on another database', 'begin it on the one that the engine has')
}

const NO_TABLE = '42P01'
const IN_FAILED_TRANSACTION = '25P02'

// What Kysely says of a transaction after its end.
const ENDED = /already (?:committed|rolled back)/

function toError(error: unknown): unknown {
  if (codeOf(error) === IN_FAILED_TRANSACTION) return undone(undefined)
  if (error instanceof Error && ENDED.test(error.message)) return unusable(error.message, error)
  return storageError('transaction', error)
}

// Nothing tells of its end: it is looked for.
const LOOK_EVERY_MS = 20

/** Waits until a transaction has ended, or the signal; whether it has been kept. */
export async function isKept(number: string, read: With, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const { rows } = await read((session) =>
      session.once('select pg_xact_status($1::text::xid8) as status', [number]),
    )
    const { status } = rows[0] as { readonly status: string | null }
    if (status !== 'in progress') return status === 'committed'
    await sleep(LOOK_EVERY_MS)
  }
  return false
}
