/** How does an event reach a webhook? By Standard Webhooks 1.0. @module */

import { isIP } from 'node:net'
import { parseTime } from '../clock.ts'
import type { JsonObject, Schema } from '../core/definition.ts'
import type { Issue } from '../errors.ts'
import type { Addresses } from './addresses.ts'
import type { Call, DestinationType, Message, Receipt, Target } from './destination-type.ts'
import type { Returned } from './exchange.ts'
import type { Outgoing, Requests } from './request.ts'
import { SIGNED_HEADERS, signatureOf } from './signature.ts'

/** What a webhook is set up with. */
export interface WebhookConfig {
  readonly url: string
  readonly custom_headers?: Readonly<Record<string, string>>
}

// Of the machine's own input schema: there is nothing left to check here.
const ANY: Schema = {
  '~standard': { version: 1, vendor: 'pawl', validate: (value) => ({ value }) },
}

const USER_AGENT = 'pawl (standard-webhooks)'

/** Creates the type that is built in. */
export function createWebhook(requests: Requests): DestinationType<WebhookConfig> {
  return {
    type: 'webhook',
    config: ANY,
    deliver: async (message, target, call) =>
      receiptOf(await requests.send(signed(message, target, call)), call),
    close: () => requests.close(),
  }
}

/** A signed POST; also of messages that are no events. */
export function signed(
  { id, body }: Pick<Message, 'id' | 'body'>,
  { config, keys }: Pick<Target<WebhookConfig>, 'config' | 'keys'>,
  { at, signal }: Pick<Call, 'at' | 'signal'>,
): Outgoing {
  const timestamp = `${Math.floor(at.getTime() / 1000)}`
  const headers = {
    'user-agent': USER_AGENT,
    ...lowered(config.custom_headers ?? {}),
    // What was compressed would have to be decompressed, however large it becomes.
    'accept-encoding': 'identity',
    'content-type': 'application/json',
    [SIGNED_HEADERS.id]: id,
    [SIGNED_HEADERS.timestamp]: timestamp,
    [SIGNED_HEADERS.signature]: signatureOf(keys, { id, timestamp, body }),
  }
  return { method: 'POST', url: config.url, headers, body, signal }
}

/** Names of headers mean the same in any case: a custom one may not come beside one of ours. */
function lowered(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
}

/** What an answer means: the status line decides. */
export function receiptOf(returned: Returned, { at }: Pick<Call, 'at'>): Receipt {
  if ('failure' in returned) return { ok: false, error: `${returned.failure}: ${returned.message}` }
  const { statusCode } = returned
  const answer = { statusCode, responseBody: returned.body.toString() }
  if (statusCode >= 200 && statusCode < 300) return { ok: true, ...answer }
  const retryAfter = retryAfterOf(returned.headers['retry-after'], at)
  return {
    ...answer,
    ok: false,
    error: `http_${statusCode}: the receiver answered ${statusCode}`,
    gone: statusCode === GONE,
    ...(retryAfter !== undefined && { retryAfter }),
  }
}

const GONE = 410

/** Seconds, or a date in the form of HTTP. */
function retryAfterOf(header: string | string[] | undefined, at: Call['at']): number | undefined {
  if (typeof header !== 'string') return undefined
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000
  const date = parseTime(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - at.getTime())
}

/** Says why a webhook can never be delivered to: an address that is not allowed. Names are resolved later. */
export function webhookIssues(config: JsonObject, addresses: Addresses): Issue[] {
  const { url } = config
  if (typeof url !== 'string' || !URL.canParse(url)) return []
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const refusal = isIP(host) === 0 ? undefined : addresses.refusal(host)
  return refusal === undefined ? [] : [{ path: ['url'], code: 'address_blocked', message: refusal }]
}
