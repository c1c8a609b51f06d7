/** How is one event handled: tried, tried again, and put aside in the end? @module */

import { isPawlError, messageOf } from '../errors.ts'
import { toEvent } from '../log/event.ts'
import type { ReadEntry } from '../store/queries.ts'
import type { Store } from '../store/store.ts'
import { type Held, leaseOf, nowOf, type Runner, requireHeld } from './consumer.ts'
import { graceOver } from './running.ts'
import { inTransaction, type OpenTransaction, openTransaction } from './transaction.ts'
import { aborted, firstOf } from './wait.ts'

// The pause after a failure doubles up to this, in milliseconds.
const LONGEST_PAUSE_MS = 3_600_000
const MOST_DOUBLINGS = 30

/** Handles an event until it is done or parked, or the consumer has to stop. */
export async function handle(runner: Runner, held: Held, entry: ReadEntry): Promise<void> {
  const { life, tries } = runner
  while (!life.signal.aborted) {
    await untilDue(runner, held)
    if (life.signal.aborted) return
    const attempt = held.attempts + 1
    const failure = await tryOnce(
      runner,
      held,
      { entry, attempt },
      {
        conclude: (store) => store.advanceConsumer(leaseOf(held), entry.seq),
        isConcluded: async (store) =>
          ((await store.findConsumer(held))?.position ?? 0) >= entry.seq,
      },
    )
    if (failure === null) return moveOn(held, entry.seq)
    // What fails while the consumer stops may have failed because of that.
    if (life.signal.aborted) return
    if (attempt >= tries) return park(runner, held, entry, { attempt, error: failure.error })
    await noteFailure(runner, held, attempt, failure.error)
  }
}

/** Tries a parked event once more, if that was asked for; tells whether there was one. */
export async function handleParked(runner: Runner, held: Held): Promise<boolean> {
  const { context, consumer, life } = runner
  const parked = await context.store.nextRetry(consumer)
  if (parked === undefined) return false
  const [entry] = await context.store.entriesAt([parked.seq])
  const attempt = parked.attempts + 1
  const failure =
    entry === undefined
      ? { error: new Error('the event is no longer in the log') }
      : await tryOnce(
          runner,
          held,
          { entry, attempt },
          {
            conclude: (store) => store.unparkEvent(leaseOf(held), parked.seq),
            isConcluded: async (store) =>
              !(await store.listParked(held)).some(({ seq }) => seq === parked.seq),
          },
        )
  if (failure === null || life.signal.aborted) return true
  context.onError(failure.error)
  const error = textOf(failure.error)
  const again = { ...parked, attempts: attempt, error, parkedAt: nowOf(context) }
  requireHeld(await context.store.parkEvent(leaseOf(held), again))
  return true
}

function moveOn(held: Held, position: number): void {
  Object.assign(held, { position, stored: position, attempts: 0, nextAt: 0 })
}

/** Waits out the pause after a failure, keeping the lease; meanwhile parked events may be tried again. */
async function untilDue(runner: Runner, held: Held): Promise<void> {
  const { context, lease, life } = runner
  while (!life.signal.aborted && held.nextAt > nowOf(context)) {
    const seen = context.arrivals.count()
    if (await handleParked(runner, held)) continue
    let hasRung = false
    const until = Math.min(held.nextAt, held.until - (lease * 2) / 3)
    await firstOf(
      aborted(life.signal),
      (ring) => context.arrivals.next(seen, ring),
      (ring) =>
        context.clock.alarm(until, () => {
          hasRung = true
          ring()
        }),
    )
    // The alarm is believed rather than the clock, which may stand still.
    if (hasRung && until === held.nextAt) return
    if (hasRung) await renew(runner, held)
  }
}

/** Extends the lease. Throws `LeaseLost` when somebody else has taken over. */
async function renew({ context, lease }: Runner, held: Held): Promise<void> {
  held.until = nowOf(context) + lease
  requireHeld(await context.store.extendLease(leaseOf(held)))
}

// A lease that has just been extended for the event before is as good as a new one.
const FULL_ENOUGH = 0.95

/** What is written together with what the handler writes, and whether it has been. */
interface Conclusion {
  readonly conclude: (store: Store) => Promise<boolean>
  readonly isConcluded: (store: Store) => Promise<boolean>
}

interface Attempt {
  readonly entry: ReadEntry
  readonly attempt: number
}

