/** How hard is an event tried to be delivered? The option `delivery`. @module */

import type { LookupFunction } from 'node:net'
import type { JsonObject } from '../core/definition.ts'
import { DURATION_FORM, type Duration, toMilliseconds } from '../duration.ts'
import { type Issue, isPawlError, refuseIssues } from '../errors.ts'
import { unknownKeys } from '../runtime/options.ts'

/** How a destination proves that it wants events. */
export type VerificationMethod = 'challenge' | 'handshake' | 'ping' | 'manual'

/** How events are delivered, where a destination says nothing else in its own `delivery`. */
export interface DeliveryOptions {
  /** Ranges of addresses that requests may go to besides public ones, such as `127.0.0.0/8`. @defaultValue [] */
  readonly allowPrivate?: readonly string[]
  /**
   * How long to wait after each failure; one attempt more than there are waits.
   * @defaultValue ['5s', '5m', '30m', '2h', '5h', '10h', '10h']
   */
  readonly retries?: readonly Duration[]
  /** How long an attempt may take in all: connecting, headers and body. At most 5 minutes. @defaultValue '15s' */
  readonly timeout?: Duration
  /** By which part a wait is made longer or shorter at random, 0 to 1. @defaultValue 0.2 */
  readonly jitter?: number
  /** How a destination proves that it wants events. @defaultValue 'challenge' */
  readonly verification?: VerificationMethod
  /** How many attempts may be under way at once; a single destination gets half of them at most. @defaultValue 64 */
  readonly concurrency?: number
  /** Whether the events of a resource go one after the other, or each as soon as it can. @defaultValue 'resource' */
  readonly order?: 'resource' | 'none'
  /**
   * `reference` gives up earlier: 5 s for an attempt, three retries, and the first delivery that exhausts them
   * deactivates its destination.
   */
  readonly preset?: 'reference'
  /** Resolves host names, as `dns.lookup` does. @defaultValue that of the system */
  readonly lookup?: LookupFunction
}

/** The same, complete and in milliseconds. */
export interface DeliverySettings {
  readonly retries: readonly number[]
  readonly timeout: number
  readonly jitter: number
  readonly verification: VerificationMethod
  readonly order: 'resource' | 'none'
  /** How many attempts at once: of one destination, or in all. */
  readonly concurrency: number
  /** Whether a delivery that is exhausted deactivates the destination although it accepts others. */
  readonly isStrict: boolean
}

// Svix's schedule: half of a day of silence is bridged by it, and a weekend is not.
const RETRIES: readonly Duration[] = ['5s', '5m', '30m', '2h', '5h', '10h', '10h']

const DEFAULTS = { retries: RETRIES, timeout: '15s', isStrict: false } as const

// "Up to 3 retries, exponentially": what the reference platform says of itself, with its timeout.
const PRESETS = {
  reference: { retries: ['5s', '25s', '125s'], timeout: '5s', isStrict: true },
} as const

const LONGEST_TIMEOUT_MS = 300_000
// A hundred years: later times could not be written down.
const LONGEST_WAIT_MS = 36_500 * 86_400_000
const MOST_RETRIES = 100
const MOST_CONCURRENCY = 1000

const NAMES = [
  ...['allowPrivate', 'retries', 'timeout', 'jitter', 'verification', 'concurrency', 'order'],
  ...['preset', 'lookup'],
]

/** Completes the options of an engine. Throws `invalid_input` with all issues. */
export function toDeliverySettings(options: DeliveryOptions): DeliverySettings {
  refuseIssues('the option delivery', [...unknownKeys(options, NAMES), ...optionIssues(options)])
  const { preset, jitter = 0.2, verification = 'challenge', order = 'resource' } = options
  const base = preset === undefined ? DEFAULTS : PRESETS[preset]
  const { retries = base.retries, timeout = base.timeout, concurrency = 64 } = options
  return {
    retries: retries.map((wait) => toMilliseconds(wait)),
    timeout: toMilliseconds(timeout),
    ...{ jitter, verification, order, concurrency, isStrict: base.isStrict },
  }
}

/** The settings of a destination: its own, where it has some, before those of the engine. */
export function settingsOf(
  engine: DeliverySettings,
  delivery: JsonObject | null,
): DeliverySettings {
  const own = (delivery ?? {}) as Partial<{
    readonly retries: readonly Duration[]
    readonly timeout: Duration
    readonly verification: VerificationMethod
    readonly order: 'resource' | 'none'
    readonly concurrency: number
  }>
  return {
    ...engine,
    retries: own.retries?.map((wait) => toMilliseconds(wait)) ?? engine.retries,
    timeout: own.timeout === undefined ? engine.timeout : Math.max(1, toMilliseconds(own.timeout)),
    verification: own.verification ?? engine.verification,
    order: own.order ?? engine.order,
    concurrency: Math.min(own.concurrency ?? Math.ceil(engine.concurrency / 2), engine.concurrency),
  }
}

/** What each option has to be, beside left out. */
const SHAPES: readonly (readonly [keyof DeliveryOptions, (value: unknown) => boolean, string])[] = [
  ['allowPrivate', Array.isArray, 'a list of ranges of addresses'],
  [
    'retries',
    isSchedule,
    `a list of at most ${MOST_RETRIES} durations of at most 100 years, each ${DURATION_FORM}`,
  ],
  ['timeout', isTimeout, `a duration from 1 ms to 5 minutes: ${DURATION_FORM}`],
  ['jitter', isPart, 'a number from 0 to 1'],
  ['verification', isMethod, '"challenge", "handshake", "ping" or "manual"'],
  ['concurrency', isConcurrency, `a whole number from 1 to ${MOST_CONCURRENCY}`],
  ['order', (value) => value === 'resource' || value === 'none', '"resource" or "none"'],
  ['preset', (value) => value === 'reference', '"reference"'],
  ['lookup', (value) => typeof value === 'function', 'a function like dns.lookup'],
]

function optionIssues(options: DeliveryOptions): Issue[] {
  return SHAPES.filter(([name, fits]) => options[name] !== undefined && !fits(options[name])).map(
    ([name, , what]) => ({
      path: ['delivery', name],
      code: 'invalid_option',
      message: `has to be ${what}`,
    }),
  )
}

function isSchedule(value: unknown): boolean {
  return Array.isArray(value) && value.length <= MOST_RETRIES && value.every(isWait)
}

function isWait(value: unknown): boolean {
  return isDuration(value) && toMilliseconds(value as Duration) <= LONGEST_WAIT_MS
}

function isTimeout(value: unknown): boolean {
  if (!isDuration(value)) return false
  const timeout = toMilliseconds(value as Duration)
  return timeout >= 1 && timeout <= LONGEST_TIMEOUT_MS
}

function isDuration(value: unknown): boolean {
  try {
    toMilliseconds(value as Duration)
    return true
  } catch (error) {
    if (isPawlError(error, 'invalid_input')) return false
    throw error
  }
}

function isPart(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 1
}

function isMethod(value: unknown): boolean {
  return ['challenge', 'handshake', 'ping', 'manual'].includes(value as string)
}

function isConcurrency(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MOST_CONCURRENCY
}
