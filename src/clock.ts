/** What time is it, and how is a time written? @module */

/** The engine's only source of time. */
export interface Clock {
  /** The current time. */
  now(): Date
}

/** The clock of the machine. */
export const systemClock: Clock = { now: () => new Date() }

// Writing a time takes half a microsecond, and a command writes the same few times again and again.
const REMEMBERED_TIMES = 4096
const remembered = new Map<number, string>()

/** Milliseconds since 1970 as an ISO 8601 UTC string, the only form in which times leave the library. */
export function toIso(milliseconds: number): string {
  const known = remembered.get(milliseconds)
  if (known !== undefined) return known
  if (remembered.size >= REMEMBERED_TIMES) remembered.clear()
  const iso = new Date(milliseconds).toISOString()
  remembered.set(milliseconds, iso)
  return iso
}

/** The latest time that `Date` can hold, in milliseconds: ECMAScript's limit of 10⁸ days. */
export const LATEST = 8.64e15
