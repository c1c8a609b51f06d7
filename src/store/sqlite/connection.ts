/** Who may use the one connection now? @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database } from 'better-sqlite3'
import { closed, PawlError } from '../../errors.ts'
import { untilFree } from './busy.ts'
import { storageError } from './failures.ts'

/** Stands for a transaction that spans awaits. */
export interface Token {
  /** Whether it has the connection now. */
  active: boolean
}

/** A connection that work takes in turns. */
export interface Connection {
  readonly database: Database
  /** Does work as soon as the connection is free. Throws `storage_busy` when it does not become so in time. */
  pass<T>(operation: string, work: () => T): Promise<T>
  /** Keeps the connection for a transaction, which `begin` opens, until the function that it gives is called. */
  take(token: Token, begin: () => void): Promise<() => void>
  /** Runs work that belongs to a transaction. */
  inside<T>(token: Token, work: () => Promise<T>): Promise<T>
  /** Throws `closed` after the end, and `transaction_misuse` in work that belongs to a transaction that is open. */
  requireAccess(): void
  /** Lets nobody on any more; resolves once whoever has the connection gave it back, or `grace` milliseconds later. */
  close(grace: number): Promise<void>
}

/** Creates the gate to a connection. `timeout` is how long to wait at it, in milliseconds. */
export function createConnection(database: Database, timeout: number): Connection {
  const belonging = new AsyncLocalStorage<Token>()
  let holder: Promise<void> | null = null
  let isClosed = false

  const requireAccess = (): void => {
    if (isClosed || !database.open) throw closed()
    if (belonging.getStore()?.active) throw goesAround()
  }
  const untilGivenBack = async (operation: string): Promise<void> => {
    const end = performance.now() + timeout
    while (holder !== null && !isClosed) {
      if (!(await settlesWithin(holder, end - performance.now()))) throw heldTooLong(operation)
    }
  }
  const attempt = <T>(operation: string, work: () => T): T => {
    if (isClosed || !database.open) throw closed()
    // The application has opened a transaction of its own on its connection, or another engine has.
    if (database.inTransaction) throw storageError(operation, BUSY)
    try {
      return work()
    } catch (error) {
      throw storageError(operation, error)
    }
  }
  const pass = async <T>(operation: string, work: () => T): Promise<T> => {
    for (;;) {
      await untilGivenBack(operation)
      const done = await untilFree(operation, timeout, () =>
        holder === null ? { result: attempt(operation, work) } : null,
      )
      if (done !== null) return done.result
    }
  }
  const take = async (token: Token, begin: () => void): Promise<() => void> => {
    requireAccess()
    // Whoever has waited beside this one may have come first.
    while (holder !== null) await untilGivenBack('transaction')
    const { promise, resolve } = withResolver()
    holder = promise
    const giveBack = (): void => {
      token.active = false
      if (holder === promise) holder = null
      resolve()
    }
    try {
      await untilFree('transaction', timeout, () => attempt('transaction', begin))
      token.active = true
      return giveBack
    } catch (error) {
      giveBack()
      throw error
    }
  }
  return {
    database,
    pass,
    take,
    requireAccess,
    inside: (token, work) => belonging.run(token, work),
    close: async (grace) => {
      isClosed = true
      if (holder !== null) await settlesWithin(holder, grace)
    },
  }
}

// What SQLite itself would say of a connection that somebody else uses.
const BUSY = Object.assign(new Error('a transaction is open on this connection'), {
  code: 'SQLITE_BUSY',
})

function withResolver(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

async function settlesWithin(promise: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, milliseconds), false)
  })
  const inTime = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return inTime
}

function goesAround(): PawlError<'transaction_misuse'> {
  const reason = 'within a transaction only its own handle can be used'
  const message = `${reason}: call tx.… instead of engine.…, which would wait for the transaction to end`
  return new PawlError('transaction_misuse', message, { reason })
}

function heldTooLong(operation: string): PawlError<'storage_busy'> {
  const message = `${operation}: a transaction of this engine has not ended; keep transactions short, and await nothing slow in them`
  return new PawlError('storage_busy', message, { operation })
}
