/** What does everything that delivers share? @module */

import type { Context } from '../context.ts'
import { ask, type Plan } from '../core/questions.ts'
import type { ResourceRow, SecretRow } from '../core/rows.ts'
import { retiredName } from '../core/secrets.ts'
import { messageOf } from '../errors.ts'
import type { DestinationType, Target } from './destination-type.ts'
import type { Requests } from './request.ts'
import { type DeliverySettings, settingsOf } from './settings.ts'
import { keyOf } from './signature.ts'

/** The type of the resources that events are delivered to. */
export const DESTINATION = 'event_destination'

/** What delivers. */
export interface Deliverer {
  readonly context: Context
  readonly settings: DeliverySettings
  /** The kinds of receivers, by name. */
  readonly types: ReadonlyMap<string, DestinationType>
  readonly requests: Requests
  /** The address of a host that may be connected to. */
  readonly addressOf: (host: string) => Promise<string>
  /** A random number from 0 to 1. */
  readonly chance: () => number
  /** The destinations that have been loaded, as long as they stay as they are. */
  readonly loaded: Map<string, Loaded>
}

/** A destination at a version, or why this engine cannot send to it. */
interface Loaded {
  readonly version: number
  readonly destination: Destination | undefined
  readonly problem: string | null
}

/** A destination, ready to be sent to. */
export interface Destination {
  readonly id: string
  readonly tenant: string
  readonly version: number
  readonly status: string
  /** Since when it has been in that status. */
  readonly since: number
  readonly settings: DeliverySettings
  readonly type: DestinationType
  /** Its configuration as JSON text: whether it is still the same receiver. */
  readonly receiver: string
  /** Its signing keys change with the time, too. */
  readonly target: (now: number) => Target
}

// Destinations that are kept in memory; more of them take turns.
const KEPT = 10_000

/**
 * Loads a destination as it is now; undefined when there is none that this engine can send to: its type or its key
 * may be known to another one. `onError` hears of it once.
 */
export async function loadDestination(
  deliverer: Deliverer,
  id: string,
): Promise<Destination | undefined> {
  return (await load(deliverer, id))?.destination
}

/** Why this engine cannot send to a destination; null when it can. */
export async function problemWith(deliverer: Deliverer, id: string): Promise<string | null> {
  return (await load(deliverer, id))?.problem ?? null
}

async function load(deliverer: Deliverer, id: string): Promise<Loaded | undefined> {
  const { context, loaded } = deliverer
  const row = await context.store.findResource(id)
  if (row === undefined || row.type !== DESTINATION) return undefined
  const known = loaded.get(id)
  if (known?.version === row.version) return known
  const found = await context.store.read(() => withSecrets(id))
  if (found === undefined) return undefined
  const one = toLoaded(deliverer, found.row, found.secrets)
  if (loaded.size >= KEPT) loaded.clear()
  loaded.set(id, one)
  return one
}

function toLoaded(deliverer: Deliverer, row: ResourceRow, secrets: readonly SecretRow[]): Loaded {
  const { version } = row
  try {
    const destination = toDestination(deliverer, row, secrets)
    destination.target(0)
    return { version, destination, problem: null }
  } catch (error) {
    deliverer.context.onError(error)
    return { version, destination: undefined, problem: messageOf(error) }
  }
}

/** A resource and its secrets, of one moment. */
function* withSecrets(
  id: string,
): Plan<{ readonly row: ResourceRow; readonly secrets: readonly SecretRow[] } | undefined> {
  const row = yield* ask({ ask: 'resource', id })
  if (row === undefined) return undefined
  return { row, secrets: yield* ask({ ask: 'secrets', resourceId: id }) }
}

interface Fields {
  readonly type: string
  readonly delivery: Readonly<Record<string, unknown>> | null
  readonly [config: string]: unknown
}

function toDestination(
  { context, types, settings }: Deliverer,
  row: ResourceRow,
  rows: readonly SecretRow[],
): Destination {
  const { id, tenant, version, status, statusSince: since } = row
  const fields: Fields = JSON.parse(row.context)
  const open = (name: string): unknown => {
    const secret = rows.find((one) => one.name === name)
    return secret && context.keys.open({ type: row.type, id, name }, secret.envelope)
  }
  const type = types.get(fields.type)
  if (type === undefined) throw unknownType(id, fields.type)
  let opened: Opened | undefined
  return {
    ...{ id, tenant, version, status, since, type },
    receiver: JSON.stringify(fields[fields.type] ?? null),
    settings: settingsOf(settings, fields.delivery),
    target: (now) => {
      opened ??= openSecrets(type, open)
      const config = fields[fields.type] as Target['config']
      return { id, config, secrets: opened.own, keys: opened.keysAt(now) }
    },
  }
}

function unknownType(id: string, type: string): Error {
  const message = `nothing is sent to ${id} here: its type ${JSON.stringify(type)} is not registered; give createEngine the option destinationTypes`
  return new Error(message)
}

/** The secrets of a destination. */
interface Opened {
  readonly own: Readonly<Record<string, unknown>>
  /** The key that signs now comes first, then those that it has replaced, as long as they still count. */
  readonly keysAt: (now: number) => readonly Buffer[]
}

/** Opens the secrets of a destination. Throws `decryption_failed`. */
function openSecrets(
  { type, secrets = [] }: DestinationType,
  open: (name: string) => unknown,
): Opened {
  const own = secrets
    .map((path) => [path, open(`${type}.${path}`)] as const)
    .filter(([, value]) => value !== undefined)
  const retired = (open(retiredName('secret')) ?? []) as readonly {
    readonly value: unknown
    readonly until: number
  }[]
  const all = [{ value: open('secret'), until: Number.POSITIVE_INFINITY }, ...retired]
  const keys = all.map(({ value, until }) => ({ key: keyOf(value), until }))
  return {
    own: Object.fromEntries(own),
    keysAt: (now) => keys.flatMap(({ key, until }) => (until > now ? (key ?? []) : [])),
  }
}
