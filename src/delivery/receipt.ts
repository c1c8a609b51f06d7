/** Is what an adapter gives a receipt? Whoever wrote it may not have had types. @module */

import { shown } from '../errors.ts'
import type { Receipt } from './destination-type.ts'

/** Takes what an adapter has given; what is no receipt is a failure. */
export function toReceipt(given: unknown): Receipt {
  if (typeof given !== 'object' || given === null) return malformed(given)
  const { ok, statusCode, responseBody, error, retryAfter, gone } = given as Partial<
    Readonly<Record<string, unknown>>
  >
  const answer = {
    ...(isStatus(statusCode) && { statusCode }),
    ...(typeof responseBody === 'string' && { responseBody }),
  }
  if (ok === true) return { ...answer, ok }
  if (ok !== false) return malformed(given)
  return {
    ...{ ...answer, ok, gone: gone === true },
    error: errorText(error),
    ...(typeof retryAfter === 'number' && retryAfter > 0 && { retryAfter: Math.ceil(retryAfter) }),
  }
}

// As much of an error as is kept.
const KEPT_ERROR = 500

function errorText(error: unknown): string {
  if (typeof error !== 'string' || error === '') return 'failed: the type gave no reason'
  return error.slice(0, KEPT_ERROR).toWellFormed()
}

function isStatus(status: unknown): status is number {
  return Number.isSafeInteger(status)
}

function malformed(given: unknown): Receipt {
  const error = `malformed_receipt: deliver gave ${shown(given)} instead of { ok: true } or { ok: false, error }`
  return { ok: false, error }
}
