/** How is a request sent to a stranger: only where it may go, and reading no more of the answer than is kept? @module */

import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { Agent, Pool } from 'undici'
import type { Addresses } from './addresses.ts'
import { Exchange, type Returned } from './exchange.ts'
import { givingUp, guardedConnector, type Needing } from './guard.ts'

/** What is sent. */
export interface Outgoing {
  readonly method: 'POST' | 'OPTIONS'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** Gives it up. */
  readonly signal: AbortSignal
}

/** Sends requests; connections are kept for the next one to the same place. */
export interface Requests {
  /** Sends one. Never throws. */
  send(outgoing: Outgoing): Promise<Returned>
  /** Closes all connections, and gives up what is under way. */
  close(): Promise<void>
}

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
    // The signal of each request is enough.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const underWay = new Set<Exchange>()
  let isClosed = false
  return {
    send: ({ signal, ...sent }) =>
      new Promise((resolve) => {
        const giveUp = () => exchange.giveUp()
        const exchange = new Exchange((returned) => {
          underWay.delete(exchange)
          signal.removeEventListener('abort', giveUp)
          resolve(returned)
        })
        underWay.add(exchange)
        signal.addEventListener('abort', giveUp)
        if (isClosed || signal.aborted) giveUp()
        else dispatch(agent, sent, exchange)
      }),
    close: () => {
      isClosed = true
      for (const exchange of underWay) exchange.giveUp()
      return agent.destroy()
    },
  }
}

/** Hands a request to the library: below its functions with promises and streams, which take as long again. */
function dispatch(
  agent: Agent,
  { method, url, headers, body }: Omit<Outgoing, 'signal'>,
  exchange: Exchange,
): void {
  try {
    const { origin, pathname, search } = new URL(url)
    const { need } = exchange
    const path = `${pathname}${search}`
    const options: Needing = { origin, path, method, headers, body, need }
    agent.dispatch(options, exchange)
  } catch (error) {
    exchange.onResponseError(undefined, error)
  }
}
