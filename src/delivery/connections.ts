/** How is a broker reached: over one connection for each destination, kept for as long as it is used? @module */

import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { messageOf } from '../errors.ts'
import type { Call, Receipt, Target } from './destination-type.ts'

/** What kept a broker from taking an event. */
export type FailureKind =
  | 'address_blocked'
  | 'connection_failed'
  | 'access_refused'
  | 'channel_closed'
  | 'unroutable'
  | 'rejected'
  | 'timed_out'

/** Why a delivery has failed. */
export class Failure extends Error {
  constructor(kind: FailureKind, text: string, options?: { readonly cause?: unknown }) {
    super(`${kind}: ${text}`, options)
  }
}

/** What every configuration of a broker says. */
export interface Place {
  readonly host: string
}

/** A name or an address, of version 6 without brackets. */
export const host = z
  .string()
  .max(253)
  .regex(/^[^\s[\]/@]+$/, 'must be the name or the address of a host')
  .describe('The name or the address of the broker.')

/** How long a connection lasts. */
export interface Life {
  /** Aborted when nobody wants it any more: whatever is still open of it then has to be gone at once. */
  readonly signal: AbortSignal
  /** Says that it works no more: whoever uses it fails with this, and the next one gets another connection. */
  readonly lost: (why: Failure) => void
}

/** Connects to a destination, at this address and not by the name of its host. Throws a `Failure`. */
export type Open<C, Config> = (target: Target<Config>, address: string, life: Life) => Promise<C>

/** Lends connections. */
export interface Connections<C, Config> {
  /** Does something with the connection to a destination. Never throws, and gives up with the signal of the call. */
  use(
    target: Target<Config>,
    call: Call,
    work: (connection: C) => Promise<Receipt>,
  ): Promise<Receipt>
  /** Ends all of them, and whatever is under way on them. */
  close(): Promise<void>
}

/** A connection, or the attempt to make one, and those who use it or wait for it. */
interface Link<C, Config> {
  readonly target: Target<Config>
  readonly opened: Promise<C>
  readonly gone: AbortController
  /** Each of them fails when the connection does. */
  readonly users: Set<(why: Failure) => void>
  isOpen: boolean
  idle?: NodeJS.Timeout
  ended?: Promise<void>
}

const IDLE_MS = 60_000

// Time for a farewell to the broker.
const CLOSE_MS = 1000

/** Keeps one connection for each destination until nobody has used it for a while, or the destination is another. */
export function createConnections<C, Config extends Place>(
  open: Open<C, Config>,
  close: (connection: C) => Promise<unknown>,
  idleMs = IDLE_MS,
): Connections<C, Config> {
  type Kept = Link<C, Config>
  const current = new Map<string, Kept>()
  // Those of before a destination was changed are among them.
  const all = new Set<Kept>()

  const linkTo = (target: Target<Config>, call: Call): Kept => {
    const known = current.get(target.id)
    if (known !== undefined && isSame(known.target, target)) return known
    // What is still being sent by the old one is waited for; a second attempt to connect beside its own is not made.
    if (known !== undefined && (!known.isOpen || known.users.size === 0)) void end(known, REPLACED)
    const gone = new AbortController()
    const lost = (why: Failure): void => void end(link, why)
    const opened = connect(open, target, call, { signal: gone.signal, lost })
    const link: Kept = { target, opened, gone, users: new Set(), isOpen: false }
    opened.then(() => {
      link.isOpen = true
    }, lost)
    current.set(target.id, link)
    all.add(link)
    return link
  }

  const end = (link: Kept, why: Failure): Promise<void> => {
    if (current.get(link.target.id) === link) current.delete(link.target.id)
    clearTimeout(link.idle)
    link.ended ??= farewell(link, close).finally(() => all.delete(link))
    for (const fail of link.users) fail(why)
    return link.ended
  }

  /** Looks after a connection that someone has done with. */
  const afterUse = (link: Kept): void => {
    if (link.users.size > 0 || link.ended !== undefined) return
    if (current.get(link.target.id) !== link) void end(link, REPLACED)
    else if (!link.isOpen) void end(link, UNWANTED)
    else link.idle = setTimeout(() => void end(link, UNWANTED), idleMs).unref()
  }

  return {
    use: (target, call, work) =>
      call.signal.aborted
        ? Promise.resolve(failed(GIVEN_UP))
        : borrow(linkTo(target, call), call.signal, work, afterUse),
    close: async () => void (await Promise.all([...all].map((link) => end(link, CLOSED)))),
  }
}

