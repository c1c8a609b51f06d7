/** How does a decided entry get its place, id and hash in the log? @module */

import { hash } from 'node:crypto'
import type { Layer, OutcomeDraft } from '../core/overlay.ts'
import type { Entry, OutcomeRow, ResourceRow, SealedEntry } from '../core/rows.ts'
import type { Ids } from '../ids.ts'
import type { Writes } from '../store/store.ts'

/** What a batch writes, and which entry became which. */
export interface Sealed {
  readonly writes: Writes
  readonly entries: ReadonlyMap<Entry, SealedEntry>
}

/** Seals what a layer has decided, on top of the log's head. */
export function seal(layer: Layer, head: number, ids: Ids): Sealed {
  const entries = new Map<Entry, SealedEntry>()
  const heads = new Map<string, Buffer>()
  let seq = head
  for (const entry of layer.entries) {
    seq += 1
    const before =
      heads.get(entry.resourceId) ?? layer.resources.get(entry.resourceId)?.head ?? null
    const sealed = sealEntry(entry, seq, ids, entries, before)
    entries.set(entry, sealed)
    heads.set(entry.resourceId, sealed.hash)
  }
  const rows = (from: ReadonlySet<string>) =>
    [...from].flatMap((id) => withHead(layer.resources.get(id), heads.get(id)))
  const isDecided = (id: string) => layer.created.has(id) || layer.changed.has(id)
  const writes = {
    created: rows(layer.created),
    changed: rows(new Set([...layer.changed].filter((id) => !layer.created.has(id)))),
    noted: rows(new Set([...heads.keys()].filter((id) => !isDecided(id)))),
    entries: [...entries.values()],
    timers: layer.timers,
    secrets: layer.secrets,
    references: layer.references,
    outcomes: layer.outcomes.map((draft) => toOutcomeRow(draft, entries)),
  }
  return { writes, entries }
}

function withHead(row: ResourceRow | undefined, head: Buffer | undefined): ResourceRow[] {
  return row === undefined ? [] : [{ ...row, head: head ?? row.head }]
}

function sealEntry(
  entry: Entry,
  seq: number,
  ids: Ids,
  earlier: ReadonlyMap<Entry, SealedEntry>,
  before: Buffer | null,
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
  }
  return Object.assign(sealed, { hash: hashOf(sealed, before) })
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
