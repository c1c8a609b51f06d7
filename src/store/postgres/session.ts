/** How does one query reach PostgreSQL, and what comes back? @module */

import { Unsent } from './failures.ts'

/** What `pg` and what imitates it have in common: something that runs a query. */
export interface Client {
  /** Whether a query may be sent before those before it have been answered. */
  readonly pipeline?: boolean
  /** Runs a query; those of one client are run in the order in which they come. */
  query(config: ClientQuery): Promise<ClientResult>
}

/** A connection that has been taken from a pool. */
export interface PooledClient extends Client {
  /** Gives it back; with true, it is closed instead. */
  release(destroy?: boolean): void
  /** Has somebody hear of a connection that is lost. */
  on?(event: 'error', listener: () => void): unknown
  /** The opposite. */
  off?(event: 'error', listener: () => void): unknown
}

/** A pool of connections, such as that of `pg`. */
export interface Pool {
  /** Takes a connection, as soon as one is free. */
  connect(): Promise<PooledClient>
  /** Closes all of them. */
  end(): Promise<void>
}

/** A query as `pg` takes it. */
export interface ClientQuery {
  readonly text: string
  readonly values?: unknown[]
  /** A name under which the connection keeps it prepared. */
  readonly name?: string
  readonly types?: { getTypeParser(oid: number, format?: string): (text: never) => unknown }
}

/** What comes back from a query. */
export interface ClientResult {
  readonly rows: unknown[]
  readonly rowCount?: number | null
  /** What has been done, such as `SELECT`. */
  readonly command?: string
}

/** A connection, as the store uses it. */
export interface Session {
  /** Runs a query whose text never changes. */
  run(query: PreparedQuery, values: unknown[]): Promise<ClientResult>
  /** Runs a query that was put together for this once. */
  once(text: string, values?: readonly unknown[]): Promise<ClientResult>
}

/** A query that connections keep prepared. */
export interface PreparedQuery {
  readonly name: string
  readonly text: string
}

/**
 * Uses a connection. What is run at the same time is sent at once where the connection can, and in any case in order;
 * what waits for a query that fails is not sent.
 */
export function sessionOn(client: Client): Session {
  const send = client.pipeline ? (query: ClientQuery) => client.query(query) : inTurn(client)
  return {
    run: ({ name, text }, values) => send({ name, text, values, types: TYPES }),
    once: (text, values = []) => send({ text, values: [...values], types: TYPES }),
  }
}

/** Sends one query after the other. */
function inTurn(client: Client): Client['query'] {
  let last: Promise<unknown> = Promise.resolve()
  let asked = 0
  let failure: { readonly upTo: number; readonly cause: unknown } | null = null
  const sent = async (query: ClientQuery, number: number): Promise<ClientResult> => {
    if (failure !== null && number <= failure.upTo) throw new Unsent(failure.cause)
    try {
      return await client.query(query)
    } catch (cause) {
      failure = { upTo: asked, cause }
      throw cause
    }
  }
  return (query) => {
    const number = ++asked
    const next = last.then(() => sent(query, number))
    last = next.catch(() => {})
    return next
  }
}

/** The same session, but that nothing more is sent once a query has failed. */
export function untilFailure({ run, once }: Session): Session {
  let failure: { readonly error: unknown } | null = null
  const send = (query: () => Promise<ClientResult>): Promise<ClientResult> => {
    if (failure !== null) return Promise.reject(new Unsent(failure.error))
    const sent = query()
    sent.catch((error) => {
      failure ??= { error }
    })
    return sent
  }
  return {
    run: (query, values) => send(() => run(query, values)),
    once: (text, values) => send(() => once(text, values)),
  }
}

// PostgreSQL's numbers of the types whose text is not taken as it is. No place or time comes near 2⁵³.
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't',
  17: bytesIn,
  20: Number,
  21: Number,
  23: Number,
}

/** The bytes in either of the forms that a setting of the server's has them come in. */
function bytesIn(text: string): Buffer {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex')
  // A backslash is written twice, and what is not printable as three octal digits.
  const plain = text.replace(/\\(?:\\|([0-3][0-7]{2}))/g, (_, octal?: string) =>
    octal === undefined ? '\\' : String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(plain, 'latin1')
}

const AS_TEXT = (text: string): string => text

const TYPES = {
  getTypeParser: (oid: number) => (PARSERS[oid] ?? AS_TEXT) as (text: never) => unknown,
}
