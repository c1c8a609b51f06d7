/** Does each entry of a resource follow from those before it? @module */

import type { Kind } from '../core/kind.ts'
import { isFurther, isNote, type Replayed, readChange, replayChange } from '../core/replay.ts'
import { checkChange } from '../core/replay-check.ts'
import { passTime } from '../core/replay-silence.ts'
import type { SealedEntry } from '../core/rows.ts'
import { messageOf } from '../errors.ts'
import { hashOf } from '../runtime/seal.ts'
import type { Audited, BaseRow } from '../store/audit.ts'
import { fromBase } from './bases.ts'
import type { Group, Part } from './changes.ts'
import { type DifferenceKind, differ, type Inspection } from './inspection.ts'

/** How far a resource's log has been followed. */
export interface Trail {
  readonly id: string
  /** The hash of the latest entry, as it is stored. */
  hash: Buffer | null
  /** The hash that the latest entry should have. */
  due: Buffer | null
  version: number
  /** The place of the latest entry, and how many there are by then; those that have been pruned count. */
  latest: number
  entries: number
  /** What the resource is by now; null before its creation. */
  state: Replayed | null
  /** Whether it could not be followed any further. */
  isBroken: boolean
}

type Entry = Audited<SealedEntry>

/** A trail that has not begun. */
export function startTrail(id: string): Trail {
  return {
    id,
    hash: null,
    due: null,
    version: 0,
    latest: 0,
    entries: 0,
    state: null,
    isBroken: false,
  }
}

/** Follows a part of a resource's log. */
export function follow(inspection: Inspection, trail: Trail, part: Part): void {
  if (part.rebased && part.base !== undefined) rebase(inspection, trail, part.base)
  for (const group of part.groups) {
    for (const entry of group) checkEntry(inspection, trail, entry)
    followGroup(inspection, trail, group)
  }
}

/** The kind of a resource, by its log. */
export function kindOf({ context }: Inspection, { row }: Replayed): Kind | undefined {
  return context.registry.byType.get(row.type)
}

function rebase(inspection: Inspection, trail: Trail, base: BaseRow): void {
  trail.hash = base.hash
  trail.due = base.hash
  trail.latest = base.seq
  trail.entries = 0
  try {
    trail.state = fromBase(base)
    trail.version = trail.state.row.version
  } catch (error) {
    breakOff(inspection, trail, { kind: 'log', seq: base.seq }, error)
  }
}

function breakOff(
  inspection: Inspection,
  trail: Trail,
  { kind, seq }: { readonly kind: DifferenceKind; readonly seq: number },
  error: unknown,
): void {
  trail.isBroken = true
  const why = messageOf(error)
  const message = `it cannot be replayed from place ${seq} of the log on: ${why}`
  differ(inspection, { kind, resourceId: trail.id, seq }, message)
}

function checkEntry(inspection: Inspection, trail: Trail, entry: Entry): void {
  const { seq, damaged, resourceVersion } = entry
  const subject = { resourceId: trail.id, seq }
  if (damaged.length > 0) {
    const message = `${damaged.join(', ')} of entry ${seq} is not what pawl writes`
    differ(inspection, { kind: 'hash', ...subject }, message)
  }
  checkHash(inspection, trail, entry)
  checkTenant(inspection, trail, entry)
  const expected = trail.version + (entry.command === null ? 0 : 1)
  if (resourceVersion !== expected) {
    const message = `entry ${seq} is at version ${resourceVersion}; expected ${expected}`
    differ(inspection, { kind: 'version', ...subject }, message)
  }
  trail.version = resourceVersion
  checkPlace(inspection, trail, entry)
}

/** Each entry leads to the one before it. */
function checkPlace(inspection: Inspection, trail: Trail, { seq, ordinal, previous }: Entry): void {
  // How many have been pruned is not known.
  const expected = trail.entries === 0 && trail.latest > 0 ? ordinal : trail.entries + 1
  if (previous !== trail.latest || ordinal !== expected) {
    const message = `entry ${seq} says that it is number ${ordinal} and follows ${previous}; expected number ${expected}, after ${trail.latest}`
    differ(inspection, { kind: 'log', resourceId: trail.id, seq }, message)
  }
  trail.latest = seq
  trail.entries = ordinal
}

function checkTenant(inspection: Inspection, { id, state }: Trail, entry: Entry): void {
  if (state === null || entry.tenant === state.row.tenant) return
  const { seq, tenant } = entry
  const message = `entry ${seq} is of tenant "${tenant}"; it began with "${state.row.tenant}"`
  differ(inspection, { kind: 'log', resourceId: id, seq }, message)
}

function checkHash(inspection: Inspection, trail: Trail, entry: Entry): void {
  const { hash, due } = trail
  trail.hash = entry.hash
  trail.due = entry.hash
  if (isSame(hashOf(entry, hash), entry.hash)) return
  trail.due = hashOf(entry, due)
  // Where only the hash before it has been altered, that one is to blame.
  if (isSame(trail.due, entry.hash)) return
  const { seq } = entry
  const message = `entry ${seq} is not what its hash says: it, or what stood before it, has been altered or removed`
  differ(inspection, { kind: 'hash', resourceId: trail.id, seq }, message)
}

/** Whether a hash in the file is this one. */
export function isSame(expected: Buffer | null, found: Buffer | null): boolean {
  if (expected === null || !Buffer.isBuffer(found)) return expected === found
  return expected.equals(found)
}

function followGroup(inspection: Inspection, trail: Trail, group: Group<Entry>): void {
  const [first] = group
  if (trail.isBroken || isNote(first)) return
  try {
    if (isFurther(first)) throw new Error('the beginning of the change is missing')
    followChange(inspection, trail, group)
  } catch (error) {
    breakOff(inspection, trail, { kind: 'replay', seq: first.seq }, error)
  }
}

function followChange(inspection: Inspection, trail: Trail, group: Group<Entry>): void {
  const [{ seq, createdAt }] = group
  const change = readChange(group)
  const before = trail.state && passTime(kindOf(inspection, trail.state), trail.state, createdAt)
  const after = replayChange(before, change)
  trail.state = after
  const found = checkChange(kindOf(inspection, after), { before, change, after })
  for (const difference of found) {
    const message = `${change.command.type} at place ${seq}: ${difference}; has the machine been changed without a new version?`
    differ(inspection, { kind: 'replay', resourceId: trail.id, seq }, message)
  }
}
