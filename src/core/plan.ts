/** What does one call change, in all resources that it reaches? @module */

import { isPawlError, machineInvalid, notFound, PawlError, type RefusalReason } from '../errors.ts'
import { act } from './act.ts'
import { type Creation, create } from './create.ts'
import type { Command, ResourceView } from './definition.ts'
import { writeNote } from './entries.ts'
import type { Kind } from './kind.ts'
import { refusal } from './legality.ts'
import { upToDate } from './migrate.ts'
import type { OutcomeDraft } from './overlay.ts'
import { loadOutcome, loadRow, loadTimer, type Plan } from './questions.ts'
import type { Entry, OutcomeRow, ResourceRow } from './rows.ts'
import { kindOf, type Run, type SecretPlace } from './run.ts'
import { storedSecrets } from './secrets.ts'
import { viewOf } from './state.ts'

/** What identifies a request, so that it takes effect once. */
export interface Idempotency {
  readonly key: string
  /** Of this request, under each encryption key; the first is stored. */
  readonly fingerprints: readonly [string, ...string[]]
  /** Outcomes from before this time are forgotten. Milliseconds since 1970. */
  readonly since: number
}

/** A request to create a resource. */
export interface CreateRequest extends Creation {
  readonly idempotency: Idempotency | null
}

/** A request to send a command. */
export interface SendRequest {
  readonly kind: Kind
  readonly id: string
  readonly command: Command
  /** Sent by the engine itself, which may send internal commands as well. */
  readonly own?: true
  readonly expectedVersion: number | null
  readonly idempotency: Idempotency | null
}

/** What a call came to. */
export interface Result {
  readonly resource: ResourceView
  readonly changed: boolean
  /** The public entries of the log that it wrote. */
  readonly entries: readonly Entry[]
  readonly secrets: Readonly<Record<string, string>>
}

/** What a call came to: decided now, or before under the same key. */
export type Planned = { readonly fresh: Result } | { readonly replayed: OutcomeDraft | OutcomeRow }

/** Plans a create. Throws the error that the caller gets; what has been decided is then to be taken back. */
export function* planCreate(run: Run, request: CreateRequest): Plan<Planned> {
  const replayed = request.idempotency && (yield* remembered(run, request.idempotency))
  if (replayed) return { replayed }
  const { row, secrets } = yield* create(run, request)
  return { fresh: conclude(run, request.kind, row.id, secrets, request.idempotency) }
}

/** Plans a command from outside. Throws like `planCreate`. */
export function* planSend(run: Run, request: SendRequest): Plan<Planned> {
  const { kind, command, expectedVersion } = request
  const stored = ownRow(run, kind, request.id, yield* loadRow(run.overlay, request.id))
  const replayed = request.idempotency && (yield* remembered(run, request.idempotency))
  if (replayed) return { replayed }
  const row = stored.machine === kind.fingerprint ? stored : yield* upToDate(run, kind, stored)
  if (isReserved(request)) throw refusal(kind, row, command.type, 'reserved')
  // A migration on the way is not the caller's to know of.
  if (expectedVersion !== null && expectedVersion !== stored.version)
    throw conflict(kind, stored, expectedVersion)
  const secrets = yield* act(run, kind, row, command)
  return { fresh: conclude(run, kind, row.id, secrets, request.idempotency) }
}

function isReserved({ kind, command: { type }, own }: SendRequest): boolean {
  return type.startsWith('xstate.') || (kind.internal.has(type) && own !== true)
}

/** Plans reading the secrets of a resource, which leaves a note in the log. Throws `decryption_failed`. */
export function* planReveal(
  run: Run,
  kind: Kind,
  id: string,
): Plan<Readonly<Record<string, unknown>>> {
  const row = ownRow(run, kind, id, yield* loadRow(run.overlay, id))
  const stored = [...(yield* storedSecrets(run, id))]
  // Those that have been replaced are kept beside them, and not to be shown again.
  const declared = stored.filter(([name]) => kind.secrets.has(name))
  const secrets = declared.map(([name, envelope]) => [
    name,
    run.vault.open({ type: kind.type, id, name }, envelope),
  ])
  writeNote(run, kind, row, 'reveal')
  return Object.fromEntries(secrets)
}