const GIVEN_UP = new Failure('timed_out', 'the broker had not confirmed it when it was given up')
const CLOSED = new Failure('connection_failed', 'the connection has been closed')
const REPLACED = new Failure('connection_failed', 'the destination has been changed')
const UNWANTED = new Failure('connection_failed', 'nobody waits for the connection any more')

/** Whether a connection that was made to one target leads to the other. */
function isSame(one: Target<Place>, other: Target<Place>): boolean {
  return (
    isDeepStrictEqual(one.config, other.config) && isDeepStrictEqual(one.secrets, other.secrets)
  )
}

async function connect<C, Config extends Place>(
  open: Open<C, Config>,
  target: Target<Config>,
  call: Call,
  life: Life,
): Promise<C> {
  const address = await addressOf(target.config, call)
  if (life.signal.aborted) throw UNWANTED
  return open(target, address, life)
}

async function addressOf({ host }: Place, call: Call): Promise<string> {
  try {
    return await call.addressOf(host)
  } catch (error) {
    throw noAddress(error)
  }
}

function noAddress(cause: unknown): Failure {
  // The system has its own codes for a name that leads nowhere.
  const isBlocked = (cause as { readonly code?: unknown })?.code === undefined
  const text = messageOf(cause).replace(/^address_blocked: /, '')
  return new Failure(isBlocked ? 'address_blocked' : 'connection_failed', text, { cause })
}

/** Does something as soon as the connection is there; ends with the signal, or with the connection. */
async function borrow<C, Config>(
  link: Link<C, Config>,
  signal: AbortSignal,
  work: (connection: C) => Promise<Receipt>,
  afterUse: (link: Link<C, Config>) => void,
): Promise<Receipt> {
  clearTimeout(link.idle)
  let leave = (): void => {}
  const done = new Promise<Receipt>((resolve, reject) => {
    const giveUp = (): void => reject(GIVEN_UP)
    link.users.add(reject)
    signal.addEventListener('abort', giveUp, { once: true })
    leave = () => {
      link.users.delete(reject)
      signal.removeEventListener('abort', giveUp)
    }
    // Whoever has gone in the meantime wants nothing sent any more.
    const begin = (connection: C) =>
      signal.aborted || link.ended !== undefined ? failed(GIVEN_UP) : work(connection)
    link.opened.then(begin).then(resolve, reject)
  })
  try {
    return await done
  } catch (error) {
    return failed(error)
  } finally {
    leave()
    afterUse(link)
  }
}

function failed(error: unknown): Receipt {
  const why = error instanceof Failure ? error : new Failure('rejected', messageOf(error))
  return { ok: false, error: why.message }
}

/** Closes a connection as politely as there is time for; one that is not there yet, at once. */
async function farewell<C, Config>(
  { isOpen, gone, opened }: Link<C, Config>,
  close: (connection: C) => Promise<unknown>,
): Promise<void> {
  if (!isOpen) gone.abort()
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, CLOSE_MS)
    const over = (): void => {
      clearTimeout(late)
      resolve()
    }
    opened.then(close).then(over, over)
  })
  gone.abort()
}

/** Loads a package that only those have installed who use it. */
export async function loadOptional<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    throw notLoaded(name, error)
  }
}

function notLoaded(name: string, cause: unknown): Failure {
  const { code } = cause as { readonly code?: unknown }
  const isMissing = code === 'ERR_MODULE_NOT_FOUND'
  const text = isMissing ? `${name} has to be installed: npm install ${name}` : messageOf(cause)
  return new Failure('connection_failed', text, { cause })
}
