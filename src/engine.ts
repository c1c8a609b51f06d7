/** How is an engine put together? @module */

import { createHash } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { type AgentPlatform, agentPlatform } from '../machines/index.ts'
import { toScope, toTenant } from './bind.ts'
import { type AlarmClock, systemClock } from './clock.ts'
import type { Base, Context } from './context.ts'
import type { JsonLimits } from './core/json.ts'
import { createRegistry, type Registry } from './core/registry.ts'
import { checkedDestinations } from './delivery/checked-destinations.ts'
import { createDelivery, type Delivery, prepareDelivery } from './delivery/create.ts'
import type { DestinationType } from './delivery/destination-type.ts'
import type { DeliveryOptions } from './delivery/settings.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { type Issue, refuseIssues } from './errors.ts'
import { taken, takenWhole } from './given.ts'
import type { Definitions, Engine } from './handles.ts'
import { createIds } from './ids.ts'
import { toLifecycle, toUpkeep } from './lifecycle.ts'
import { createArrivals } from './runtime/arrivals.ts'
import { createKeys, type Key, parseKeys } from './runtime/keys.ts'
import { unknownKeys } from './runtime/options.ts'
import { requireStoredStates } from './runtime/stored-states.ts'
import { createWriter } from './runtime/writer.ts'
import { isServerAddress } from './store/address.ts'
import { openSqliteStore } from './store/sqlite/store.ts'
import type { Durability, OpenOptions, Store, StoreSource } from './store/store.ts'

/** Options of `createEngine`. */
export interface EngineOptions<D extends Definitions<D> = AgentPlatform> {
  /**
   * The path of an SQLite file, `:memory:`, a better-sqlite3 `Database` that the application has open and keeps, or
   * what `postgres()` from `pawl/postgres` gives.
   */
  readonly database: string | Database | StoreSource
  /** The resources, by the property of the engine that each gets. @defaultValue agentPlatform() */
  readonly resources?: D
  /** 32 bytes in base64 each; the first encrypts, all decrypt. Needed only to store secrets. @defaultValue [] */
  readonly encryptionKeys?: readonly string[]
  /** What an acknowledged command survives: `full` a power cut, `relaxed` the death of the process. @defaultValue 'full' */
  readonly durability?: Durability
  /** How long to wait for a database that others hold, before `storage_busy`. @defaultValue '30s' */
  readonly busyTimeout?: Duration
  /** How large payloads may be. @defaultValue 256 KB of JSON, 64 levels deep */
  readonly limits?: Partial<JsonLimits>
  /** How events are delivered to event destinations. */
  readonly delivery?: DeliveryOptions
  /** Kinds of receivers besides webhooks, such as `rabbitmq()`. @defaultValue [] */
  readonly destinationTypes?: readonly DestinationType[]
  /** Takes the errors that nobody waits for: of timers, and of a machine's own actions. @defaultValue they are dropped; a timer keeps its own */
  readonly onError?: (error: unknown) => void
}

/** Where time and randomness come from. */
export interface Sources {
  readonly clock: AlarmClock
  /** For reproducible ids. */
  readonly seed?: number | undefined
  /** How long a batch may take; without end, batches do not depend on the machine's speed. */
  readonly batchMs?: number
}

const OPTIONS = [
  'database',
  'resources',
  'encryptionKeys',
  'durability',
  'busyTimeout',
  'limits',
  'delivery',
  'destinationTypes',
  'onError',
]

// The event loop turns at least this often, in milliseconds.
const BATCH_MS = 5

const DEFAULT_LIMITS: JsonLimits = { bytes: 256 * 1024, depth: 64 }

/**
 * Opens an engine on a database, migrating it if need be.
 *
 * Throws `invalid_input` for options, `machine_invalid` for a definition that cannot work,
 * `schema_too_new` for the database of a later version, and the `storage_*` errors.
 *
 * @example
 * const engine = await createEngine({ database: 'app.db' })
 * await engine.start()
 * const { resource: session } = await engine.sessions.create()
 */
export async function createEngine<const D extends Definitions<D> = AgentPlatform>(
  options: EngineOptions<D>,
): Promise<Engine<D>> {
  return (await openEngine(options, { clock: systemClock })).engine
}

/** Opens an engine with given sources of time and randomness; gives its context as well. */
export async function openEngine<D extends Definitions<D>>(
  given: EngineOptions<D>,
  sources: Sources,
): Promise<{ readonly engine: Engine<D>; readonly context: Context; readonly delivery: Delivery }> {
  const options = takenOptions(given)
  refuseIssues('the options of createEngine', optionIssues(options))
  // Without definitions of its own, D is that of the agent platform.
  const definitions = (options.resources ?? agentPlatform()) as Definitions
  const parts = prepareDelivery(options.delivery ?? {}, options.destinationTypes ?? [])
  const checked = checkedDestinations(takenWhole(definitions), parts.types)
  const registry = createRegistry(checked, digest)
  const keys = parseKeys(options.encryptionKeys ?? [])
  const store = await openStore(options.database, {
    durability: options.durability ?? 'full',
    busyTimeout: toMilliseconds(options.busyTimeout ?? '30s', 'busyTimeout'),
  })
  try {
    const context = await openContext(options, sources, registry, keys, store)
    // Another seed than that of the ids, so that it does not repeat them.
    const random = createIds(sources.seed === undefined ? undefined : ~sources.seed)
    const delivery = createDelivery(context, parts, random)
    return { engine: toEngine(context, delivery) as Engine<D>, context, delivery }
  } catch (error) {
    await store.close()
    throw error
  }
}

