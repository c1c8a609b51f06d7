/** What do the entries that are to be pruned come to? @module */

import type { Context } from '../context.ts'
import { isNote, type Replayed, readChange, replayChange } from '../core/replay.ts'
import { passTime } from '../core/replay-silence.ts'
import type { SealedEntry } from '../core/rows.ts'
import { messageOf, PawlError } from '../errors.ts'
import { hashOf } from '../runtime/seal.ts'
import type { Audited, BaseRow } from '../store/audit.ts'
import { fromBase, toBase } from './bases.ts'
import { type Group, grouped } from './changes.ts'

type Entry = Audited<SealedEntry>

/**
 * Folds entries of whole changes into the bases of their resources; gives the new ones. Throws
 * `storage_corrupt` for entries that do not follow from those before them.
 */
export function foldEntries(
  context: Context,
  entries: readonly Entry[],
  baseOf: (resourceId: string) => BaseRow | undefined,
): BaseRow[] {
  const byResource = new Map<string, Entry[]>()
  for (const entry of entries) {
    const own = byResource.get(entry.resourceId)
    if (own === undefined) byResource.set(entry.resourceId, [entry])
    else own.push(entry)
  }
  return [...byResource].map(([id, own]) => foldResource(context, own, baseOf(id)))
}

interface Folded {
  readonly state: Replayed | null
  readonly hash: Buffer | null
}

function foldResource(
  context: Context,
  entries: readonly Entry[],
  base: BaseRow | undefined,
): BaseRow {
  let folded: Folded = base === undefined ? UNBORN : begun(base)
  for (const group of grouped(entries)) folded = foldGroup(context, folded, group)
  const last = entries.at(-1)
  if (folded.state === null || last === undefined) throw new Error('there is nothing to fold')
  return toBase(folded.state, last)
}

const UNBORN: Folded = { state: null, hash: null }

function begun(base: BaseRow): Folded {
  return sound(base, () => ({ state: fromBase(base), hash: base.hash }))
}

function foldGroup(context: Context, { state, hash }: Folded, group: Group<Entry>): Folded {
  const [first] = group
  return sound(first, () => {
    const after = { state, hash: chained(hash, group) }
    if (isNote(first)) return after
    const before = state && passTime(kindOf(context, state), state, first.createdAt)
    return { ...after, state: replayChange(before, readChange(group)) }
  })
}

function kindOf({ registry }: Context, { row }: Replayed) {
  return registry.byType.get(row.type)
}

/** The hash at the end of a chain. Throws where the chain is broken: what is removed could not be looked into later. */
function chained(before: Buffer | null, group: Group<Entry>): Buffer | null {
  return group.reduce<Buffer | null>((hash, entry) => {
    const isIntact = entry.damaged.length === 0 && hashOf(entry, hash).equals(entry.hash)
    if (!isIntact) throw new Error('it is not what its hash says')
    return entry.hash
  }, before)
}

function sound<T>({ resourceId, seq }: { resourceId: string; seq: number }, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw altered(resourceId, seq, cause)
  }
}

function altered(resourceId: string, seq: number, cause: unknown): PawlError<'storage_corrupt'> {
  const why = messageOf(cause)
  const message = `prune: entry ${seq} of the log, of ${resourceId}, stays, and so do those after it: ${why}; verify() says more`
  return new PawlError('storage_corrupt', message, { operation: 'prune' }, { cause })
}
