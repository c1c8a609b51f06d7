/** How is a request sent to a stranger: only where it may go, within its time, and reading no more than is kept? @module */

import { lookup as systemLookup } from 'node:dns'
import { setMaxListeners } from 'node:events'
import type { LookupFunction } from 'node:net'
import { Agent, type Dispatcher, Pool, request } from 'undici'
import { messageOf } from '../errors.ts'
import type { Addresses } from './addresses.ts'
import { Blocked, givingUp, guardedConnector } from './guard.ts'

/** What is sent. */
export interface Outgoing {
  readonly method: 'POST' | 'OPTIONS'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** How long it may take from connecting to the last byte of the answer, in milliseconds; null where the signal keeps the time. */
  readonly timeout: number | null
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
  /** Closes all connections, and gives up what is under way. */
  close(): Promise<void>
}

// What is read of an answer; whoever sends more wants to do harm.
const MOST_BYTES = 65_536

// As much as Node allows a server to send by default.
const MOST_HEADER_BYTES = 16_384

const KEEP_ALIVE_MS = 10_000

/** Prepares sending requests to allowed addresses only; `lookup` resolves names, by default as the system does. */
export function createRequests(
  addresses: Addresses,
  lookup: LookupFunction = systemLookup as LookupFunction,
): Requests {
  const connections = givingUp(guardedConnector(addresses, lookup))
  const agent = new Agent({
    factory: (origin, options) => new Pool(origin, { ...options, factory: connections }),
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Whatever a receiver asks for.
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MOST_HEADER_BYTES,
    // The deadline of each request is enough.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const closing = new AbortController()
  // One for each request that is under way.
  setMaxListeners(0, closing.signal)
  return {
    send: (outgoing) => send(agent, outgoing, closing.signal),
    close: () => {
      closing.abort()
      return agent.destroy()
    },
  }
}

async function send(
  dispatcher: Dispatcher,
  outgoing: Outgoing,
  closing: AbortSignal,
): Promise<Returned> {
  const { method, url, headers, body, timeout } = outgoing
  const limit = limitedBy(timeout, outgoing.signal ? [closing, outgoing.signal] : [closing])
  const { signal } = limit
  const start = performance.now()
  const durationMs = () => Math.round(performance.now() - start)
  try {
    const answered = await request(url, { dispatcher, method, headers, body, signal })
    const { read, isWhole } = await firstBytes(answered.body)
    // The library connects once more for a request whose connection it has cut.
    if (!isWhole) limit.cut()
    const { statusCode, headers: sent } = answered
    return { statusCode, headers: sent, body: read, durationMs: durationMs() }
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error
    limit.cut()
    return { failure: failureOf(cause), message: causeOf(cause), durationMs: durationMs() }
  } finally {
    limit.end()
  }
}

/** Why a request is given up before it is answered. */
class GivenUp extends Error {
  readonly failure: RequestFailure

  constructor(failure: RequestFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

// Made once: an error costs as much as all the rest of this.
const OVER = new GivenUp('aborted', 'the request is over')

/**
 * A signal that gives up once the time is over, or another one does. `AbortSignal.any` would leave something behind
 * in those that last, for every request.
 */
function limitedBy(timeout: number | null, others: readonly AbortSignal[]): Limit {
  const over = new AbortController()
  const stop = () => over.abort(new GivenUp('aborted', 'the request was given up'))
  const late = () =>
    over.abort(new GivenUp('timed_out', `no answer within the timeout of ${timeout} ms`))
  const timer = timeout === null ? undefined : setTimeout(late, timeout)
  for (const other of others) other.addEventListener('abort', stop)
  if (others.some(({ aborted }) => aborted)) stop()
  const end = () => {
    clearTimeout(timer)
    for (const other of others) other.removeEventListener('abort', stop)
  }
  return { signal: over.signal, cut: () => over.abort(OVER), end }
}

interface Limit {
  readonly signal: AbortSignal
  /** Ends the request, whatever is left of it. */
  cut(): void
  /** Leaves nothing behind. */
  end(): void
}

/** Reads what is kept of a body. The status has come already: a body that fails or does not end changes nothing. */
async function firstBytes(
  body: Dispatcher.ResponseData['body'],
): Promise<{ readonly read: Buffer; readonly isWhole: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  let isWhole = true
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= MOST_BYTES) {
        isWhole = false
        break
      }
    }
  } catch {
    // What has come until then is kept.
    isWhole = false
  }
  return { read: Buffer.concat(chunks).subarray(0, MOST_BYTES), isWhole }
}

const NOT_FOUND = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENODATA'])

function failureOf(error: unknown): RequestFailure {
  const { name = '', code = '' } = error as { readonly name?: string; readonly code?: string }
  if (error instanceof GivenUp) return error.failure
  if (error instanceof Blocked) return 'address_blocked'
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