function openStore(database: EngineOptions['database'], how: OpenOptions): Promise<Store> {
  return isSource(database) ? database.open(how) : openSqliteStore({ database, ...how })
}

function takenOptions<D extends Definitions<D>>(given: EngineOptions<D>): EngineOptions<D> {
  const options = taken(given)
  return isObject(options?.limits) ? { ...options, limits: taken(options.limits) } : options
}

async function openContext(
  { limits, onError = () => {} }: Pick<EngineOptions, 'limits' | 'onError'>,
  { clock, seed, batchMs = BATCH_MS }: Sources,
  registry: Registry,
  keys: readonly Key[],
  store: Store,
): Promise<Context> {
  await requireStoredStates({ registry, store })
  const { head, identity } = await store.log()
  const ids = createIds(seed, head)
  const base: Base = {
    registry,
    store,
    identity,
    clock,
    ids,
    keys: createKeys(keys, ids),
    limits: { ...DEFAULT_LIMITS, ...limits },
    listeners: new Set(),
    onError: harmless(onError),
    batchMs,
  }
  const arrivals = createArrivals(base)
  return { ...base, arrivals, writer: createWriter(base), running: new Set() }
}

/** A user's own error handler may fail as well; nobody is left to be told. */
function harmless(onError: (error: unknown) => unknown): (error: unknown) => void {
  return (error) => {
    new Promise((resolve) => resolve(onError(error))).catch(() => {})
  }
}

function digest(structure: string): string {
  return createHash('sha256').update(structure).digest('base64url').slice(0, 16)
}

const DATABASE =
  'a path, ":memory:", an open better-sqlite3 Database, or postgres({ connectionString }) of pawl/postgres'

/** What each option has to be, beside left out. */
const SHAPES: readonly (readonly [keyof EngineOptions, (value: unknown) => boolean, string])[] = [
  ['database', isDatabase, DATABASE],
  ['resources', isObject, 'an object of definitions'],
  ['encryptionKeys', Array.isArray, 'a list of keys, 32 bytes in base64 each'],
  ['durability', (value) => value === 'full' || value === 'relaxed', '"full" or "relaxed"'],
  ['limits', isObject, 'an object'],
  ['delivery', isObject, 'an object'],
  ['destinationTypes', Array.isArray, 'a list of types of destinations'],
  ['onError', (value) => typeof value === 'function', 'a function'],
]

function optionIssues(options: EngineOptions<Definitions>): Issue[] {
  const issues = unknownKeys(options, OPTIONS)
  for (const [name, fits, what] of SHAPES) {
    const value = options[name]
    if ((value === undefined && name !== 'database') || fits(value)) continue
    issues.push({ path: [name], code: 'invalid_option', message: `has to be ${what}` })
  }
  return isObject(options.limits) ? [...issues, ...limitIssues(options.limits)] : issues
}

function isDatabase(value: unknown): boolean {
  if (typeof value === 'string') return value !== '' && !isServerAddress(value)
  if (isSource(value)) return true
  return isObject(value) && 'prepare' in value && typeof value.prepare === 'function'
}

function isSource(value: unknown): value is StoreSource {
  return isObject(value) && 'open' in value && typeof value.open === 'function'
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

// SQLite reads JSON of a thousand levels, and a payload may end up some levels down in a context.
const DEEPEST_LIMIT = 500

function limitIssues(limits: Partial<JsonLimits>): Issue[] {
  const most = { bytes: Number.MAX_SAFE_INTEGER, depth: DEEPEST_LIMIT }
  const wrong = Object.entries(most).filter(([name, highest]) => {
    const limit = limits[name as keyof JsonLimits] ?? 1
    return !(Number.isInteger(limit) && limit >= 1 && limit <= highest)
  })
  return [
    ...unknownKeys(limits, ['bytes', 'depth']),
    ...wrong.map(([name, highest]) => ({
      path: ['limits', name],
      code: 'invalid_limit',
      message: `has to be a whole number from 1 to ${highest}`,
    })),
  ]
}

const ROOT_TENANT = 'default'

function toEngine(context: Context, delivery: Delivery): Engine<Definitions> {
  const root = { tenant: ROOT_TENANT, root: true }
  const tenant = (id: string) => toScope(context, delivery, toTenant(root, id))
  const life = { ...toLifecycle(context, delivery), ...toUpkeep(context, delivery) }
  return { ...toScope(context, delivery, root), ...life, tenant } as Engine<Definitions>
}
