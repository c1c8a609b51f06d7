/** What time is it, and how is a time written? @module */

/** The engine's only source of time. */
export interface Clock {
  /** The current time. */
  now(): Date
}

/** The clock of the machine. */
export const systemClock: Clock = { now: () => new Date() }

/** Milliseconds since 1970 as an ISO 8601 UTC string, the only form in which times leave the library. */
export function toIso(milliseconds: number): string {
  if (milliseconds !== last.milliseconds)
    last = { milliseconds, iso: new Date(milliseconds).toISOString() }
  return last.iso
}

// Writing a time takes a microsecond, and most times that are written are the same as the one before.
let last = { milliseconds: 0, iso: '1970-01-01T00:00:00.000Z' }

/** The latest time that `Date` can hold, in milliseconds: ECMAScript's limit of 10⁸ days. */
export const LATEST = 8.64e15
