/** Are the options of a call what they have to be? @module */

import type { Caller, Context } from '../context.ts'
import { detach } from '../core/json.ts'
import { type Issue, invalidInput, refuseIssues } from '../errors.ts'
import { taken } from '../given.ts'

/** Who is behind a call: what sort of caller, which one, and whatever else is worth keeping. Plain JSON. */
export interface Actor {
  readonly type?: string
  readonly id?: string
  readonly [detail: string]: unknown
}

/** Options of `create`. */
export interface CreateOptions {
  /**
   * Makes the request take effect once: for 24 hours, the same request with the same key gives the
   * first outcome again, `replayed: true`. Up to 256 characters.
   */
  readonly idempotencyKey?: string
  /** Who is behind it; kept in the log with every entry that the call causes. */
  readonly actor?: Actor
  /** Ties together what belongs together; the engine makes one up by default. Up to 255 characters. */
  readonly correlationId?: string
}

/** Options of `reveal`. */
export type RevealOptions = Omit<CreateOptions, 'idempotencyKey'>

/** Options of `send`. */
export interface SendOptions extends CreateOptions {
  /** Refuses the command with `version_conflict` unless the resource is at this version. */
  readonly expectedVersion?: number
}

// Ids that others make up: as long as ids may be anywhere in pawl.
const LONGEST_ID = 255
const LONGEST_KEY = 256

const CREATE_OPTIONS = ['idempotencyKey', 'actor', 'correlationId']

const NO_OPTIONS = {}

/** Takes the options of `create`. Throws `invalid_input` with all issues. */
export function toCreateOptions(given: CreateOptions | undefined): CreateOptions {
  if (given === undefined) return NO_OPTIONS
  const options = taken(given)
  refuseIssues('the options', [...unknownKeys(options, CREATE_OPTIONS), ...createIssues(options)])
  return options
}

/** Takes the options of `reveal`. Throws `invalid_input` with all issues. */
export function toRevealOptions(given: RevealOptions | undefined): RevealOptions {
  if (given === undefined) return NO_OPTIONS
  const options = taken(given)
  const known = CREATE_OPTIONS.filter((name) => name !== 'idempotencyKey')
  refuseIssues('the options', [...unknownKeys(options, known), ...createIssues(options)])
  return options
}

/** Takes the options of `send`. Throws `invalid_input` with all issues. */
export function toSendOptions(given: SendOptions | undefined): SendOptions {
  if (given === undefined) return NO_OPTIONS
  const options = taken(given)
  const issues = [
    ...unknownKeys(options, [...CREATE_OPTIONS, 'expectedVersion']),
    ...createIssues(options),
  ]
  const { expectedVersion } = options ?? {}
  if (
    expectedVersion !== undefined &&
    !(Number.isSafeInteger(expectedVersion) && expectedVersion >= 1)
  ) {
    issues.push({
      path: ['expectedVersion'],
      code: 'invalid_version',
      message: 'has to be a positive whole number',
    })
  }
  refuseIssues('the options', issues)
  return options
}

function createIssues(options: CreateOptions): Issue[] {
  const { idempotencyKey, correlationId } = options ?? {}
  const issues: Issue[] = []
  if (idempotencyKey !== undefined)
    issues.push(...idIssues('idempotencyKey', idempotencyKey, LONGEST_KEY))
  if (correlationId !== undefined)
    issues.push(...idIssues('correlationId', correlationId, LONGEST_ID))
  return issues
}

/** Reports the keys of options that do not exist, so that a misspelt one does not go unnoticed. */
export function unknownKeys(options: object, known: readonly string[]): Issue[] {
  if (typeof options !== 'object' || options === null) {
    // Nothing else can be said of what has no properties.
    const issue = { path: [], code: 'invalid_type', message: 'has to be an object' }
    throw invalidInput('what was given as options', [issue])
  }
  return Object.keys(options)
    .filter((key) => !known.includes(key))
    .map((key) => ({
      path: [key],
      code: 'unknown_option',
      message: `does not exist (options: ${known.join(', ')})`,
    }))
}

/** Says why a text cannot be an id that someone else made up; nothing when it can. */
export function idIssues(name: string, id: unknown, longest = LONGEST_ID): Issue[] {
  if (isId(id, longest)) return []
  const message = `has to be a text of 1 to ${longest} characters, well-formed and without control characters`
  return [{ path: [name], code: 'invalid_id', message }]
}

function isId(id: unknown, longest: number): boolean {
  if (typeof id !== 'string' || id.length === 0 || id.length > longest || !id.isWellFormed())
    return false
  return !/\p{Cc}/u.test(id)
}

/** Checks the id of a resource, before it is looked up. Throws `invalid_input` for what no id can be. */
export function checkId(id: unknown): asserts id is string {
  refuseIssues('the id', idIssues('id', id))
}

/** The caller that the options speak of. */
export function toCaller(
  { limits }: Context,
  tenant: string,
  { actor, correlationId }: CreateOptions,
): Caller {
  return {
    tenant,
    actor: actor === undefined ? null : actorText(actor, limits),
    correlationId: correlationId ?? null,
  }
}

function actorText(actor: unknown, limits: Context['limits']): string {
  const { copy, issues } = detach(actor, limits)
  refuseIssues('the option actor', issues.length > 0 ? issues : actorIssues(copy))
  return JSON.stringify(copy)
}

function actorIssues(actor: unknown): Issue[] {
  if (typeof actor !== 'object' || actor === null || Array.isArray(actor)) {
    return [{ path: [], code: 'invalid_type', message: 'has to be an object' }]
  }
  const { type = '', id = '' }: { readonly type?: unknown; readonly id?: unknown } = actor
  return Object.entries({ type, id })
    .filter(([, value]) => typeof value !== 'string')
    .map(([name]) => ({ path: [name], code: 'invalid_type', message: 'has to be a text' }))
}
