/** Which errors does pawl raise, and what does each of them carry? @module */

/** Why a command is not legal now. */
export type RefusalReason =
  | 'not_accepted'
  | 'guard'
  | 'terminal'
  | 'reserved'
  | 'in_use'
  | 'reference'

/** One thing that stands in the way of a command. */
export interface Blocker {
  /** A stable name for programs, such as `in_use` or the name of a guard. */
  readonly code: string
  /** The same for people. */
  readonly message: string
  /** The resource that stands in the way, if it is another one. */
  readonly resource_id?: string
}

/** One defect of an input. */
export interface Issue {
  /** Where in the input, from the outside in; empty for the input as a whole. */
  readonly path: readonly (string | number)[]
  /** A stable name for programs. */
  readonly code: string
  /** The same for people. */
  readonly message: string
}

/** What is wrong with a request that claims to be a webhook. */
export type WebhookDefect =
  | 'header_missing'
  | 'timestamp_malformed'
  | 'timestamp_too_old'
  | 'timestamp_too_new'
  | 'signature_mismatch'
  | 'body_malformed'

/** What each error code carries in `details`. */
export interface ErrorDetails {
  illegal_transition: {
    /** The resource that refused; null when it would have been created by the command. */
    readonly resource_id: string | null
    /** Its status; null when it would have been created by the command. */
    readonly status: string | null
    readonly command: string
    readonly reason: RefusalReason
    /** The commands that the machine accepts in this status. */
    readonly accepts: readonly string[]
    readonly blockers: readonly Blocker[]
  }
  version_conflict: {
    readonly resource_id: string
    readonly expected: number
    readonly actual: number
  }
  not_found: { readonly resource_id: string }
  already_exists: { readonly resource_id: string }
  invalid_input: { readonly issues: readonly Issue[] }
  idempotency_mismatch: { readonly key: string }
  encryption_key_missing: { readonly resource_type: string; readonly secret: string }
  decryption_failed: { readonly resource_id: string; readonly secret: string }
  machine_invalid: { readonly machine: string; readonly reason: string }
  storage_busy: { readonly operation: string }
  storage_full: { readonly operation: string }
  storage_failed: { readonly operation: string }
  storage_corrupt: { readonly operation: string }
  indeterminate: { readonly operation: string }
  transaction_misuse: { readonly reason: string }
  schema_too_new: { readonly found: string }
  closed: { readonly operation: string }
  webhook_invalid: { readonly reason: WebhookDefect }
}

/** The stable name of an error. */
export type ErrorCode = keyof ErrorDetails

const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['storage_busy', 'storage_full', 'indeterminate'])

// A registered symbol recognises errors of a second copy of the package too.
const BRAND = Symbol.for('pawl.error')

/**
 * The base of every error that pawl raises; narrow it with `isPawlError(error, code)`.
 *
 * The values that belong to the code are properties of the error, and together its `details`.
 */
export class PawlError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'PawlError'
  /** The stable name of the error. */
  readonly code: C
  /** True when the same call may succeed later without any change. */
  readonly retryable: boolean
  /** The values that belong to the code. */
  declare readonly details: ErrorDetails[C]

  /** The error with its message, which JSON.stringify would leave out. */
  toJSON(): Readonly<Record<string, unknown>> {
    return { code: this.code, message: this.message, retryable: this.retryable, ...this.details }
  }

  constructor(
    code: C,
    message: string,
    details: ErrorDetails[C],
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
    this.code = code
    this.retryable = RETRYABLE.has(code)
    Object.assign(this, details)
    // Not enumerable, so that an error prints its values once.
    Object.defineProperties(this, { details: { value: details }, [BRAND]: { value: true } })
  }
}

/** An error of this code, with the values that belong to it. */
export type PawlErrorOf<C extends ErrorCode> = {
  [Code in C]: PawlError<Code> & ErrorDetails[Code]
}[C]

