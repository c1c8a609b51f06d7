/** Who has sent a webhook? `pawl/webhooks`, for receivers: needs nothing but node:crypto. @module */

import { type Clock, isDate, systemClock } from './clock.ts'
import { isSigned, keyOf, type Message, SIGNED_HEADERS } from './delivery/signature.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { type Issue, invalidInput, PawlError, refuseIssues, type WebhookDefect } from './errors.ts'

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

/** The body of a webhook that carries an event. */
export interface WebhookEvent<Data = Readonly<Record<string, unknown>>> {
  /** The same at every attempt, as in the header `webhook-id`: by it a receiver knows what it has had before. */
  readonly id: string
  readonly object: 'event'
  /** `object.action`. */
  readonly type: string
  /** The summary of the resource at the time of the event. */
  readonly data: Data
  /** When it happened, ISO 8601, UTC. */
  readonly created_at: string
}

/** The body of a webhook that asks whether events are wanted, before there are any. */
export interface WebhookVerification {
  readonly type: 'event_destination.verification' | 'event_destination.ping'
  /** Has to come back as `{ "challenge": "…" }`; a ping has none, and any 2xx answers it. */
  readonly challenge?: string
  /** What only events have. */
  readonly object?: never
}

const TOLERANCE = '5m'

/**
 * Checks that a request is a webhook of pawl, and gives what is in it: an event, or before the first one the question
 * whether events are wanted. Of other senders that sign by Standard Webhooks, name what they send: `<Theirs>`.
 *
 * Throws `webhook_invalid` with the reason for a request that does not prove itself: answer it with 400;
 * `invalid_input` for options that cannot be.
 */
export function verifyWebhook<Received = WebhookEvent | WebhookVerification>(
  received: ReceivedWebhook,
): Received {
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

const OPTIONS = ['body', 'headers', 'secrets', 'tolerance', 'now']

const SUBJECT = 'what verifyWebhook was given'

function checked(received: ReceivedWebhook): Checked {
  if (!isObject(received)) {
    const message = 'has to be an object with body, headers and secrets'
    throw invalidInput(SUBJECT, [{ path: [], code: 'invalid_type', message }])
  }
  refuseIssues(SUBJECT, [...unknownOptions(received), ...wrongOptions(received)])
  const { body, secrets, tolerance = TOLERANCE, now = systemClock.now() } = received
  return {
    body,
    keys: listOf(secrets).flatMap((secret) => keyOf(secret) ?? []),
    tolerance: toMilliseconds(tolerance, 'tolerance'),
    now: now.getTime(),
  }
}

function unknownOptions(received: object): Issue[] {
  const message = `does not exist (options: ${OPTIONS.join(', ')})`
  return Object.keys(received)
    .filter((name) => !OPTIONS.includes(name))
    .map((name) => ({ path: [name], code: 'unknown_option', message }))
}

type Shape = readonly [
  name: keyof ReceivedWebhook,
  code: string,
  fits: (value: unknown) => boolean,
  what: string,
]

const SHAPES: readonly Shape[] = [
  [
    'body',
    'invalid_type',
    isBody,
    'the raw body, a text or bytes: read it before a JSON parser does',
  ],
  ['headers', 'invalid_type', isObject, 'the headers of the request, by their names'],
  // Which text it was is nobody's business.
  [
    'secrets',
    'invalid_secret',
    areSecrets,
    'the secret that the destination got when it was created, a text "whsec_…" in base64, or a list of such',
  ],
  ['now', 'invalid_time', isMoment, 'a Date'],
]

function wrongOptions(received: ReceivedWebhook): Issue[] {
  return SHAPES.filter(([name, , fits]) => !fits(received[name])).map(([name, code, , what]) => ({
    path: [name],
    code,
    message: `${received[name] === undefined ? 'is missing: it ' : ''}has to be ${what}`,
  }))
}

function isBody(value: unknown): boolean {
  return typeof value === 'string' || value instanceof Uint8Array
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function areSecrets(value: unknown): boolean {
  const secrets = listOf(value)
  return secrets.length > 0 && secrets.every((secret) => keyOf(secret) !== undefined)
}

function listOf(secrets: unknown): readonly unknown[] {
  return Array.isArray(secrets) ? secrets : [secrets]
}

function isMoment(value: unknown): boolean {
  return value === undefined || (isDate(value) && !Number.isNaN(value.getTime()))
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
