/** How does a decided entry get its place, id and hash in the log? @module */

import { hash } from 'node:crypto'
import type { OutcomeDraft, Overlay } from '../core/overlay.ts'
import type { Entry, OutcomeRow, ResourceRow, SealedEntry } from '../core/rows.ts'
import type { Ids } from '../ids.ts'
import type { Writes } from '../store/store.ts'

/** What a batch writes, and which entry became which. */
export interface Sealed {
  readonly writes: Writes
  readonly entries: ReadonlyMap<Entry, SealedEntry>
}

/** Seals what has been decided, on top of the log's head. */
export function seal(overlay: Overlay, head: number, ids: Ids): Sealed {
  const entries = new Map<Entry, SealedEntry>()
  const ends = new Map<string, ChainEnd>()
  let seq = head
  for (const entry of overlay.entries) {
    seq += 1
    const end = ends.get(entry.resourceId) ?? overlay.rows.get(entry.resourceId) ?? NO_CHAIN
    const sealed = sealEntry(entry, seq, ids, entries, end)
    entries.set(entry, sealed)
    ends.set(entry.resourceId, { head: sealed.hash, latest: seq, entries: sealed.ordinal })
  }
  const rows = (from: ReadonlySet<string>) =>
    [...from].flatMap((id) => withEnd(overlay.rows.get(id), ends.get(id)))
  const isDecided = (id: string) => overlay.created.has(id) || overlay.changed.has(id)
  const writes = {
    created: rows(overlay.created),
    changed: rows(overlay.changed),
    noted: rows(new Set([...ends.keys()].filter((id) => !isDecided(id)))),
    entries: [...entries.values()],
    timers: overlay.timers,
    secrets: overlay.secrets,
    references: overlay.references,
    outcomes: overlay.outcomes.map((draft) => toOutcomeRow(draft, entries)),
  }
  return { writes, entries }
}

/** Where the chain of a resource's entries ends. */
type ChainEnd = Pick<ResourceRow, 'head' | 'latest' | 'entries'>

const NO_CHAIN: ChainEnd = { head: null, latest: 0, entries: 0 }

function withEnd(row: ResourceRow | undefined, end: ChainEnd | undefined): ResourceRow[] {
  if (row === undefined) return []
  if (end === undefined) return [row]
  const { head, latest, entries } = end
  return [{ ...row, head, latest, entries }]
}

function sealEntry(
  entry: Entry,
  seq: number,
  ids: Ids,
  earlier: ReadonlyMap<Entry, SealedEntry>,
  before: ChainEnd,
): SealedEntry {
  const { causation } = entry
  const sealed = {
    seq,
    id: ids.next('evt', entry.createdAt),
    tenant: entry.tenant,
    type: entry.type,
    internal: entry.internal,
    resourceId: entry.resourceId,
    resourceVersion: entry.resourceVersion,
    data: entry.data,
    previousStatus: entry.previousStatus,
    previousMs: entry.previousMs,
    command: entry.command,
    change: entry.change,
    cause: entry.cause,
    actor: entry.actor,
    correlationId: entry.correlationId,
    causationId: causation === null ? null : (earlier.get(causation)?.id ?? null),
    createdAt: entry.createdAt,
    ordinal: before.entries + 1,
    previous: before.latest,
  }
  return Object.assign(sealed, { hash: hashOf(sealed, before.head) })
}

/** The hash of an entry: over its content and the hash of the resource's entry before it. */
export function hashOf(entry: Omit<SealedEntry, 'hash'>, before: Buffer | null): Buffer {
  const content = JSON.stringify([
    entry.seq,
    entry.id,
    entry.tenant,
    entry.type,
    entry.internal,
    entry.resourceId,
    entry.resourceVersion,
    entry.data,
    entry.previousStatus,
    entry.previousMs,
    entry.command,
    entry.change,
    entry.cause,
    entry.actor,
    entry.correlationId,
    entry.causationId,
    entry.createdAt,
  ])
  return hash('sha256', `${before?.toString('hex') ?? ''}${content}`, 'buffer')
}

function toOutcomeRow(
  { entries, ...draft }: OutcomeDraft,
  sealed: ReadonlyMap<Entry, SealedEntry>,
): OutcomeRow {
  return { ...draft, events: entries.flatMap((entry) => sealed.get(entry)?.seq ?? []) }
}
