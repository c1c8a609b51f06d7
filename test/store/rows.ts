import { afterAll } from 'vitest'
import { ask, type Plan } from '../../src/core/questions.ts'
import type { ResourceRow, SealedEntry, TimerChange } from '../../src/core/rows.ts'
import { firstIdAt } from '../../src/ids.ts'
import type { EntryQuery, ResourceQuery, TimerQuery } from '../../src/store/queries.ts'
import type { Store, Writes } from '../../src/store/store.ts'

/** Has something done later. */
export type Later = (work: () => void | Promise<void>) => void

/**
 * Opens an empty store that is closed when the test is over, or else later; it waits that many milliseconds
 * for others.
 */
export type OpenStore = (busyTimeout?: number, later?: Later) => Promise<Store>

/** Fills each store once for all tests that only read it: to fill one takes much longer than to read it. */
export function sharedStores<Filling extends readonly unknown[]>(
  openStore: OpenStore,
  fill: (openStore: OpenStore, ...filling: Filling) => Promise<Store>,
): (...filling: Filling) => Promise<Store> {
  const stores = new Map<string, Promise<Store>>()
  const closing: (() => void | Promise<void>)[] = []
  afterAll(async () => {
    for (const close of closing.toReversed()) await close()
  })
  const open: OpenStore = (busyTimeout) => openStore(busyTimeout, (close) => closing.push(close))
  return (...filling) => {
    const key = JSON.stringify(filling)
    const store = stores.get(key) ?? fill(open, ...filling)
    stores.set(key, store)
    return store
  }
}

/** What writes nothing. */
export const NOTHING: Writes = {
  ...{ created: [], changed: [], noted: [], entries: [], timers: [], secrets: [], references: [] },
  outcomes: [],
}

/** A resource as a plan would write it. */
export function rowOf(id: string, parts: Partial<ResourceRow> = {}): ResourceRow {
  return {
    ...{ id, tenant: 'default', type: 'thing', status: 'calm', version: 1, final: false },
    ...{ value: '"calm"', memory: null, context: '{"b":1,"a":[null]}', machine: '1:x' },
    ...{ createdAt: 1000, updatedAt: 1000, statusSince: 1000 },
    ...{ head: null, latest: 0, entries: 0 },
    ...parts,
  }
}

/** An entry of the log as a plan would write it. */
export function entryOf(
  seq: number,
  resourceId: string,
  parts: Partial<SealedEntry> = {},
): SealedEntry {
  return {
    ...{ seq, id: entryIdOf(seq, parts.createdAt), tenant: 'default', type: 'thing.went' },
    ...{ internal: false, resourceId, resourceVersion: 1, data: '{"n":1}' },
    ...{ previousStatus: null, previousMs: null, command: '{"type":"go"}', change: '{}' },
    ...{ cause: 'go', actor: null, correlationId: 'corr_1', causationId: null },
    ...{ createdAt: 1000 + seq, hash: Buffer.alloc(32, seq), ordinal: 1, previous: 0 },
    ...parts,
  }
}

/** The id of such an entry: it begins with its time. */
export function entryIdOf(seq: number, createdAt = 1000 + seq): string {
  return `${firstIdAt('evt', createdAt)}${seq}`
}

/** Resources with an entry each, from a place of the log on. */
export function born(rows: readonly ResourceRow[], first = 1): Pick<Writes, 'created' | 'entries'> {
  const entries = rows.map(({ id, tenant, createdAt }, i) =>
    entryOf(first + i, id, { tenant, createdAt }),
  )
  return { created: rows, entries }
}

/** Writes in one transaction; the entries go on where those of their resources end. */
export async function write(store: Store, writes: Partial<Writes>): Promise<void> {
  await store.transact(() => chained({ ...NOTHING, ...writes }))
}

/** Where the entries of a resource end. */
type End = Pick<ResourceRow, 'latest' | 'entries'>

function* chained(writes: Writes): Plan<{ writes: Writes; result: null }> {
  const ends = new Map<string, End>()
  const noted = new Map<string, ResourceRow>()
  const ids = [...writes.changed, ...writes.noted].map(({ id }) => id)
  for (const id of new Set([...ids, ...writes.entries.map(({ resourceId }) => resourceId)])) {
    const row = yield* ask({ ask: 'resource', id })
    ends.set(id, row ?? { latest: 0, entries: 0 })
    if (row !== undefined) noted.set(id, row)
  }
  const entries = writes.entries.map((entry) => {
    const end = ends.get(entry.resourceId) ?? { latest: 0, entries: 0 }
    ends.set(entry.resourceId, { latest: entry.seq, entries: end.entries + 1 })
    return { ...entry, ordinal: end.entries + 1, previous: end.latest }
  })
  for (const { id } of [...writes.created, ...writes.changed, ...writes.noted]) noted.delete(id)
  const withEnd = (row: ResourceRow): ResourceRow => {
    const { latest, entries: count } = ends.get(row.id) ?? row
    return { ...row, latest, entries: count }
  }
  const linked = {
    created: writes.created.map(withEnd),
    changed: writes.changed.map(withEnd),
    noted: [...writes.noted, ...noted.values()].map(withEnd),
  }
  return { writes: { ...writes, ...linked, entries }, result: null }
}

/** What the store answers to a question. */
export function answerOf(store: Store, question: Parameters<typeof ask>[0]): Promise<unknown> {
  return store.read(() => ask(question))
}

/** Has a timer set. */
export function set(
  resourceId: string,
  name: string | null,
  dueAt: number,
  event = '{"type":"x"}',
) {
  const timer = { resourceId, tenant: 'default', name, event, dueAt }
  return { change: 'set', timer } satisfies TimerChange
}

/** All timers there are. */
export const EVERY_TIMER: TimerQuery = { after: null, limit: 100, tenant: null, resourceId: null }

/** All things of the tenant. */
export const EVERY_THING: ResourceQuery = {
  ...{ after: null, order: 'asc', limit: 100, tenant: 'default', type: 'thing' },
  ...{ statuses: null, references: {}, createdAfter: null, createdBefore: null },
}

/** All entries of the tenant. */
export const EVERY_ENTRY: EntryQuery = {
  ...{ after: null, order: 'asc', limit: 100, tenant: 'default', resourceId: null },
  ...{ types: null, internal: true, since: null, until: null, upTo: null },
}
