/** How is a webhook signed, by Standard Webhooks 1.0? @module */

import { createHmac, timingSafeEqual } from 'node:crypto'

/** The headers of a signed message. */
export const SIGNED_HEADERS = {
  id: 'webhook-id',
  timestamp: 'webhook-timestamp',
  signature: 'webhook-signature',
} as const

/** What a signature covers. */
export interface Message {
  /** The same for every attempt to deliver it. */
  readonly id: string
  /** When this attempt began, in seconds since 1970, as the header has it. */
  readonly timestamp: string
  /** The body, byte by byte as it is sent. */
  readonly body: string | Uint8Array
}

const SECRET_PREFIX = 'whsec_'

// HMAC-SHA256 with base64 of its 32 bytes; `v1a`, the asymmetric form, is another scheme.
const VERSION = 'v1'

/** The key that a secret `whsec_…` stands for; undefined for what is none. */
export function keyOf(secret: unknown): Buffer | undefined {
  if (typeof secret !== 'string' || !secret.startsWith(SECRET_PREFIX)) return undefined
  const text = secret.slice(SECRET_PREFIX.length)
  // Buffer.from skips what is no base64.
  return /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
}

/** Signs a message with every key, newest first: a receiver that knows one of them accepts it. */
export function signatureOf(keys: readonly Buffer[], message: Message): string {
  return keys.map((key) => `${VERSION},${digestOf(key, message)}`).join(' ')
}

/** Whether one of the signatures in a header was made with one of the keys, in constant time for each. */
export function isSigned(keys: readonly Buffer[], message: Message, header: string): boolean {
  const given = header
    .split(' ')
    .filter((part) => part.startsWith(`${VERSION},`))
    .map((part) => Buffer.from(part.slice(VERSION.length + 1)))
  const expected = keys.map((key) => Buffer.from(digestOf(key, message)))
  return given.some((one) =>
    expected.some((other) => one.length === other.length && timingSafeEqual(one, other)),
  )
}

function digestOf(key: Buffer, { id, timestamp, body }: Message): string {
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')
}
