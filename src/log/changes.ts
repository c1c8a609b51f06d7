/** How are the entries of a resource read change by change, however many there are? @module */

import type { Context } from '../context.ts'
import { isFurther, isNote, type Replayed, readChange, replayChange } from '../core/replay.ts'
import type { SealedEntry } from '../core/rows.ts'
import { isPawlError, messageOf, PawlError } from '../errors.ts'
import type { BaseRow, ResourceSlice } from '../store/audit.ts'
import { fromBase } from './bases.ts'

/** The entries of one change, or a note. */
export type Group<Entry extends SealedEntry = SealedEntry> = readonly [Entry, ...Entry[]]

// Some milliseconds to read and to replay.
const AT_ONCE = 100

/** Puts the entries of a resource together that belong to one change. */
export function grouped<Entry extends SealedEntry>(entries: readonly Entry[]): Group<Entry>[] {
  const groups: [Entry, ...Entry[]][] = []
  for (const entry of entries) {
    const latest = groups.at(-1)
    if (latest !== undefined && isFurther(entry)) latest.push(entry)
    else groups.push([entry])
  }
  return groups
}

/** A part of a resource's log: the next of its changes, all of them whole. */
export interface Part extends Omit<ResourceSlice, 'entries'> {
  readonly groups: readonly Group<ResourceSlice['entries'][number]>[]
  /** Whether the log goes on from the base: those before it have been pruned. */
  readonly rebased: boolean
}

/** Reads the log of the resource at a position, part by part; nothing when there is no resource. */
export async function* partsOf({ store }: Pick<Context, 'store'>, position: number) {
  let [last, rest]: [number, ResourceSlice['entries']] = [0, []]
  for (;;) {
    const slice = await store.resourceSlice(position, last, AT_ONCE)
    if (slice === undefined) return
    const rebased = slice.base !== undefined && slice.base.seq > last
    const groups = grouped([...(rebased ? [] : rest), ...slice.entries])
    // The last change may go on in the next slice.
    rest = slice.rest === null ? (groups.pop() ?? []) : []
    last = slice.entries.at(-1)?.seq ?? last
    const part: Part = { ...slice, groups, rebased }
    yield part
    if (slice.rest !== null) return
  }
}

/** Where a change stands. */
export interface Standing {
  readonly place: number
  readonly time: number
}

/** What a resource was before the changes that are too late, and what it was as far back as the log reaches. */
export interface Reached {
  readonly state: Replayed | null
  readonly earliest: Replayed | null
}

type TooLate = (standing: Standing) => boolean

/** Replays a resource until a change that is too late. Throws `storage_corrupt` for a log that tells nothing. */
export async function replayUntil(
  context: Pick<Context, 'store'>,
  position: number,
  isTooLate: TooLate,
): Promise<Reached> {
  let reached: Reached = { state: null, earliest: null }
  for await (const { row, base, rebased, groups } of partsOf(context, position)) {
    if (rebased && base !== undefined) reached = onBase(row.id, base, isTooLate)
    if (reached.earliest !== null && reached.state === null) return reached
    const inTime = timelyOf(groups, isTooLate)
    for (const group of inTime) reached = afterGroup(reached, group)
    if (inTime.length < groups.length) return reached
  }
  return reached
}

/** The groups before a change that is too late. */
function timelyOf(groups: Part['groups'], isTooLate: TooLate): Part['groups'] {
  const end = groups.findIndex(
    ([first]) => !isNote(first) && isTooLate({ place: first.seq, time: first.createdAt }),
  )
  return end === -1 ? groups : groups.slice(0, end)
}

function onBase(id: string, base: BaseRow, isTooLate: TooLate): Reached {
  const state = told(id, base.seq, () => fromBase(base))
  const standing = { place: state.place, time: state.row.updatedAt }
  return { state: isTooLate(standing) ? null : state, earliest: state }
}

function afterGroup(reached: Reached, group: Group): Reached {
  const { state: before, earliest } = reached
  const [{ resourceId, seq }] = group
  if (isNote(group[0])) return reached
  const state = told(resourceId, seq, () => replayChange(before, readChange(group)))
  return { state, earliest: earliest ?? state }
}

function told<T>(id: string, seq: number, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw isPawlError(error) ? error : senseless(id, seq, error)
  }
}

function senseless(id: string, seq: number, cause: unknown): PawlError<'storage_corrupt'> {
  const why = messageOf(cause)
  const message = `the log of ${id} makes no sense at place ${seq}: ${why}; verify() says more`
  return new PawlError('storage_corrupt', message, { operation: 'replay' }, { cause })
}
