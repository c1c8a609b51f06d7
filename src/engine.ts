/** How is an engine put together? @module */

import { createHash } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { type AgentPlatform, agentPlatform } from '../machines/index.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Base, Context } from './context.ts'
import type { JsonLimits } from './core/json.ts'
import type { Kind } from './core/kind.ts'
import { ask } from './core/questions.ts'
import { createRegistry } from './core/registry.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { type Issue, machineInvalid, refuseIssues } from './errors.ts'
import type {
  Definitions,
  Engine,
  EventsHandle,
  Lifecycle,
  ResourceHandle,
  Scope,
  TimersHandle,
} from './handles.ts'
import { createIds } from './ids.ts'
import { getEvent, listEvents, type Reader } from './log/events.ts'
import { historyOf } from './log/history.ts'
import { acceptsOf, findResource, getResource, listResources } from './log/resources.ts'
import { createResource, explainCommand, sendCommand, trySendCommand } from './runtime/commands.ts'
import { createKeys, parseKeys } from './runtime/keys.ts'
import { idIssues, unknownKeys } from './runtime/options.ts'
import { createTimerLoop, fireDue, listTimers } from './runtime/timers.ts'
import { closedError, createWriter } from './runtime/writer.ts'
import type { Durability } from './store/sqlite/open.ts'
import { openSqliteStore } from './store/sqlite/store.ts'
import type { Store } from './store/store.ts'

/** Options of `createEngine`. */
export interface EngineOptions<D extends Definitions = AgentPlatform> {
  /** The path of an SQLite file, `:memory:`, or a better-sqlite3 `Database` that the application has open and keeps. */
  readonly database: string | Database
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
  /** Takes the errors that nobody waits for: of timers, and of a machine's own actions. @defaultValue they are dropped; a timer keeps its own */
  readonly onError?: (error: unknown) => void
}

/** Where time and randomness come from. */
export interface Sources {
  readonly clock: Clock
  /** For reproducible ids. */
  readonly seed?: number | undefined
}

const OPTIONS = [
  'database',
  'resources',
  'encryptionKeys',
  'durability',
  'busyTimeout',
  'limits',
  'onError',
]

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
export async function createEngine<const D extends Definitions = AgentPlatform>(
  options: EngineOptions<D>,
): Promise<Engine<D>> {
  return (await openEngine(options, { clock: systemClock })).engine
}

/** Opens an engine with given sources of time and randomness; gives its context as well. */
export async function openEngine<D extends Definitions>(
  options: EngineOptions<D>,
  { clock, seed }: Sources,
): Promise<{ readonly engine: Engine<D>; readonly context: Context }> {
  refuseIssues('the options of createEngine', optionIssues(options))
  // Without definitions of its own, D is that of the agent platform.
  const definitions: Definitions = options.resources ?? agentPlatform()
  const registry = createRegistry(definitions, digest)
  const secrets = parseKeys(options.encryptionKeys ?? [])
  const store = await openSqliteStore({
    database: options.database,
    durability: options.durability ?? 'full',
    busyTimeout: toMilliseconds(options.busyTimeout ?? '30s', 'busyTimeout'),
  })
  const ids = createIds(seed, await store.read(() => ask({ ask: 'head' })))
  const base: Base = {
    registry,
    store: closable(store),
    clock,
    ids,
    keys: createKeys(secrets, ids),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    listeners: new Set(),
    onError: options.onError ?? (() => {}),
  }
  const context: Context = { ...base, writer: createWriter(base) }
  return { engine: toEngine(context) as Engine<D>, context }
}

function digest(structure: string): string {
  return createHash('sha256').update(structure).digest('base64url').slice(0, 16)
}

