/** Is every resource what its log says? @module */

import { isPawlError } from '../errors.ts'
import { partsOf } from './changes.ts'
import { differ, type Inspection, progress, readable } from './inspection.ts'
import { addPlace, readAround, type Stretch, stretchText } from './read-around.ts'
import type { Visited } from './verify-log.ts'
import { verifyRest } from './verify-rest.ts'
import { verifyRow } from './verify-row.ts'
import { follow, startTrail, type Trail } from './verify-trail.ts'

// About a millisecond to read.
const AT_ONCE = 500

const NAMES = ['position', 'positions'] as const

interface Tour {
  /** Where the log ended when the check began. */
  readonly head: number
  /** The last position that has been visited. */
  position: number
  /** The place of the entry that created the resource before. */
  born: number
  entries: number
  isWhole: boolean
  readonly damaged: Stretch[]
}

interface Place {
  readonly position: number
  readonly id: string
}

/** Checks every resource, in the order of their creation. `head` is where the log ended when the check began. */
export async function verifyResources(inspection: Inspection, head: number): Promise<Visited> {
  const { store } = inspection.context
  const tour: Tour = { head, position: 0, born: 0, entries: 0, isWhole: true, damaged: [] }
  const { there: end, given } = await lastPosition(inspection)
  const reading = {
    limit: AT_ONCE,
    read: async (after: number, limit: number) => {
      const slice = await store.positionsAfter(after, limit)
      return { slice, last: slice.length < limit ? null : (slice.at(-1)?.position ?? null) }
    },
    end: () => end,
  }
  for await (const part of readAround(reading)) {
    if ('damaged' in part) skip(tour, part.damaged)
    else for (const place of part.slice) await visit(inspection, tour, place)
    // What has come since the check began may go on coming.
    if (tour.position >= end) break
  }
  reportDamage(inspection, tour)
  if (given > end) reportVanished(inspection, [end + 1, given])
  await reportStrange(inspection, tour)
  return tour
}

async function lastPosition({ context: { store } }: Inspection) {
  try {
    return await store.lastPosition()
  } catch (error) {
    if (!isPawlError(error, 'storage_corrupt')) throw error
    return { there: Number.MAX_SAFE_INTEGER, given: 0 }
  }
}

/** Resources after which no other one was created leave no hole behind. */
function reportVanished(inspection: Inspection, stretch: Stretch): void {
  const message = `the resources at ${stretchText(NAMES, stretch)} are missing: they were the last that were created`
  differ(inspection, { kind: 'state', resourceId: null }, message)
}

function skip(tour: Tour, position: number): void {
  addPlace(tour.damaged, position)
  tour.position = position
  tour.isWhole = false
}

/** Checks one resource; a part of the file that is damaged holds up none of the others. */
async function visit(inspection: Inspection, tour: Tour, { position, id }: Place): Promise<void> {
  checkPosition(inspection, tour, { position, id })
  const trail = startTrail(id)
  try {
    await walk(inspection, tour, trail, position)
  } catch (error) {
    if (!isPawlError(error, 'storage_corrupt')) throw error
    tour.isWhole = false
    const subject = { kind: 'storage', resourceId: id } as const
    differ(inspection, subject, `it cannot be read: ${error.message}`)
  }
  checkOrder(inspection, tour, trail)
  inspection.checked.resources += 1
  progress(inspection)
}

async function walk(
  inspection: Inspection,
  tour: Tour,
  trail: Trail,
  position: number,
): Promise<void> {
  for await (const part of partsOf(inspection.context, position)) {
    follow(inspection, trail, part)
    const entries = part.groups.flat()
    tour.entries += entries.filter(({ seq }) => seq <= tour.head).length
    inspection.checked.events += entries.length
    progress(inspection)
    if (part.rest === null) continue
    verifyRow(inspection, trail, part)
    verifyRest(inspection, trail, { ...part.rest, row: part.row })
  }
}

/** Positions count the resources. */
function checkPosition(inspection: Inspection, tour: Tour, { position, id }: Place): void {
  const expected = tour.position + 1
  tour.position = position
  if (position === expected) return
  const missing = stretchText(NAMES, [expected, position - 1])
  const message = `it is at position ${position}, but there is no resource at ${missing}`
  differ(inspection, { kind: 'state', resourceId: id }, message)
}

/** The resources were created in the order of their positions. */
function checkOrder(inspection: Inspection, tour: Tour, { id, state }: Trail): void {
  if (state === null) return
  if (state.born < tour.born) {
    const message = `it is at position ${tour.position}, but was created (at place ${state.born} of the log) before the resource in front of it (${tour.born})`
    differ(inspection, { kind: 'state', resourceId: id }, message)
  }
  tour.born = Math.max(tour.born, state.born)
}

function reportDamage(inspection: Inspection, { damaged }: Tour): void {
  for (const stretch of damaged) {
    const message = `the resources at ${stretchText(NAMES, stretch)} cannot be read: the file is damaged`
    differ(inspection, { kind: 'storage', resourceId: null }, message)
  }
}

/** Names the resources that counting positions does not lead to. */
async function reportStrange(inspection: Inspection, tour: Tour): Promise<void> {
  const { store } = inspection.context
  const found = await readable(inspection, null, 'a part of the resources', () =>
    store.strangePositions(),
  )
  for (const id of found?.read ?? []) {
    tour.isWhole = false
    const message = 'its position is none that counting leads to'
    differ(inspection, { kind: 'state', resourceId: id }, message)
  }
}