/** Plans a timer that is due; false when it is gone, or when others are at it and it is to be fired only `ifFree`. */
export function* planTimer(run: Run, position: number, ifFree?: boolean): Plan<boolean> {
  const timer = yield* loadTimer(run.overlay, position, ifFree)
  if (timer === undefined) return false
  const stored = yield* loadRow(run.overlay, timer.resourceId)
  const row = stored && (yield* upToDate(run, kindOf(run, stored.type), stored))
  // A migration may have canceled it, or set another one in its place.
  if (row !== stored && (yield* loadTimer(run.overlay, position)) === undefined) return false
  run.overlay.timers.push({ change: 'fired', position })
  if (row === undefined || row.final) return true
  try {
    yield* act(run, kindOf(run, row.type), row, JSON.parse(timer.event), timer)
  } catch (error) {
    // XState ignores a delayed raise that no state waits for any more; so does this.
    if (!isPawlError(error, 'illegal_transition') || !IGNORED.has(error.details.reason)) throw error
  }
  return true
}

const IGNORED: ReadonlySet<RefusalReason> = new Set(['not_accepted', 'guard'])

/** What has been loaded, if it is of this tenant and kind. Throws `not_found`. */
function ownRow(run: Run, kind: Kind, id: string, row: ResourceRow | undefined): ResourceRow {
  if (row === undefined || row.tenant !== run.tenant || row.type !== kind.type)
    throw notFound(id, kind.type)
  return row
}

function conflict(kind: Kind, row: ResourceRow, expected: number): PawlError<'version_conflict'> {
  const message = `${kind.type} ${row.id} is at version ${row.version}, not ${expected}; read it again and decide anew`
  return new PawlError('version_conflict', message, {
    resource_id: row.id,
    expected,
    actual: row.version,
  })
}

function* remembered(
  run: Run,
  idempotency: Idempotency,
): Plan<OutcomeDraft | OutcomeRow | undefined> {
  const outcome = yield* loadOutcome(run.overlay, run.tenant, idempotency.key)
  if (outcome === undefined || outcome.createdAt <= idempotency.since) return undefined
  if (isSameRequest(idempotency, outcome)) return outcome
  const { key } = idempotency
  const message = `the idempotency key ${JSON.stringify(key)} was used for another request; use a new key`
  throw new PawlError('idempotency_mismatch', message, { key })
}

/**
 * A fingerprint names the key that it was made with. One whose key is gone cannot be compared: whoever
 * uses an idempotency key again most likely repeats the request.
 */
function isSameRequest(
  { fingerprints }: Idempotency,
  { fingerprint }: OutcomeDraft | OutcomeRow,
): boolean {
  const keyOf = (print: string) => print.split('.', 1)[0]
  const comparable = fingerprints.filter((print) => keyOf(print) === keyOf(fingerprint))
  return comparable.length === 0 || comparable.includes(fingerprint)
}

function conclude(
  run: Run,
  kind: Kind,
  id: string,
  secrets: Readonly<Record<string, string>>,
  idempotency: Idempotency | null,
): Result {
  const row = run.overlay.rows.get(id)
  if (row === undefined) throw machineInvalid(kind.type, 'a planned resource is missing')
  const entries = run.overlay.entries.slice(run.since.entries)
  const result: Result = {
    resource: viewOf(kind, row),
    changed: entries.length > 0,
    entries: entries.filter(({ internal }) => !internal),
    secrets,
  }
  if (idempotency !== null) remember(run, idempotency, result)
  return result
}

function remember(
  run: Run,
  { key, fingerprints: [fingerprint] }: Idempotency,
  result: Result,
): void {
  const { tenant, time, vault } = run
  const shows = Object.keys(result.secrets).length > 0
  run.overlay.outcomes.push({
    tenant,
    key,
    fingerprint,
    resource: JSON.stringify(result.resource),
    changed: result.changed,
    entries: result.entries,
    secrets: shows ? vault.seal(outcomePlace(tenant, key), result.secrets) : null,
    createdAt: time,
  })
}

/** Where the secrets of a remembered outcome belong. */
export function outcomePlace(tenant: string, key: string): SecretPlace {
  return { type: 'outcome', id: `${tenant}/${key}`, name: 'secrets' }
}
