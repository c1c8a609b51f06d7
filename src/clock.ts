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
  return new Date(milliseconds).toISOString()
}

/** The latest time that `Date` can hold, in milliseconds: ECMAScript's limit of 10⁸ days. */
export const LATEST = 8.64e15
