/** How is one attempt made, within its time and whatever the receiver does? @module */

import { toIso } from '../clock.ts'
import { isPawlError, messageOf } from '../errors.ts'
import type { ClaimedRow } from '../store/deliveries.ts'
import type { Deliverer, Destination } from './deliverer.ts'
import type { Call, Message, Receipt } from './destination-type.ts'
import { toReceipt } from './receipt.ts'
import type { Attempted } from './verdict.ts'

/** Gives an adapter so much longer than its time before nobody waits for it any more, in milliseconds. */
const GRACE_MS = 50

/** Tries to deliver an event. Never throws; null when it was given up before it was over. */
export async function attempt(
  { context, addressOf }: Deliverer,
  destination: Destination,
  claimed: ClaimedRow,
  stopping: AbortSignal,
): Promise<Attempted | null> {
  const now = context.clock.now()
  const message = toMessage(destination.tenant, claimed)
  const timed = await withinTime(destination.settings.timeout, stopping, (signal, timeout) => {
    const target = destination.target(now.getTime())
    const call: Call = { at: now, attempt: claimed.attempts + 1, timeout, signal, addressOf }
    return destination.type.deliver(message, target, call)
  })
  return timed && { claimed, at: now.getTime(), ...timed }
}

/** The event as it is delivered: what the log has, put together as text, so that not a byte of it ever changes. */
function toMessage(tenant: string, claimed: ClaimedRow): Message {
  const { eventId: id, eventType: type, resourceId, data, createdAt } = claimed
  return { id, type, body: bodyOf({ id, type, data, createdAt }), resourceId, tenant }
}

function bodyOf({
  id,
  type,
  data,
  createdAt,
}: Pick<ClaimedRow, 'data' | 'createdAt'> & Pick<Message, 'id' | 'type'>): string {
  return `{"id":${JSON.stringify(id)},"object":"event","type":${JSON.stringify(type)},"data":${data},"created_at":"${toIso(createdAt)}"}`
}

/** How an adapter's answer has come, and how long that took. */
export interface Timed {
  readonly receipt: Receipt
  readonly durationMs: number
}

/** Calls an adapter and waits for it, but not longer than it may take; null once nobody waits any more. */
export async function withinTime(
  timeout: number,
  stopping: AbortSignal,
  call: (signal: AbortSignal, timeout: number) => Promise<Receipt>,
): Promise<Timed | null> {
  const over = new AbortController()
  const begun = performance.now()
  let tooLate = (_: Receipt): void => {}
  const late = new Promise<Receipt>((resolve) => {
    tooLate = resolve
  })
  const stop = (): void => {
    over.abort()
    setTimeout(tooLate, GRACE_MS, timedOut(timeout))
  }
  const deadline = setTimeout(stop, timeout)
  if (stopping.aborted) stop()
  stopping.addEventListener('abort', stop, { once: true })
  try {
    const receipt = await Promise.race([settled(call, over.signal, timeout), late])
    // Once there is a status, the rest of the answer may take as long as it likes.
    const isAnswered = receipt.ok || receipt.statusCode !== undefined
    if (isAnswered || !over.signal.aborted) return { receipt, durationMs: since(begun) }
    // Whatever an adapter says of having been interrupted.
    return stopping.aborted ? null : { receipt: timedOut(timeout), durationMs: since(begun) }
  } finally {
    clearTimeout(deadline)
    stopping.removeEventListener('abort', stop)
  }
}

function since(begun: number): number {
  return Math.round(performance.now() - begun)
}

function timedOut(timeout: number): Receipt {
  return { ok: false, error: `timed_out: no answer within the timeout of ${timeout} ms` }
}

/** What an adapter throws is a failure; it may throw at once. */
async function settled(
  call: (signal: AbortSignal, timeout: number) => Promise<Receipt>,
  signal: AbortSignal,
  timeout: number,
): Promise<Receipt> {
  try {
    return toReceipt(await call(signal, timeout))
  } catch (error) {
    const kind = isPawlError(error) ? error.code : 'failed'
    return { ok: false, error: `${kind}: ${messageOf(error)}` }
  }
}
