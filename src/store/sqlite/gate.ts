/** Who may use a connection now? Everybody in turn, and a transaction that spans awaits for as long as it lasts. @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Database } from 'better-sqlite3'
import { PawlError } from '../../errors.ts'

/** Stands for a transaction that spans awaits. */
export interface Token {
  /** Whether it has the connection now. */
  active: boolean
}

/** What somebody wants to do when it is their turn. */
interface Waiting {
  readonly whose: object
  readonly proceed: () => void
  readonly refuse: (error: unknown) => void
}

/** The way to one connection; all engines on it take the same. */
export interface Gate {
  /** What runs belongs to the transaction of the token that is stored here. */
  readonly belonging: AsyncLocalStorage<Token>
  /** The place at which the log ended when the transaction that is open began; null while none is. */
  headAtBegin: number | null
  /** How often something has been written through here. */
  writes: number
  /** Does work at once or, while others are in front, in the order of arrival. Throws `storage_busy` after `end`. */
  join<T>(whose: object, operation: string, end: number, work: () => T): Promise<T>
  /** Whether nobody is in front: of work that only reads, or of work that needs the lock of the database. */
  isFree(isLocking: boolean): boolean
  /**
   * Seeks the lock of the database, which only one on a connection can have: for one at a time, since SQLite
   * blocks the event loop while it waits for other processes. Reads go on meanwhile.
   */
  seek<T>(work: () => Promise<T>): Promise<T>
  /** Shuts everybody out, until the function that it gives is called. To be called from work. */
  keep(): () => void
  /** Sends away those who wait for somebody. */
  dismiss(whose: object, error: unknown): void
}

const gates = new WeakMap<Database, Gate>()

/** The gate of a connection. */
export function gateOf(database: Database): Gate {
  const known = gates.get(database)
  if (known !== undefined) return known
  const gate = createGate()
  gates.set(database, gate)
  return gate
}

function createGate(): Gate {
  const line: Waiting[] = []
  let isKept = false
  let seeking: Promise<unknown> = Promise.resolve()
  let seekers = 0

  const serve = (): void => {
    while (!isKept) {
      const next = line.shift()
      if (next === undefined) return
      next.proceed()
    }
  }
  const queue = <T>(whose: object, operation: string, end: number, work: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timeout)
        const index = line.indexOf(waiting)
        if (index >= 0) line.splice(index, 1)
      }
      const refuse = (error: unknown): void => {
        leave()
        reject(error)
      }
      const proceed = (): void => {
        leave()
        settle(work, resolve, reject)
      }
      const waiting: Waiting = { whose, proceed, refuse }
      const rest = Math.max(0, end - performance.now())
      const timeout = setTimeout(() => refuse(heldTooLong(operation)), rest)
      line.push(waiting)
    })
  return {
    belonging: new AsyncLocalStorage(),
    headAtBegin: null,
    writes: 0,
    join: async (whose, operation, end, work) =>
      !isKept && line.length === 0 ? work() : queue(whose, operation, end, work),
    isFree: (isLocking) => !isKept && line.length === 0 && !(isLocking && seekers > 0),
    seek: (work) => {
      seekers += 1
      const found = seeking.then(work)
      const after = () => {
        seekers -= 1
      }
      seeking = found.then(after, after)
      return found
    },
    keep: () => {
      isKept = true
      return () => {
        isKept = false
        serve()
      }
    },
    dismiss: (whose, error) => {
      for (const waiting of line.filter((one) => one.whose === whose)) waiting.refuse(error)
    },
  }
}

function settle<T>(
  work: () => T,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): void {
  try {
    resolve(work())
  } catch (error) {
    reject(error)
  }
}

function heldTooLong(operation: string): PawlError<'storage_busy'> {
  const message = `${operation}: a transaction of this engine has not ended; keep transactions short, and await nothing slow in them`
  return new PawlError('storage_busy', message, { operation })
}
