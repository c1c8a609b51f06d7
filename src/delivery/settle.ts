/** How is written down what attempts have come to? @module */

import type { Context } from '../context.ts'
import { isPawlError } from '../errors.ts'
import { nowOf } from '../runtime/consumer.ts'
import { inTransaction } from '../runtime/transaction.ts'
import type { ClaimedRow, Settlement } from '../store/deliveries.ts'
import { sendOwn } from './commands.ts'
import { type Deliverer, type Destination, loadDestination } from './deliverer.ts'
import { type Attempted, judge, released, type Verdict } from './verdict.ts'

/** A delivery that nobody is at any more. */
export interface Finished {
  readonly claimed: ClaimedRow
  readonly destination: Destination
  /** Null when it was given up before it was over. */
  readonly attempted: Attempted | null
}

/** Judges what has finished; gives what is left to be written. What deactivates a destination is written here. */
export async function settle(
  deliverer: Deliverer,
  finished: readonly Finished[],
): Promise<readonly Settlement[]> {
  const { context } = deliverer
  const judged: Judged[] = []
  for (const one of finished) judged.push({ ...one, verdict: await verdictOn(deliverer, one) })
  const deactivating = judged.filter(({ verdict }) => verdict.deactivation !== null)
  const others = judged
    .filter(({ verdict }) => verdict.deactivation === null)
    .map(({ verdict }) => verdict.settlement)
  if (deactivating.length === 0) return others
  // First, what has been accepted: it may speak for the destination.
  await context.store.settleAndClaim(others, [], () => nowOf(context))
  for (const one of deactivating) await deactivate(deliverer, one)
  return []
}

interface Judged extends Finished {
  readonly verdict: Verdict
}

async function verdictOn(
  deliverer: Deliverer,
  { claimed, destination, attempted }: Finished,
): Promise<Verdict> {
  const now = nowOf(deliverer.context)
  if (attempted === null) return { settlement: released(claimed, now), deactivation: null }
  const verdict = judge(attempted, destination.settings, now, deliverer.chance)
  if (attempted.receipt.ok) return verdict
  const current = await loadDestination(deliverer, destination.id)
  if (current === undefined || current.receiver === destination.receiver) return verdict
  // What another receiver has said counts for nothing: this one has not been asked yet.
  const { tries } = claimed
  const settlement: Settlement = { ...verdict.settlement, status: 'waiting', tries, nextAt: now }
  return { settlement, deactivation: null }
}

/** Writes how a delivery has ended, and in the same transaction deactivates its destination, unless that does well. */
async function deactivate({ context }: Deliverer, judged: Judged): Promise<void> {
  const { settlement } = judged.verdict
  try {
    await inTransaction(context, ({ context: inner }) => settleAndDeactivate(inner, judged))
  } catch (error) {
    if (isOfStorage(error)) throw error
    // The others may not wait for ever for a destination that cannot be deactivated.
    context.onError(error)
    await context.store.settleAndClaim([settlement], [], () => nowOf(context))
  }
}

async function settleAndDeactivate(
  context: Context,
  { claimed, destination, verdict: { settlement, deactivation } }: Judged,
): Promise<void> {
  const { store } = context
  const before = await store.findDelivery(claimed)
  const accepted = await store.acceptedAt(claimed.destination)
  await store.settleAndClaim([settlement], [], () => nowOf(context))
  // Somebody else has been at it since, and has found something else.
  if (before?.status !== 'delivering' || before.fence !== claimed.fence) return
  const resource = await store.findResource(destination.id)
  const isSame =
    resource?.status === destination.status && resource.statusSince === destination.since
  if (deactivation === null || !isSame) return
  if (deactivation.unlessAccepted && accepted > claimed.began) return
  const { id, tenant } = destination
  const { message } = deactivation
  const command = { type: 'deactivate', reason: 'failures', message }
  await sendOwn(context, { id, tenant, version: null }, command)
}

function isOfStorage(error: unknown): boolean {
  return (
    isPawlError(error) &&
    (error.retryable || error.code.startsWith('storage_') || error.code === 'closed')
  )
}