function optionIssues(options: EngineOptions<Definitions>): Issue[] {
  const issues = unknownKeys(options, OPTIONS)
  const { database, durability = 'full' } = options ?? {}
  const isOpen = typeof database === 'object' && database !== null && 'prepare' in database
  if (!(typeof database === 'string' && database !== '') && !isOpen) {
    const message = 'has to be a path, ":memory:" or an open better-sqlite3 Database'
    issues.push({ path: ['database'], code: 'invalid_database', message })
  }
  if (durability !== 'full' && durability !== 'relaxed') {
    issues.push({
      path: ['durability'],
      code: 'invalid_durability',
      message: 'has to be "full" or "relaxed"',
    })
  }
  return issues
}

/** A store that answers nothing but `closed` once it has been closed. */
function closable(store: Store): Store {
  let closed = false
  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    await store.close()
  }
  return new Proxy(store, {
    get: (target, verb) => {
      if (verb === 'close') return close
      if (closed) return () => Promise.reject(closedError())
      return Reflect.get(target, verb)
    },
  })
}

const ROOT_TENANT = 'default'

// Not `then`: an engine with it could not be awaited.
const PROPERTY = /^(?!then$)[a-zA-Z]\w*$/

function toEngine(context: Context): Engine<Definitions> {
  const lifecycle = toLifecycle(context)
  const tenant = (id: string) => {
    refuseIssues('the tenant', id === '*' ? [wildcardIssue()] : idIssues('tenant', id))
    return toScope(context, { tenant: id, root: false })
  }
  const scope = toScope(context, { tenant: ROOT_TENANT, root: true })
  const taken = [...Object.keys(lifecycle), 'tenant', 'events', 'timers', 'clock']
  for (const [property, kind] of context.registry.byProperty) {
    if (taken.includes(property) || !PROPERTY.test(property)) {
      throw machineInvalid(
        kind.type,
        `"${property}" cannot be its property: it is the engine's own, or no plain name`,
      )
    }
  }
  return { ...scope, ...lifecycle, tenant } as Engine<Definitions>
}

function wildcardIssue(): Issue {
  return {
    path: ['tenant'],
    code: 'invalid_tenant',
    message: '"*" stands for all tenants in lists of the root handle only',
  }
}

function toScope(context: Context, reader: Reader): Scope<Definitions> {
  const properties = [...context.registry.byProperty]
  const handles = properties.map(([property, kind]) => [
    property,
    toResourceHandle(context, reader, kind),
  ])
  const events: EventsHandle<never> = {
    list: (filter) => listEvents(context, reader, filter) as never,
    get: (id) => getEvent(context, reader, id) as never,
  }
  const timers: TimersHandle = { list: (filter) => listTimers(context, reader, filter) }
  const scope: Readonly<Record<string, unknown>> = {
    ...Object.fromEntries(handles),
    events,
    timers,
  }
  return scope as Scope<Definitions>
}

/** Binds the verbs to a kind; their types come from its definition. */
function toResourceHandle(context: Context, reader: Reader, kind: Kind) {
  const { tenant } = reader
  return {
    create: (input, options) => createResource(context, tenant, kind, input, options),
    send: (id, command, options) => sendCommand(context, tenant, kind, id, command, options),
    trySend: (id, command, options) => trySendCommand(context, tenant, kind, id, command, options),
    get: (id) => getResource(context, tenant, kind, id),
    find: (id) => findResource(context, tenant, kind, id),
    list: (filter) => listResources(context, reader, kind, filter),
    accepts: (id) => acceptsOf(context, tenant, kind, id),
    explain: (id, command) => explainCommand(context, tenant, kind, id, command),
    history: (id, options) => historyOf(context, tenant, kind, id, options),
  } as ResourceHandle<never, never>
}

function toLifecycle(context: Context): Lifecycle {
  const timers = createTimerLoop(context)
  const close = async (): Promise<void> => {
    await timers.stop()
    await context.writer.close()
    await context.store.close()
  }
  return {
    start: async () => timers.start(),
    stop: () => timers.stop(),
    tick: async () => ({ fired: await fireDue(context) }),
    close,
    [Symbol.asyncDispose]: close,
  }
}
