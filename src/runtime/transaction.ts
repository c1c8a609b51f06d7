/** How do commands and the application's own rows share one transaction? @module */

import type { Kysely } from 'kysely'
import type { Commit, Context, Writer } from '../context.ts'
import { closed, refuseIssues } from '../errors.ts'
import type { AnyTables } from '../store/store.ts'
import { beginLife, graceOver, type Life } from './running.ts'
import { nextTurn } from './wait.ts'
import { createWriter, publishTo } from './writer.ts'

/** A transaction of the engine that lasts until it is ended. */
export interface OpenTransaction {
  /** The engine within it: what is sent through it is committed with the rest. */
  readonly context: Context
  /** The application's own tables within it. */
  readonly db: Kysely<AnyTables>
  /** Begins it now; otherwise it begins with its first use. */
  begin(): Promise<void>
  /** Runs work that belongs to it. */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Keeps everything, then tells those who listen. */
  commit(): Promise<void>
  /** Undoes everything; what is still done in it is refused for this reason. */
  rollback(reason?: Error): Promise<void>
  /** Whether an error is one that the database gave within it. */
  hasFailedWith(error: unknown): boolean
}

/** Prepares a transaction. */
export function openTransaction(context: Context): OpenTransaction {
  const { store, db, commit, ...others } = context.store.transaction()
  const commits: Commit[] = []
  const inner = { ...context, store }
  const writer = createWriter(inner, (part) => void commits.push(part))
  const underWay = new Set<Promise<unknown>>()
  const submit: Writer['submit'] = (caller, plan) => {
    const call = writer.submit(caller, plan)
    const settled: Promise<unknown> = call.then(
      () => underWay.delete(settled),
      () => underWay.delete(settled),
    )
    underWay.add(settled)
    return call
  }
  return {
    ...others,
    context: { ...inner, writer: { ...writer, submit } },
    db,
    commit: async () => {
      // What nobody has waited for belongs to it as well.
      while (underWay.size > 0) await Promise.all(underWay)
      await commit()
      for (const part of commits) publishTo(context, part)
    },
  }
}

/** Runs work in a transaction: all of it is kept, or, when it throws, nothing. */
export async function inTransaction<T>(
  context: Context,
  work: (transaction: OpenTransaction) => Promise<T>,
): Promise<T> {
  const transaction = openTransaction(context)
  const life = beginLife(context)
  try {
    // What was sent before waits for its turn of the event loop: it comes first.
    await nextTurn()
    await transaction.begin()
    const result = await untilCutOff(
      life,
      transaction.run(async () => work(transaction)),
    )
    await transaction.commit()
    return result
  } catch (error) {
    await transaction.rollback(life.closing.aborted ? closed() : undefined)
    throw error
  } finally {
    life.end()
  }
}

/** Waits for work, but for an engine that closes not for ever. */
function untilCutOff<T>(life: Life, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const callOff = graceOver(life)(() => reject(closed()))
    work.then(resolve, reject).finally(callOff)
  })
}

/** Throws `invalid_input` for work that is no function. */
export function requireFunction(name: string, value: unknown): void {
  const issue = { path: [], code: 'invalid_type', message: 'has to be a function' }
  refuseIssues(name, typeof value === 'function' ? [] : [issue])
}
