/** Where are the secrets of a payload, and what is left without them? @module */

import { isPawlError } from '../errors.ts'
import type { JsonObject, Secret } from './definition.ts'
import type { Kind } from './kind.ts'
import { ask, type Plan } from './questions.ts'
import type { SecretChange } from './rows.ts'
import type { Run, SecretPlace } from './run.ts'

/** A payload without its secrets, and what it said about them. */
export interface Stripped {
  /** What the machine and the log may see. */
  readonly visible: JsonObject
  /** The values to keep, by name; undefined for one that the payload leaves out while giving its surroundings. */
  readonly carried: ReadonlyMap<string, unknown>
}

/** Takes the secrets out of a payload. */
export function stripSecrets(kind: Kind, command: string, payload: JsonObject): Stripped {
  if (kind.secrets.size === 0) return { visible: payload, carried: NONE }
  const carried = new Map<string, unknown>()
  let visible = payload
  for (const [name, secret] of kind.secrets) {
    if (!('path' in secret) || !(secret.on?.includes(command) ?? true)) continue
    const path = secret.path.split('.')
    if (!speaksOf(visible, path)) continue
    if (secret.keep ?? true) carried.set(name, path.reduce<unknown>(childOf, visible))
    visible = without(visible, path)
  }
  return { visible, carried }
}

const NONE: ReadonlyMap<string, unknown> = new Map()

/** Whether a payload has a value at the path or, deeper down, its surroundings: then it says there is none. */
function speaksOf(payload: JsonObject, path: readonly string[]): boolean {
  if (path.length === 1) return childOf(payload, path[0] ?? '') !== undefined
  return isObject(path.slice(0, -1).reduce<unknown>(childOf, payload))
}

function childOf(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

function without(object: JsonObject, [key = '', ...rest]: readonly string[]): JsonObject {
  const { [key]: child, ...others } = object
  if (rest.length === 0) return others
  return isObject(child) ? { ...object, [key]: without(child, rest) } : object
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a command does to the secrets of a resource. */
export interface KeptSecrets {
  readonly changes: readonly SecretChange[]
  /** The secrets that the engine made, to be shown this once. */
  readonly shown: Readonly<Record<string, string>>
}

/** Of a resource that has none. */
export const NO_SECRETS: KeptSecrets = { changes: [], shown: {} }

/** Encrypts what a command carries and makes what it asks for; a value that stays as it was is no change. */
export function* keepSecrets(
  run: Run,
  kind: Kind,
  id: string,
  command: string,
  carried: ReadonlyMap<string, unknown>,
): Plan<KeptSecrets> {
  const made = madeOn(kind, command)
  if (carried.size === 0 && made.length === 0) return NO_SECRETS
  const stored = yield* storedSecrets(run, id)
  const changes = changedSecrets(run, kind, id, { stored, carried })
  const shown: Record<string, string> = {}
  for (const [name, { generate, retire }] of made) {
    const value = run.vault.generate(generate)
    shown[name] = value
    const place = { type: kind.type, id, name }
    if (retire !== undefined) changes.push(...retirement(run, place, { retire, stored }))
    changes.push(setting(run, place, value))
  }
  return { changes, shown }
}

type Generated = Extract<Secret, { readonly generate: string }>

function madeOn(kind: Kind, command: string): (readonly [string, Generated])[] {
  return [...kind.secrets].flatMap(([name, secret]) =>
    'generate' in secret && secret.on.includes(command) ? [[name, secret] as const] : [],
  )
}

type Stored = ReadonlyMap<string, Buffer>

function changedSecrets(
  run: Run,
  kind: Kind,
  id: string,
  { stored, carried }: { readonly stored: Stored; readonly carried: ReadonlyMap<string, unknown> },
): SecretChange[] {
  const changes: SecretChange[] = []
  for (const [name, value] of carried) {
    const envelope = stored.get(name)
    const place = { type: kind.type, id, name }
    if (value === undefined) {
      if (envelope !== undefined) changes.push(erasing(place))
    } else if (envelope === undefined || !isSame(run, place, envelope, value)) {
      changes.push(setting(run, place, value))
    }
  }
  return changes
}

/** Whether a stored secret has this value; one whose key is lost is taken for another, so that it can be replaced. */
function isSame(run: Run, place: SecretPlace, envelope: Buffer, value: unknown): boolean {
  return JSON.stringify(opened(run, place, envelope)) === JSON.stringify(value)
}

/** What a stored secret says; undefined where its key is lost. */
function opened({ vault }: Run, place: SecretPlace, envelope: Buffer): unknown {
  try {
    return vault.open(place, envelope)
  } catch (error) {
    if (isPawlError(error, 'decryption_failed')) return undefined
    throw error
  }
}

/** A value that a new one has taken the place of. */
interface Retired {
  readonly value: unknown
  /** When the engine forgets it. Milliseconds since 1970. */
  readonly until: number
}

// As many as Svix keeps. Whoever makes new ones without end does not make the list endless.
const MOST_RETIRED = 10

/** The name under which the values before a secret's current one are kept, newest first. */
export function retiredName(name: string): string {
  return `${name}.retired`
}

/** Keeps the value that a new one takes the place of, and those before it whose time is not over. */
function retirement(
  run: Run,
  place: SecretPlace,
  { retire, stored }: { readonly retire: number; readonly stored: Stored },
): SecretChange[] {
  const list = { ...place, name: retiredName(place.name) }
  const value = storedAt(run, place, stored)
  const latest: Retired[] = value === undefined ? [] : [{ value, until: run.time + retire }]
  const before = (storedAt(run, list, stored) ?? []) as readonly Retired[]
  const kept = [...latest, ...before].filter(({ until }) => until > run.time).slice(0, MOST_RETIRED)
  if (kept.length > 0) return [setting(run, list, kept)]
  return stored.has(list.name) ? [erasing(list)] : []
}

function storedAt(run: Run, place: SecretPlace, stored: Stored): unknown {
  const envelope = stored.get(place.name)
  return envelope && opened(run, place, envelope)
}

function setting({ vault }: Run, place: SecretPlace, value: unknown): SecretChange {
  const { id: resourceId, name } = place
  return { change: 'set', secret: { resourceId, name, envelope: vault.seal(place, value) } }
}

function erasing({ id, name }: SecretPlace): SecretChange {
  return { change: 'erase', resourceId: id, name }
}

/** The secrets of a resource, with what has been decided since. */
export function* storedSecrets({ overlay }: Run, id: string): Plan<Map<string, Buffer>> {
  const rows = yield* ask({ ask: 'secrets', resourceId: id })
  const secrets = new Map(rows.map(({ name, envelope }) => [name, envelope]))
  for (const change of overlay.secrets) {
    if (change.change === 'set') {
      if (change.secret.resourceId === id) secrets.set(change.secret.name, change.secret.envelope)
    } else if (change.resourceId === id) {
      if (change.name === null) secrets.clear()
      else secrets.delete(change.name)
    }
  }
  return secrets
}
