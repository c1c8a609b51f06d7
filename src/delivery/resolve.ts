/** Which address does a host have that may be connected to? @module */

import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import type { Addresses } from './addresses.ts'
import { guardedLookup } from './guard.ts'

/** Prepares resolving hosts for those who connect on their own. Rejects for an address that is not allowed. */
export function createResolver(
  addresses: Addresses,
  lookup: LookupFunction,
): (host: string) => Promise<string> {
  const resolve = guardedLookup(addresses, lookup)
  return (host) =>
    new Promise((found, refuse) => {
      const literal = host.replace(/^\[|\]$/g, '')
      const refusal = isIP(literal) === 0 ? undefined : addresses.refusal(literal)
      if (refusal !== undefined) refuse(new Error(`address_blocked: ${refusal}`))
      else if (isIP(literal) !== 0) found(literal)
      else resolve(host, {}, (error, address) => (error ? refuse(error) : found(String(address))))
    })
}
