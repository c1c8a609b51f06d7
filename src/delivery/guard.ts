/** How is a connection made only to where it may go, and given up with the request that needs it? @module */

import type { LookupAddress, LookupOptions } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { buildConnector, Client, type Dispatcher, type Pool } from 'undici'
import type { Addresses } from './addresses.ts'

/** Why a connection is not made: the address may not be connected to. */
export class Blocked extends Error {}

type Connect = (
  options: buildConnector.Options,
  callback: buildConnector.Callback,
  /** Gives up connecting. */
  signal: AbortSignal,
) => void

/**
 * Makes the connections of a pool. The library lets a request wait for its connection even when it is aborted: here,
 * connecting is given up with the request that needs it, of which a connection has only one at a time.
 */
export function givingUp(connect: Connect): NonNullable<Pool.Options['factory']> {
  return (origin, options) => {
    let { signal } = new AbortController()
    const client = new Client(origin, {
      ...options,
      connect: (to, callback) => connect(to, callback, signal),
    })
    const dispatch = client.dispatch.bind(client)
    client.dispatch = (sent: Dispatcher.DispatchOptions & { signal?: AbortSignal }, handler) => {
      if (sent.signal) signal = sent.signal
      return dispatch(sent, handler)
    }
    return client
  }
}

/** Connects to what has been checked: a literal address as it is, a name only if all its addresses are allowed. */
export function guardedConnector(addresses: Addresses, lookup: LookupFunction): Connect {
  // It has the time that the request has.
  const connect = buildConnector({ lookup: guardedLookup(addresses, lookup), timeout: 0 })
  return (options, callback, signal) => {
    const host = options.hostname.replace(/^\[|\]$/g, '')
    // Names are checked when they have been resolved; for a literal address nothing is.
    const refusal = isIP(host) === 0 ? undefined : addresses.refusal(host)
    if (refusal !== undefined) return callback(new Blocked(refusal), null)
    if (signal.aborted) return callback(signal.reason, null)
    const giveUp = () => socket.destroy(signal.reason)
    const socket = connect(options, (...result) => {
      signal.removeEventListener('abort', giveUp)
      callback(...result)
    }) as unknown as Socket // As it is, whatever its type says.
    return signal.addEventListener('abort', giveUp)
  }
}

/** Resolves a name only if all its addresses are allowed. */
export function guardedLookup(addresses: Addresses, lookup: LookupFunction): LookupFunction {
  return (name, options, callback) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, [])
      const list = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found
      const refusal = list.map(({ address }) => addresses.refusal(address)).find(Boolean)
      if (refusal !== undefined) return callback(new Blocked(blockedName(name)), [])
      return answer(list, options, callback)
    })
  }
}

/** Whoever chose the name may not learn from it what addresses there are inside. */
function blockedName(name: string): string {
  return `${name} leads to an address that is not public; the option delivery.allowPrivate can allow its range`
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
