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
  const made = [...kind.secrets].filter(([, secret]) => isMadeOn(secret, command))
  if (carried.size === 0 && made.length === 0) return NO_SECRETS
  const changes = yield* changedSecrets(run, kind, id, carried)
  const shown: Record<string, string> = {}
  for (const [name, secret] of made) {
    const value = run.vault.generate('generate' in secret ? secret.generate : '')
    shown[name] = value
    changes.push(setting(run, kind, id, name, value))
  }
  return { changes, shown }
}

function isMadeOn(secret: Secret, command: string): boolean {
  return 'generate' in secret && secret.on.includes(command)
}

function* changedSecrets(
  run: Run,
  kind: Kind,
  id: string,
  carried: ReadonlyMap<string, unknown>,
): Plan<SecretChange[]> {
  const stored = yield* storedSecrets(run, id)
  const changes: SecretChange[] = []
  for (const [name, value] of carried) {
    const envelope = stored.get(name)
    if (value === undefined) {
      if (envelope !== undefined) changes.push({ change: 'erase', resourceId: id, name })
    } else if (
      envelope === undefined ||
      !isSame(run, { type: kind.type, id, name }, envelope, value)
    ) {
      changes.push(setting(run, kind, id, name, value))
    }
  }
  return changes
}

/** Whether a stored secret has this value; one whose key is lost is taken for another, so that it can be replaced. */
function isSame({ vault }: Run, place: SecretPlace, envelope: Buffer, value: unknown): boolean {
  try {
    return JSON.stringify(vault.open(place, envelope)) === JSON.stringify(value)
  } catch (error) {
    if (isPawlError(error, 'decryption_failed')) return false
    throw error
  }
}

function setting(run: Run, kind: Kind, id: string, name: string, value: unknown): SecretChange {
  const envelope = run.vault.seal({ type: kind.type, id, name }, value)
  return { change: 'set', secret: { resourceId: id, name, envelope } }
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
