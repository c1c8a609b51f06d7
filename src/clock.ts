/** What time is it, and how is a time written? @module */

/** The engine's only source of time. */
export interface Clock {
  /** The current time. */
  now(): Date
}

/** A clock that can also be waited for. */
export interface AlarmClock extends Clock {
  /** Calls back at a time (milliseconds since 1970), at once when it is past; gives a function that calls it off. */
  alarm(time: number, ring: () => void): () => void
}

// `setTimeout` takes 2³¹ − 1 ms; far below, a clock that was set anew is noticed in time.
const LONGEST_TIMEOUT_MS = 60_000

/** The clock of the machine. */
export const systemClock: AlarmClock = {
  now: () => new Date(),
  alarm: (time, ring) => {
    let timeout: NodeJS.Timeout
    const wait = (): void => {
      const rest = time - Date.now()
      timeout = setTimeout(rest > LONGEST_TIMEOUT_MS ? wait : ring, clamp(rest))
    }
    wait()
    return () => clearTimeout(timeout)
  },
}

function clamp(milliseconds: number): number {
  return Math.min(Math.max(0, milliseconds), LONGEST_TIMEOUT_MS)
}

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

/** Milliseconds since 1970 of a time in ISO 8601, or as HTTP writes it; NaN for what is none. */
export function parseTime(text: string): number {
  return Date.parse(text)
}

/** Whether a value is a `Date`, of this or any other sort. */
export function isDate(value: unknown): value is Date {
  return value instanceof Date
}

/** The latest time that `Date` can hold, in milliseconds: ECMAScript's limit of 10⁸ days. */
export const LATEST = 8.64e15
