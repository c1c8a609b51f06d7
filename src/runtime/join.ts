/** How do commands get into a transaction that the application has begun? `within` @module */

import type { Commit, Context } from '../context.ts'
import { refuseIssues } from '../errors.ts'
import type { Joined } from '../store/store.ts'
import { beginLife } from './running.ts'
import type { OpenTransaction } from './transaction.ts'
import { createWriter, publishTo } from './writer.ts'

/** A transaction that the application has begun, and ends itself. */
export type JoinedTransaction = Pick<OpenTransaction, 'context' | 'db'>

// What has been written, by transaction: whoever joins the same one again has it published in the same order.
const pending = new WeakMap<Context, Map<string, Commit[]>>()

/**
 * Joins a transaction that the application has begun. When it has been committed, those who listen are told: a little
 * later, since its end has to be looked for.
 */
export function joinTransaction(context: Context, db: OpenTransaction['db']): JoinedTransaction {
  const message = 'has to be a transaction of Kysely'
  refuseIssues('within', isKysely(db) ? [] : [{ path: [], code: 'invalid_type', message }])
  context.store.requireAccess()
  const joined = context.store.within(db, context.identity)
  const inner = { ...context, store: joined.store }
  const writer = createWriter(inner, (part) => void publishOnceKept(context, joined, part))
  return { context: { ...inner, writer }, db }
}

function isKysely(db: unknown): boolean {
  return typeof Reflect.get(Object(db), 'getExecutor') === 'function'
}

async function publishOnceKept(context: Context, joined: Joined, part: Commit): Promise<void> {
  const here = pending.get(context) ?? new Map<string, Commit[]>()
  pending.set(context, here)
  const number = joined.number() ?? ''
  const before = here.get(number)
  if (before !== undefined) return void before.push(part)
  const parts = [part]
  here.set(number, parts)
  await publishWhenKept(context, parts, joined.isKept)
  here.delete(number)
}

async function publishWhenKept(
  context: Context,
  parts: readonly Commit[],
  isKept: Joined['isKept'],
): Promise<void> {
  const life = beginLife(context)
  try {
    if (!(await isKept(life.signal))) return
    for (const part of parts) if (await isThere(context, part)) publishTo(context, part)
  } catch (error) {
    context.onError(error)
  } finally {
    life.end()
  }
}

/** Whether a part has not been undone all the same, with a savepoint of the application's own. */
async function isThere({ store }: Context, { entries }: Commit): Promise<boolean> {
  const last = entries.at(-1)
  if (last === undefined) return true
  const [found] = await store.entriesAt([last.seq])
  return found?.id === last.id
}