/** Tells whether a thrown value is an error of pawl, and of this code if one is given. */
export function isPawlError(error: unknown): error is PawlErrorOf<ErrorCode>
export function isPawlError<C extends ErrorCode>(error: unknown, code: C): error is PawlErrorOf<C>
export function isPawlError(error: unknown, code?: ErrorCode): boolean {
  if (typeof error !== 'object' || error === null || !(BRAND in error)) return false
  return code === undefined || ('code' in error && error.code === code)
}

// More parts than this say no more, and more of a text neither.
const SHOWN_PARTS = 1000
const SHOWN_LENGTH = 1000

/** A value as messages show it; unlike JSON.stringify it takes any, however long. */
export function shown(value: unknown): string {
  let parts = 0
  const counted = (key: string, part: unknown): unknown => {
    parts += 1
    if (parts > SHOWN_PARTS || key.length > SHOWN_LENGTH)
      throw new RangeError('too long to be shown')
    const isLong = typeof part === 'string' && part.length > SHOWN_LENGTH
    return isLong ? `${part.slice(0, SHOWN_LENGTH)}…` : part
  }
  try {
    return JSON.stringify(value, counted) ?? String(value)
  } catch {
    return sortOf(value)
  }
}

function sortOf(value: unknown): string {
  try {
    return Object.prototype.toString.call(value)
  } catch {
    return 'what cannot be read'
  }
}

// Written with a vowel and spoken without one: a user, a unit, a URL.
const SPOKEN_WITHOUT_VOWEL = /^(?:eu|u(?:int|ni(?!n)|rl|s[aeu]))/i

/** A name with its article, as messages show it. */
export function withArticle(name: string): string {
  return `${/^[aeiou]/i.test(name) && !SPOKEN_WITHOUT_VOWEL.test(name) ? 'an' : 'a'} ${name}`
}

// Enough of a value to recognise it.
const BRIEF_LENGTH = 200

/** A value as messages show it, shortened. */
export function brief(value: unknown): string {
  const text = typeof value === 'string' ? value : shown(value)
  return text.length > BRIEF_LENGTH ? `${text.slice(0, BRIEF_LENGTH)}…` : text
}

/** What a thrown value says, whatever it is; of an object that is no error only what sort it is. */
export function messageOf(thrown: unknown): string {
  const said: unknown = thrown instanceof Error ? thrown.message : thrown
  const isPlain = said === null || (typeof said !== 'object' && typeof said !== 'function')
  return isPlain ? String(said) : sortOf(said)
}

/** Builds an `invalid_input` error whose message repeats every issue. */
export function invalidInput(
  subject: string,
  issues: readonly Issue[],
  cause?: unknown,
): PawlError<'invalid_input'> {
  const lines = issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  )
  const verb = PLURAL.test(subject) ? 'are' : 'is'
  const message = `${subject} ${verb} not valid: ${lines.join('; ')}`
  return new PawlError('invalid_input', message, { issues }, cause === undefined ? {} : { cause })
}

// Its noun comes first: the options of something, but the status, and the address.
const PLURAL = /^the \w+[^\Wius]s\b/

/** Throws `invalid_input` if there are issues. */
export function refuseIssues(subject: string, issues: readonly Issue[]): void {
  if (issues.length > 0) throw invalidInput(subject, issues)
}

/** Builds a `not_found` error. */
export function notFound(id: string, type = 'resource'): PawlError<'not_found'> {
  return new PawlError(
    'not_found',
    `there is no ${type} ${shown(id)} here; check the id and the tenant`,
    {
      resource_id: id,
    },
  )
}

/** Builds the error of a call that comes too late. */
export function closed(what = 'engine'): PawlError<'closed'> {
  return new PawlError('closed', `the ${what} has been closed; create a new one`, {
    operation: 'call',
  })
}

/** Builds a `machine_invalid` error that names the machine. */
export function machineInvalid(
  machine: string,
  reason: string,
  cause?: unknown,
): PawlError<'machine_invalid'> {
  return new PawlError(
    'machine_invalid',
    `the machine of ${JSON.stringify(machine)} cannot work: ${reason}`,
    { machine, reason },
    { cause },
  )
}
