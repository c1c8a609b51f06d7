import type { Kysely } from 'kysely'
import { expect, onTestFinished } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { createTestEngine } from '../../src/testing.ts'
import { newDatabase } from './database.ts'
import { OFFLINE } from './offline.ts'

/** A resource as it comes out of the engine, its own fields untyped. */
export interface AnyResource {
  readonly id: string
  readonly object: string
  readonly status: string
  readonly version: number
  readonly created_at: string
  readonly updated_at: string
  readonly [field: string]: unknown
}

export interface AnyEvent {
  readonly id: string
  readonly object: string
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
  readonly created_at: string
  readonly seq: number
  readonly resource_id: string
  readonly resource_version: number
  readonly tenant: string
  readonly internal: boolean
  readonly cause: {
    readonly command: unknown
    readonly actor: unknown
    readonly correlation_id: string
    readonly causation_id: string | null
  }
}

export interface HistoryEntry extends AnyEvent {
  readonly status: string
  readonly previous_status: string | null
  readonly time_in_previous_ms: number | null
}

export interface AnyOutcome {
  readonly resource: AnyResource
  readonly events: readonly AnyEvent[]
  readonly changed: boolean
  readonly replayed: boolean
  readonly secrets?: Readonly<Record<string, string>>
}

export interface Explanation {
  readonly accepted: boolean
  readonly reason?: string
  readonly message?: string
  readonly blockers?: readonly Blocker[]
}

export interface Blocker {
  readonly code: string
  readonly message: string
  readonly resource_id?: string
}

export interface Page<T> extends AsyncIterable<T> {
  readonly data: readonly T[]
  readonly has_more: boolean
  readonly next_cursor: string | null
}

export type Attempt =
  | ({ readonly ok: true } & AnyOutcome)
  | { readonly ok: false; readonly error: Error & { readonly code: string } }

export interface Command {
  readonly type: string
  readonly [field: string]: unknown
}

type Options = Readonly<Record<string, unknown>>
type Awaitable<T> = PromiseLike<T>

/** What `engine.<property>` offers, with the types of the machine left out. */
export interface AnyHandle {
  create(input: unknown, options?: Options): Promise<AnyOutcome>
  send(id: string, command: Command, options?: Options): Promise<AnyOutcome>
  trySend(id: string, command: Command, options?: Options): Promise<Attempt>
  get(id: string): Promise<AnyResource>
  find(id: string): Promise<AnyResource | undefined>
  list(filter?: Options): Awaitable<Page<AnyResource>>
  accepts(id: string): Promise<readonly string[]>
  explain(id: string, command: Command): Promise<Explanation>
  history(id: string, filter?: Options): Awaitable<Page<HistoryEntry>>
  at(id: string, when: number | Date): Promise<AnyResource>
  reveal(id: string): Promise<Readonly<Record<string, unknown>>>
}

export interface AnyTimer {
  readonly resource_id: string
  readonly due_at: string
}

/** The table that tests keep beside those of the engine. */
export interface OwnTables {
  notes: { id: string; text: string; n: number }
}

/** What the body of a transaction gets; `handleOf` gives its handles. */
export interface AnyTransaction {
  readonly db: Kysely<OwnTables>
}

/** What the handler of a consumer gets beside the event. */
export interface Handling {
  readonly tx: AnyTransaction
  readonly attempt: number
  readonly signal: AbortSignal
}

export type Handler = (event: AnyEvent, handling: Handling) => unknown

/** An event that a consumer has given up. */
export interface Parked {
  readonly event_id: string
  readonly error: unknown
  readonly attempts: number
}

export interface Difference {
  readonly kind: string
  readonly resource_id: string | null
  readonly seq?: number
  readonly message: string
}

export interface Verification {
  readonly ok: boolean
  readonly checked: {
    readonly resources: number
    readonly events: number
    readonly timers: number
  }
  readonly differences: readonly Difference[]
}

export interface Description {
  readonly mermaid: string
  readonly states: unknown
  readonly commands: unknown
  readonly events: unknown
  readonly timers: unknown
}

