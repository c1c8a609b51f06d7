/** What becomes of a delivery after an attempt? @module */

import type { AttemptRow, ClaimedRow, Settlement } from '../store/deliveries.ts'
import type { Receipt } from './destination-type.ts'
import type { DeliverySettings } from './settings.ts'

/** An attempt that is over. */
export interface Attempted {
  readonly claimed: ClaimedRow
  readonly receipt: Receipt
  /** When it began, milliseconds since 1970. */
  readonly at: number
  readonly durationMs: number
}

/** What becomes of a delivery. */
export interface Verdict {
  readonly settlement: Settlement
  /** Why its destination has to be deactivated; null when it has not. */
  readonly deactivation: { readonly message: string; readonly unlessAccepted: boolean } | null
}

// Whoever asks for more has to be asked again at some time.
const LONGEST_RETRY_AFTER_MS = 24 * 3_600_000

// As much of an answer as is kept.
const KEPT_BYTES = 2048

// A UTF-16 unit is at most so many bytes of UTF-8.
const MOST_BYTES_PER_UNIT = 3

/** Judges an attempt: `now` is when it ended, `chance` gives a random number from 0 to 1. */
export function judge(
  attempted: Attempted,
  settings: DeliverySettings,
  now: number,
  chance: () => number,
): Verdict {
  const { claimed, receipt } = attempted
  const { seq, destination, resourceId, fence, tries } = claimed
  const base = { seq, destination, resourceId, fence, attempt: attemptOf(attempted) }
  if (receipt.ok) {
    return { settlement: { ...base, status: 'succeeded', tries, nextAt: now }, deactivation: null }
  }
  const wait = settings.retries[tries]
  const failed = { ...base, tries: tries + 1 }
  if (wait === undefined) {
    const message = `${claimed.eventId} (${claimed.eventType}) could not be delivered in ${tries + 1} attempts: ${receipt.error}`
    return {
      settlement: { ...failed, status: 'exhausted', nextAt: now },
      deactivation: { message, unlessAccepted: !settings.isStrict },
    }
  }
  const nextAt = Math.round(
    now + Math.max(jittered(wait, settings.jitter, chance()), askedFor(receipt)),
  )
  const gone = {
    message: `the receiver wants no more events: ${receipt.error}`,
    unlessAccepted: false,
  }
  return {
    settlement: { ...failed, status: 'waiting', nextAt },
    deactivation: receipt.gone === true ? gone : null,
  }
}

/** A claimed delivery that nothing has been tried of: it is due again at once. */
export function released(
  { seq, destination, resourceId, fence, tries }: ClaimedRow,
  now: number,
): Settlement {
  const status = tries > 0 ? 'waiting' : 'pending'
  return { seq, destination, resourceId, fence, status, tries, nextAt: now, attempt: null }
}

function attemptOf({ claimed, receipt, at, durationMs }: Attempted): AttemptRow {
  const { statusCode = null, responseBody = null } = receipt
  return {
    number: claimed.attempts + 1,
    at,
    statusCode,
    durationMs,
    error: receipt.ok ? null : receipt.error,
    responseBody: responseBody === null ? null : firstBytes(responseBody),
  }
}

function firstBytes(text: string): string {
  if (text.length * MOST_BYTES_PER_UNIT <= KEPT_BYTES) return text.toWellFormed()
  const bytes = Buffer.from(text)
  return bytes.length <= KEPT_BYTES ? text.toWellFormed() : bytes.subarray(0, KEPT_BYTES).toString()
}

function jittered(wait: number, jitter: number, chance: number): number {
  return Math.round(wait * (1 + jitter * (2 * chance - 1)))
}

function askedFor(receipt: Receipt): number {
  const { retryAfter = 0 } = receipt.ok ? {} : receipt
  return Math.min(Math.max(0, retryAfter), LONGEST_RETRY_AFTER_MS)
}
