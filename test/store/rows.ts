import { ask, type Plan } from '../../src/core/questions.ts'
import type { ResourceRow, SealedEntry, TimerChange } from '../../src/core/rows.ts'
import type { EntryQuery, ResourceQuery, TimerQuery } from '../../src/store/queries.ts'
import type { Store, Writes } from '../../src/store/store.ts'

/** Opens an empty store that is closed when the test is over; it waits that many milliseconds for others. */
export type OpenStore = (busyTimeout?: number) => Promise<Store>

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
    ...{ createdAt: 1000, updatedAt: 1000, statusSince: 1000, head: null },
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
    ...{ seq, id: `evt_${seq}`, tenant: 'default', type: 'thing.went', internal: false },
    ...{ resourceId, resourceVersion: 1, data: '{"n":1}', previousStatus: null, previousMs: null },
    ...{ command: '{"type":"go"}', change: '{}', cause: 'go', actor: null },
    ...{ correlationId: 'corr_1', causationId: null, createdAt: 1000 + seq },
    hash: Buffer.alloc(32, seq),
    ...parts,
  }
}

/** Writes in one transaction. */
export async function write(store: Store, writes: Partial<Writes>): Promise<void> {
  await store.transact(() => planned({ ...NOTHING, ...writes }))
}

/** A plan that only writes. */
// biome-ignore lint/correctness/useYield: a plan that has no question
function* planned(writes: Writes): Plan<{ writes: Writes; result: null }> {
  return { writes, result: null }
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