/** Tries an event once, and concludes it in the handler's transaction; gives what went wrong. */
async function tryOnce(
  runner: Runner,
  held: Held,
  attempt: Attempt,
  { conclude, isConcluded }: Conclusion,
): Promise<{ readonly error: unknown } | null> {
  const { context, lease } = runner
  if (held.until - nowOf(context) < lease * FULL_ENOUGH) await renew(runner, held)
  const transaction = openTransaction(context)
  const failure = await callHandler(runner, held, attempt, transaction)
  if (failure !== null) {
    await transaction.rollback()
    if (isStoragesFault(transaction, failure.error)) throw failure.error
    return failure
  }
  try {
    held.until = nowOf(context) + lease
    requireHeld(await conclude(transaction.context.store))
    await transaction.commit()
    return null
  } catch (error) {
    await transaction.rollback()
    // It may have happened all the same: that can be looked up.
    if (isPawlError(error, 'indeterminate') && (await isConcluded(context.store))) return null
    if (isHandlersFault(context.store, error)) return { error }
    throw error
  }
}

/**
 * Whether the storage failed a handler and may do better soon, for which it is not to blame. What it has from
 * elsewhere, such as another engine, is its own affair.
 */
function isStoragesFault(transaction: OpenTransaction, error: unknown): boolean {
  const causes = isPawlError(error) ? [error, error.cause] : []
  return causes.some((one) => isPawlError(one) && one.retryable && transaction.hasFailedWith(one))
}

/** Whether a commit failed for what the handler did: it broke a constraint, or swallowed an error that undid all. */
function isHandlersFault(store: Store, error: unknown): boolean {
  return (
    store.brokeConstraint(error) ||
    isPawlError(error, 'transaction_misuse') ||
    (isPawlError(error, 'indeterminate') && isPawlError(error.cause, 'transaction_misuse'))
  )
}

/** Calls the handler and waits for it, but not longer than it may take. */
async function callHandler(
  { context, handler, life, lease }: Runner,
  { until }: Held,
  { entry, attempt }: Attempt,
  transaction: OpenTransaction,
): Promise<{ readonly error: unknown } | null> {
  const over = new AbortController()
  const stopListening = aborted(life.signal)(() => over.abort())
  const { db } = transaction
  const handling = { context: transaction.context, db, attempt, signal: over.signal }
  let settled: { readonly error: unknown } | null | undefined
  const handled = transaction
    .run(async () => void (await handler(toEvent(entry), handling)))
    .then(
      () => {
        settled = null
      },
      (error: unknown) => {
        settled = { error }
      },
    )
  await firstOf(
    (ring) => {
      void handled.then(ring)
      return () => {}
    },
    (ring) => context.clock.alarm(until, ring),
    graceOver(life),
  )
  stopListening()
  if (settled !== undefined) return settled
  over.abort()
  return { error: new Error(`the handler took longer than its lease of ${lease} ms`) }
}

async function noteFailure(
  { context, backoff, lease }: Runner,
  held: Held,
  attempts: number,
  cause: unknown,
): Promise<void> {
  context.onError(cause)
  const now = nowOf(context)
  const pause = Math.min(backoff * 2 ** Math.min(attempts - 1, MOST_DOUBLINGS), LONGEST_PAUSE_MS)
  Object.assign(held, { attempts, nextAt: now + pause, until: now + lease })
  const failure = { attempts, error: textOf(cause), nextAt: held.nextAt }
  requireHeld(await context.store.failConsumer(leaseOf(held), failure))
}

/** Puts an event aside, where it is listed with its error, and moves on. */
async function park(
  { context, lease }: Runner,
  held: Held,
  { seq, id }: ReadEntry,
  { attempt, error }: { readonly attempt: number; readonly error: unknown },
): Promise<void> {
  context.onError(error)
  const parkedAt = nowOf(context)
  held.until = parkedAt + lease
  const parked = { seq, eventId: id, error: textOf(error), attempts: attempt, parkedAt }
  await inTransaction(context, async ({ context: { store } }) => {
    requireHeld(await store.parkEvent(leaseOf(held), parked))
    requireHeld(await store.advanceConsumer(leaseOf(held), seq))
  })
  moveOn(held, seq)
}

// As much of an error as is kept.
const LONGEST_ERROR = 1000

function textOf(error: unknown): string {
  return messageOf(error).slice(0, LONGEST_ERROR)
}
