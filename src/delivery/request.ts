/** How is a request sent to a stranger: only where it may go, within its time, and reading no more than is kept? @module */

import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { Agent, buildConnector, type Dispatcher, request } from 'undici'
import { messageOf } from '../errors.ts'
import type { Addresses } from './addresses.ts'

/** What is sent. */
export interface Outgoing {
  readonly method: 'POST' | 'OPTIONS'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** How long it may take from connecting to the last byte of the answer, in milliseconds. */
  readonly timeout: number
  /** Gives it up. */
  readonly signal?: AbortSignal
}

/** What kept a request from being answered. */
export type RequestFailure =
  | 'address_blocked'
  | 'aborted'
  | 'connection_failed'
  | 'name_not_found'
  | 'timed_out'
  | 'tls_failed'
  | 'answer_malformed'

/** What came back: an answer, or why there is none. */
export type Returned = { readonly durationMs: number } & (
  | {
      readonly statusCode: number
      readonly headers: Readonly<Record<string, string | string[] | undefined>>
      /** At most so much of it as is read. */
      readonly body: Buffer
    }
  | { readonly failure: RequestFailure; readonly message: string }
)

/** Sends requests; connections are kept for the next one to the same place. */
export interface Requests {
  /** Sends one. Never throws. */
  send(outgoing: Outgoing): Promise<Returned>
  /** Closes all connections. */
  close(): Promise<void>
}

// What is read of an answer; whoever sends more wants to do harm.
const MOST_BYTES = 65_536

// As much as Node allows a server to send by default.
const MOST_HEADER_BYTES = 16_384

const KEEP_ALIVE_MS = 10_000

/** Why a connection is not made: the address may not be connected to. */
class Blocked extends Error {}

/** Prepares sending requests to allowed addresses only; `lookup` resolves names, by default as the system does. */
export function createRequests(
  addresses: Addresses,
  lookup: LookupFunction = systemLookup as LookupFunction,
): Requests {
  const agent = new Agent({
    connect: guardedConnector(addresses, lookup),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MOST_HEADER_BYTES,
    // The deadline of each request is enough.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  return { send: (outgoing) => send(agent, outgoing), close: () => agent.destroy() }
}

async function send(dispatcher: Dispatcher, outgoing: Outgoing): Promise<Returned> {
  const { method, url, headers, body, timeout } = outgoing
  const deadline = AbortSignal.timeout(timeout)
  const signal = outgoing.signal ? AbortSignal.any([deadline, outgoing.signal]) : deadline
  const start = performance.now()
  const durationMs = () => Math.round(performance.now() - start)
  try {
    const answered = await request(url, { dispatcher, method, headers, body, signal })
    const read = await firstBytes(answered.body)
    const { statusCode, headers: sent } = answered
    return { statusCode, headers: sent, body: read, durationMs: durationMs() }
  } catch (error) {
    const failure = deadline.aborted ? 'timed_out' : failureOf(error)
    const message = failure === 'timed_out' ? `no answer within ${timeout} ms` : causeOf(error)
    return { failure, message, durationMs: durationMs() }
  }
}

/** Reads what is kept of a body. The status has come already: a body that fails or does not end changes nothing. */
async function firstBytes(body: Dispatcher.ResponseData['body']): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= MOST_BYTES) break
    }
  } catch {
    // What has come until then is kept.
  }
  return Buffer.concat(chunks).subarray(0, MOST_BYTES)
}

/** Connects to what has been checked: a literal address as it is, a name only if all its addresses are allowed. */
function guardedConnector(addresses: Addresses, lookup: LookupFunction): buildConnector.connector {
  const connect = buildConnector({ lookup: guardedLookup(addresses, lookup) })
  return (options, callback) => {
    const host = options.hostname.replace(/^\[|\]$/g, '')
    // Names are checked when they have been resolved; for a literal address nothing is.
    const refusal = isIP(host) === 0 ? undefined : addresses.refusal(host)
    if (refusal === undefined) connect(options, callback)
    else callback(new Blocked(refusal), null)
  }
}

function guardedLookup(addresses: Addresses, lookup: LookupFunction): LookupFunction {
  return (name, options, callback) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, [])
      const list = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found
      const refusal = list.map(({ address }) => addresses.refusal(address)).find(Boolean)
      if (refusal !== undefined) return callback(new Blocked(`${name}: ${refusal}`), [])
      return answer(list, options, callback)
    })
  }
}

/** Gives what was found in the form in which it was asked for. */
function answer(
  [first, ...others]: readonly LookupAddress[],
  { all = false }: LookupOptions,
  callback: Parameters<LookupFunction>[2],
): void {
  if (first === undefined) callback(new Error('the name has no address'), [])
  else if (all) callback(null, [first, ...others])
  else callback(null, first.address, first.family)
}

const NOT_FOUND = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENODATA'])

function failureOf(error: unknown): RequestFailure {
  const { name = '', code = '' } = error as { readonly name?: string; readonly code?: string }
  if (error instanceof Blocked) return 'address_blocked'
  if (name === 'AbortError') return 'aborted'
  if (NOT_FOUND.has(code)) return 'name_not_found'
  if (/^(?:ERR_TLS|ERR_SSL|CERT|DEPTH|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code)) return 'tls_failed'
  const isMalformed = name === 'HTTPParserError' || /^(?:HPE_|UND_ERR_HEADERS_)/.test(code)
  return isMalformed ? 'answer_malformed' : 'connection_failed'
}

function causeOf(error: unknown): string {
  // Where a name has several addresses, the first failure speaks for all.
  const [first = error] = error instanceof AggregateError ? error.errors : []
  return messageOf(first)
}
