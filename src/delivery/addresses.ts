/** Where may a request go? Only to public addresses, unless others are allowed range by range. @module */

import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { invalidInput } from '../errors.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

type Range = readonly [base: Address, bits: number]

/** Decides about addresses. */
export interface Addresses {
  /** Why an address may not be connected to; undefined when it may. */
  refusal(address: string): string | undefined
}

// The wire server of Azure hands out credentials at a public address.
const AZURE_WIRE_SERVER = '168.63.129.16'

// IPv4-compatible addresses are deprecated, and some systems connect them to the IPv4 address inside.
const IPV4_COMPATIBLE = ipaddr.IPv6.parseCIDR('::/96')

/** Reads the ranges that are allowed besides public addresses. Throws `invalid_input` for what is none. */
export function createAddresses(allowed: readonly string[]): Addresses {
  const ranges = allowed.map(toRange)
  return {
    refusal: (text) => {
      if (isIP(text) === 0) return `${text} is not an address`
      const address = read(text)
      const sort = sortOf(address)
      if (sort === 'unicast' || ranges.some((range) => isWithin(address, range))) return undefined
      return `${text} is not a public address (${sort}); the option delivery.allowPrivate can allow its range`
    },
  }
}

/** Reads an address; IPv4 within IPv6 as what it stands for. */
function read(text: string): Address {
  const [, inside] = /^::(\d+(?:\.\d+){3})$/.exec(text) ?? []
  // The library takes this way of writing IPv4-compatible addresses for IPv4-mapped ones.
  const compatible = inside === undefined ? [] : ipaddr.IPv4.parse(inside).toByteArray()
  return inside === undefined
    ? ipaddr.process(text)
    : new ipaddr.IPv6([...Array<number>(12).fill(0), ...compatible])
}

/** What sort of address it is; `unicast` for the public ones. */
function sortOf(address: Address): string {
  if (address.toString() === AZURE_WIRE_SERVER) return 'cloud metadata'
  const isCompatible = address instanceof ipaddr.IPv6 && address.match(IPV4_COMPATIBLE)
  const range = address.range()
  return isCompatible && range === 'unicast' ? 'ipv4Compatible' : range
}

function isWithin(address: Address, [base, bits]: Range): boolean {
  return address.kind() === base.kind() && address.match(base as never, bits)
}

function toRange(text: string, index: number): Range {
  try {
    const [base, bits] = ipaddr.parseCIDR(text)
    // An IPv4 range written within IPv6 means the addresses inside.
    const isMapped = base instanceof ipaddr.IPv6 && base.isIPv4MappedAddress() && bits >= 96
    return isMapped ? [base.toIPv4Address(), bits - 96] : [base, bits]
  } catch (cause) {
    const message = 'has to be a range of addresses such as "127.0.0.0/8" or "::1/128"'
    const issue = { path: ['delivery', 'allowPrivate', index], code: 'invalid_range', message }
    throw invalidInput('the option delivery', [issue], cause)
  }
}
