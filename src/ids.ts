/** How are ids made? @module */

import { randomBytes } from 'node:crypto'
import { customAlphabet, customRandom } from 'nanoid'

/** The engine's only source of randomness. */
export interface Ids {
  /** A new id with this prefix; ids made later sort after those made earlier, to the millisecond. */
  next(prefix: string, milliseconds: number): string
  /** Random bytes, for secrets and nonces. */
  bytes(length: number): Buffer
}

// In ASCII order, so that texts sort like the numbers that they stand for.
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

// 62⁸ milliseconds last until the year 8888.
const TIME_DIGITS = 8

// 14 digits of base 62 carry 83 bits: a collision within one millisecond is out of reach.
const RANDOM_DIGITS = 14

// The digits of so many ids are made at a time: cut from one text, each costs a tenth. nanoid takes 128 times as many
// random bytes from the system, which gives 65,536 at a time.
const AT_ONCE = 16

/**
 * Ids from the operating system's randomness or, for tests only, reproducible ones from a seed.
 * `start` tells one run with a seed from the next: on the same database they may not repeat ids.
 */
export function createIds(seed?: number, start = 0): Ids {
  const bytes = seed === undefined ? randomBytes : seededBytes(seed, start)
  const many = RANDOM_DIGITS * AT_ONCE
  const random = randomDigits(
    seed === undefined ? customAlphabet(ALPHABET, many) : customRandom(ALPHABET, many, bytes),
  )
  const time = timeDigits()
  return {
    next: (prefix, milliseconds) => `${prefix}_${time(milliseconds)}${random()}`,
    bytes,
  }
}

/** What sorts right before the first id that can have been made at a time. */
export function firstIdAt(prefix: string, milliseconds: number): string {
  return `${prefix}_${timeDigits()(milliseconds)}`
}

/** Cuts the digits of one id after the other from what it is given. */
function randomDigits(more: () => string): () => string {
  let digits = ''
  let used = 0
  return () => {
    if (used === digits.length) {
      digits = more()
      used = 0
    }
    used += RANDOM_DIGITS
    return digits.slice(used - RANDOM_DIGITS, used)
  }
}

/** Writes a time in the alphabet's digits; remembers the last one, since ids come in bursts. */
function timeDigits(): (milliseconds: number) => string {
  let last = Number.NaN
  let digits = ''
  return (milliseconds) => {
    if (milliseconds === last) return digits
    last = milliseconds
    digits = ''
    let rest = Math.max(0, milliseconds)
    for (let place = 0; place < TIME_DIGITS; place++) {
      digits = ALPHABET[rest % 62] + digits
      rest = Math.floor(rest / 62)
    }
    return digits
  }
}

/** Marsaglia's xorshift32: short, and good enough where only repeatability counts. */
function seededBytes(seed: number, start: number): (length: number) => Buffer {
  let state = (Math.imul(seed, 0x9e3779b9) ^ Math.imul(start + 1, 0x85ebca6b)) >>> 0 || 1
  return (length) => {
    const bytes = Buffer.alloc(length)
    for (let index = 0; index < length; index++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      bytes[index] = state & 0xff
    }
    return bytes
  }
}
