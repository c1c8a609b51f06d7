/** How is a connection made only to where it may go, and given up with the request that needs it? @module */

import type { LookupAddress, LookupOptions } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { buildConnector, Client, type Dispatcher, type Pool } from 'undici'
import type { Addresses } from './addresses.ts'

/** Why a connection is not made: the address may not be connected to. */
export class Blocked extends Error {}

/** A request's need of a connection. */
export interface Need {
  /** Whether it needs none any more. */
  isOver: boolean
  /** Called when it is over. */
  onOver: (() => void) | null
}

/** A request, with its need of a connection. */
export interface Needing extends Dispatcher.DispatchOptions {
  readonly need: Need
}

type Connect = (
  options: buildConnector.Options,
  callback: buildConnector.Callback,
  need: Need,
) => void

/**
 * Makes the connections of a pool. The library goes on connecting for a request that was aborted, and connects once
 * more for one whose connection was cut: here, connecting is given up with the request that needs it. There is only
 * one: a pool gives a connection no further request before it has answered the last.
 */
export function givingUp(connect: Connect): NonNullable<Pool.Options['factory']> {
  return (origin, options) => {
    let need: Need = { isOver: false, onOver: null }
    const client = new Client(origin, {
      ...options,
      connect: (to, callback) => connect(to, callback, need),
    })
    const dispatch = client.dispatch.bind(client)
    client.dispatch = (sent: Dispatcher.DispatchOptions | Needing, handler) => {
      if ('need' in sent) need = sent.need
      return dispatch(sent, handler)
    }
    return client
  }
}

// The library fails the requests that wait for a connection with it.
const NOT_NEEDED = new Error('nobody needs the connection any more')

/** Connects to what has been checked: a literal address as it is, a name only if all its addresses are allowed. */
export function guardedConnector(addresses: Addresses, lookup: LookupFunction): Connect {
  // It has the time that the request has.
  const connect = buildConnector({ lookup: guardedLookup(addresses, lookup), timeout: 0 })
  return (options, callback, need) => {
    const host = options.hostname.replace(/^\[|\]$/g, '')
    // Names are checked when they have been resolved; for a literal address nothing is.
    const refusal = isIP(host) === 0 ? undefined : addresses.refusal(host)
    if (refusal !== undefined) return callback(new Blocked(refusal), null)
    if (need.isOver) return callback(NOT_NEEDED, null)
    const socket = connect(options, (...result) => {
      need.onOver = null
      callback(...result)
    }) as unknown as Socket // As it is, whatever its type says.
    need.onOver = () => socket.destroy(NOT_NEEDED)
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
