/** How does an engine use its connection: in turn, again while others have the database, and not after its end? @module */

import type { Database } from 'better-sqlite3'
import { closed, isPawlError, PawlError } from '../../errors.ts'
import { goesAround } from '../misuse.ts'
import type { Bracket } from './brackets.ts'
import { untilFree } from './busy.ts'
import { storageError } from './failures.ts'
import { type Gate, gateOf, type Token } from './gate.ts'
import { createTurns } from './turns.ts'

/** A connection, as one engine uses it. */
export interface Connection {
  readonly database: Database
  /** Does work as soon as the connection and the database are free. Throws `storage_busy` when that takes too long. */
  pass<T>(operation: string, work: () => T): Promise<T>
  /** The same for work that writes. */
  write<T>(work: () => T): Promise<T>
  /** Keeps the connection for a transaction, which the bracket opens, until the function that it gives is called. */
  take(token: Token, bracket: Bracket, head: () => number): Promise<() => void>
  /** Runs work that belongs to a transaction. */
  inside<T>(token: Token, work: () => Promise<T>): Promise<T>
  /** Throws `closed` after the end, and `transaction_misuse` in work that belongs to a transaction that is open. */
  requireAccess(): void
  /** What to wait for so that the event loop turns, where it has not for long. */
  turn(): Promise<void> | undefined
  /** The place at which the log ended when a transaction began that is still open; null while none is. */
  headAtBegin(): number | null
  /** How often others have written through the same connection. */
  othersWrites(): number
  /** Lets this engine do nothing any more, and sends away those of its calls that wait. */
  close(): void
}

/** Creates an engine's way to a connection. `timeout` is how long to wait for it, in milliseconds. */
export function createConnection(database: Database, timeout: number): Connection {
  const gate = gateOf(database)
  const whose = {}
  const turn = createTurns()
  let isClosed = false
  let own = 0

  const requireOpen = (): void => {
    if (isClosed) throw closed()
    if (!database.open) throw closed("engine's database")
  }
  const requireAccess = (): void => {
    requireOpen()
    if (gate.belonging.getStore()?.active) throw goesAround()
  }
  const go = async <T>(operation: string, work: () => T, isLocking: boolean): Promise<T> => {
    const end = performance.now() + timeout
    const pause = turn()
    if (pause !== undefined) await pause
    const attempt = () => {
      requireOpen()
      return attempted(database, operation, work)
    }
    const wait = () => untilFree(operation, end, () => gate.join(whose, operation, end, attempt))
    const found = gate.isFree(isLocking) ? unlessBusy(attempt) : null
    if (found !== null) return found.value
    return isLocking ? gate.seek(wait) : wait()
  }
  const pass: Connection['pass'] = (operation, work) => go(operation, work, false)
  const lock: Connection['pass'] = (operation, work) => go(operation, work, true)
  const countWrite = (): void => {
    gate.writes += 1
    own += 1
  }
  return {
    ...{ database, pass, requireAccess, turn },
    write: (work) =>
      lock('write', () => {
        const result = work()
        countWrite()
        return result
      }),
    take: async (token, bracket, head) => {
      requireAccess()
      const giveBack = await lock('transaction', () => taken(gate, token, bracket, head))
      return () => {
        countWrite()
        giveBack()
      }
    },
    inside: (token, work) => gate.belonging.run(token, work),
    headAtBegin: () => gate.headAtBegin,
    othersWrites: () => gate.writes - own,
    close: () => {
      isClosed = true
      gate.dismiss(whose, closed())
    },
  }
}

/** What an attempt gives; null when others hold the database. */
function unlessBusy<T>(attempt: () => T): { readonly value: T } | null {
  try {
    return { value: attempt() }
  } catch (error) {
    if (isPawlError(error, 'storage_busy')) return null
    throw error
  }
}

function attempted<T>(database: Database, operation: string, work: () => T): T {
  // The application has opened a transaction of its own on its connection.
  if (database.inTransaction) throw occupied(operation)
  try {
    return work()
  } catch (error) {
    throw storageError(operation, error)
  }
}

/** Begins a transaction and shuts the gate behind it; gives what opens it again. */
function taken(gate: Gate, token: Token, { open: begin, undo }: Bracket, head: () => number) {
  begin()
  try {
    gate.headAtBegin = head()
  } catch (error) {
    // Nobody will get what would give the lock back.
    undo()
    throw error
  }
  token.active = true
  const open = gate.keep()
  return () => {
    token.active = false
    gate.headAtBegin = null
    open()
  }
}

function occupied(operation: string): PawlError<'storage_busy'> {
  const message = `${operation}: the application has a transaction open on the connection that it gave the engine; end it`
  return new PawlError('storage_busy', message, { operation })
}
