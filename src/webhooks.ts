/** Who has sent a webhook? `pawl/webhooks`, for receivers: needs nothing but node:crypto. @module */

import { type Clock, systemClock } from './clock.ts'
import { isSigned, keyOf, type Message, SIGNED_HEADERS } from './delivery/signature.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { type Issue, PawlError, refuseIssues, type WebhookDefect } from './errors.ts'

/** Headers of a request as frameworks have them: an object with names in any case, or what `fetch` gives. */
export type WebhookHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | {
      /** Reads a header. */
      get(name: string): string | null
    }

/** A request that may be a webhook. */
export interface ReceivedWebhook {
  /** The body as it has come in, before any parser: the signature covers its bytes. */
  readonly body: string | Uint8Array
  readonly headers: WebhookHeaders
  /** The secrets `whsec_…` of the destination; while one is being rotated, the new one and the old one. */
  readonly secrets: string | readonly string[]
  /** How far its time may be off, in the past and in the future. @defaultValue '5m' */
  readonly tolerance?: Duration
  /** @defaultValue the time of the system */
  readonly now?: ReturnType<Clock['now']>
}

const TOLERANCE = '5m'

/**
 * Checks that a request is a webhook of pawl, and gives the event in it.
 *
 * Throws `webhook_invalid` with the reason for a request that does not prove itself: answer it with 400;
 * `invalid_input` for options that cannot be.
 */
export function verifyWebhook<Received = unknown>(received: ReceivedWebhook): Received {
  const { body, keys, tolerance, now } = checked(received)
  const [id, timestamp, signature] = Object.values(SIGNED_HEADERS).map((name) =>
    required(received.headers, name),
  ) as [string, string, string]
  requireTime(timestamp, now, tolerance)
  if (!isSigned(keys, { id, timestamp, body }, signature))
    throw invalid('signature_mismatch', 'none of its signatures was made with one of the secrets')
  return parsed(body) as Received
}

interface Checked {
  readonly body: Message['body']
  readonly keys: readonly Buffer[]
  readonly tolerance: number
  readonly now: number
}

function checked({ body, secrets, tolerance = TOLERANCE, now }: ReceivedWebhook): Checked {
  const given: readonly unknown[] = typeof secrets === 'string' ? [secrets] : secrets
  const keys = Array.isArray(given) ? given.map(keyOf) : []
  const issues: Issue[] = []
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    const message = 'has to be the raw body, a text or bytes: read it before a JSON parser does'
    issues.push({ path: ['body'], code: 'invalid_type', message })
  }
  if (keys.length === 0 || keys.includes(undefined)) {
    // Which text it was is nobody's business.
    const message = 'have to be one or more texts "whsec_…" in base64'
    issues.push({ path: ['secrets'], code: 'invalid_secret', message })
  }
  refuseIssues('the webhook', issues)
  return {
    body,
    keys: keys.flatMap((key) => key ?? []),
    tolerance: toMilliseconds(tolerance, 'tolerance'),
    now: (now ?? systemClock.now()).getTime(),
  }
}

function required(headers: WebhookHeaders, name: string): string {
  const value = headerOf(headers, name)
  if (typeof value === 'string' && value !== '') return value
  throw invalid('header_missing', `it has no header ${name}`)
}

function headerOf(headers: WebhookHeaders, name: string): unknown {
  if (typeof headers.get === 'function') return headers.get(name)
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1]
  return Array.isArray(found) ? found.join(' ') : found
}

function requireTime(timestamp: string, now: number, tolerance: number): void {
  // Twelve digits last until the year 33658.
  if (!/^\d{1,12}$/.test(timestamp))
    throw invalid('timestamp_malformed', 'its time is no number of seconds since 1970')
  const age = now - Number(timestamp) * 1000
  if (age > tolerance) throw invalid('timestamp_too_old', 'it was sent too long ago')
  if (-age > tolerance) throw invalid('timestamp_too_new', 'it was sent too far in the future')
}

function parsed(body: Message['body']): unknown {
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalid('body_malformed', 'its body is no JSON', cause)
  }
}

function invalid(reason: WebhookDefect, why: string, cause?: unknown): Error {
  const message = `this is not a webhook to be trusted: ${why}`
  return new PawlError('webhook_invalid', message, { reason }, { cause })
}
