/** How long is `'10m'`? @module */

import { invalidInput, shown } from './errors.ts'

/** A length of time: `'250ms'`, `'30s'`, `'10m'`, `'2h'`, `'90d'`, or a number of milliseconds. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** What a duration looks like, for messages. */
export const DURATION_FORM =
  'a number and its unit (ms, s, m, h or d) without a space, such as "5s", "30m" or "1.5h", or a number of milliseconds'

const FORM = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/**
 * Converts a duration to whole milliseconds.
 *
 * Throws `invalid_input` naming `option` for anything else, negative and infinite lengths included.
 */
export function toMilliseconds(duration: Duration, option = 'duration'): number {
  const [, amount, unit] = typeof duration === 'string' ? (FORM.exec(duration) ?? []) : []
  const milliseconds =
    typeof duration === 'number' ? duration : Number(amount) * UNITS[unit as keyof typeof UNITS]
  if (Number.isFinite(milliseconds) && milliseconds >= 0) return Math.round(milliseconds)
  const message = `${shown(duration)} is not a duration: use ${DURATION_FORM}`
  throw invalidInput(option, [{ path: [option], code: 'invalid_duration', message }])
}