export interface AnyEngine {
  readonly events: {
    list(filter?: Options): Awaitable<Page<AnyEvent>>
    get(id: string): Promise<AnyEvent>
    subscribe(filter?: Options): AsyncIterable<AnyEvent>
  }
  readonly timers: { list(filter?: Options): Awaitable<Page<AnyTimer>> }
  readonly consumers: {
    list(): Promise<unknown>
    parked(name: string): Promise<readonly Parked[]>
    retry(name: string, eventId: string): Promise<unknown>
  }
  consume(name: string, options: Options, handler: Handler): Promise<unknown>
  transaction<T>(work: (tx: AnyTransaction) => T | Promise<T>): Promise<T>
  verify(options?: Options): Promise<Verification>
  backup(path: string): Promise<unknown>
  prune(options: Options): Promise<unknown>
  migrate(options?: Options): Promise<unknown>
  rotateKeys(): Promise<unknown>
  describe(type: string): Promise<Description>
  tenant(id: string): AnyEngine
  tick(): Promise<unknown>
  start(): Promise<unknown>
  stop(): Promise<unknown>
  close(): Promise<void>
}

export interface TestClock {
  advance(duration: string | number): Promise<unknown>
  now(): Date
}

export interface AnyTestEngine extends AnyEngine {
  readonly clock: TestClock
}

/** The instant at which every test begins, so that failures read alike. */
export const START = new Date('2026-01-01T00:00:00.000Z')

let opened = 0

/** Opens an engine with a fake clock and a seed of its own; the caller closes it. */
export async function openEngine(options: Options = {}): Promise<AnyTestEngine> {
  const database = options.database ?? (await newDatabase())
  const all = { now: START, seed: ++opened, delivery: OFFLINE, ...options, database }
  const engine: unknown = await createTestEngine(all as Parameters<typeof createTestEngine>[0])
  return engine as AnyTestEngine
}

/** Opens an engine with a fake clock that closes with the test. */
export async function setupEngine(options: Options = {}): Promise<AnyTestEngine> {
  const engine = await openEngine(options)
  onTestFinished(() => engine.close())
  return engine
}

/** Opens an engine with the clock of the machine that closes with the test. */
export async function setupRealEngine(options: Options = {}): Promise<AnyEngine> {
  const database = options.database ?? (await newDatabase())
  const all = { durability: 'relaxed', delivery: OFFLINE, ...options, database }
  const engine: unknown = await createEngine(all as unknown as Parameters<typeof createEngine>[0])
  onTestFinished(() => (engine as AnyEngine).close())
  return engine as AnyEngine
}

/** Closes the engine and opens its file again, the clock going on. */
export async function reopen(engine: AnyTestEngine, options: Options): Promise<AnyTestEngine> {
  const now = engine.clock.now()
  await engine.close()
  return openEngine({ ...options, now })
}

/** The handle of one resource type, by its property on the engine. */
export function handleOf(engine: AnyEngine | AnyTransaction, property: string): AnyHandle {
  const handle = (engine as unknown as Readonly<Record<string, AnyHandle | undefined>>)[property]
  if (handle === undefined) throw new Error(`the engine has no property ${property}`)
  return handle
}

/** Every entry of the log in order, internal ones included. */
export async function fullLog(engine: AnyEngine, filter: Options = {}): Promise<AnyEvent[]> {
  return collect(await engine.events.list({ order: 'asc', limit: 1000, internal: true, ...filter }))
}

/** Every public event in order. */
export async function publicLog(engine: AnyEngine, filter: Options = {}): Promise<AnyEvent[]> {
  return collect(await engine.events.list({ order: 'asc', limit: 1000, ...filter }))
}

/** Every pending timer. */
export async function allTimers(engine: AnyEngine): Promise<AnyTimer[]> {
  return collect(await engine.timers.list({ limit: 1000 }))
}

/** All items of a page and of those after it. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** The types of some events, in their order. */
export function typesOf(events: readonly { readonly type: string }[]): string[] {
  return events.map((event) => event.type)
}

/** Checks that the log of an engine is dense, its versions are without holes, its causes come first, and that it verifies. */
export async function expectVerified(engine: AnyEngine): Promise<void> {
  const log = await fullLog(engine, { tenant: '*' })
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_, index) => index + 1))
  const versions = new Map<string, number>()
  const ids = new Set<string | null>([null])
  for (const { id, resource_id, resource_version, cause } of log) {
    const version = versions.get(resource_id) ?? 0
    expect([version, version + 1]).toContain(resource_version)
    expect(ids).toContain(cause.causation_id)
    versions.set(resource_id, resource_version)
    ids.add(id)
  }
  const { checked, differences } = await engine.verify()
  expect(differences).toEqual([])
  expect(checked).toMatchObject({ resources: versions.size, events: log.length })
}
