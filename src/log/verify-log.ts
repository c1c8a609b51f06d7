/** Is the log complete, and does every entry belong to a resource? @module */

import type { LogSlice } from '../store/audit.ts'
import { differ, type Inspection } from './inspection.ts'
import { addPlace, readAround, type Stretch, stretchText } from './read-around.ts'

/** What the log held when the check began. */
export interface LogExtent {
  readonly head: number
  readonly pruned: number
  /** The entries up to the head whose resource exists. */
  readonly entries: number
  /** Whether all of it could be read. */
  readonly isWhole: boolean
}

interface Scan {
  /** The last place that has been looked at. */
  last: number
  /** The head when the scan began; undefined until then. */
  head: number | undefined
  pruned: number
  entries: number
  readonly damaged: Stretch[]
  /** By the id of a resource that does not exist: its first entry, and how many there are. */
  readonly strays: Map<string, { readonly seq: number; count: number }>
}

// About a millisecond to read.
const AT_ONCE = 1000

const NAMES = ['entry', 'entries'] as const

/** Checks that no place of the log is missing and that every entry belongs to a resource. */
export async function verifyLog(inspection: Inspection): Promise<LogExtent> {
  const scan: Scan = {
    ...{ last: 0, head: undefined, pruned: 0, entries: 0 },
    ...{ damaged: [], strays: new Map() },
  }
  const reading = {
    limit: AT_ONCE,
    read: async (after: number, limit: number) => {
      const slice = await inspection.context.store.logSlice(after, limit)
      const last = slice.places.length < limit ? null : (slice.places.at(-1)?.seq ?? null)
      return { slice: { ...slice, isLast: last === null }, last }
    },
    end: () => scan.head ?? Number.MAX_SAFE_INTEGER,
  }
  for await (const part of readAround(reading)) {
    if ('damaged' in part) {
      scan.last = part.damaged
      addPlace(scan.damaged, part.damaged)
    } else {
      checkSlice(inspection, scan, part.slice)
      // What has come since the check began may go on coming.
      if (scan.last >= (scan.head ?? 0)) break
    }
  }
  reportDamage(inspection, scan)
  reportStrays(inspection, scan)
  const { head = 0, pruned, entries, damaged } = scan
  return { head, pruned, entries, isWhole: damaged.length === 0 }
}

function checkSlice(
  inspection: Inspection,
  scan: Scan,
  { log, listed, places, isLast }: LogSlice & { readonly isLast: boolean },
): void {
  if (scan.head === undefined) begin(inspection, scan, log)
  const pruned = log?.pruned ?? scan.pruned
  for (const place of places) {
    reportMissing(inspection, [Math.max(scan.last, pruned) + 1, place.seq - 1])
    checkPlace(inspection, place, { pruned, listed })
    count(scan, place)
  }
  if (!isLast || log === undefined) return
  reportMissing(inspection, [Math.max(scan.last, pruned) + 1, log.head])
  if (listed <= log.head) return
  const message = `the listing goes up to place ${listed}, and the log only to ${log.head}`
  differ(inspection, { kind: 'log', resourceId: null, seq: listed }, message)
}

function begin(inspection: Inspection, scan: Scan, log: LogSlice['log']): void {
  scan.head = log?.head ?? Number.MAX_SAFE_INTEGER
  scan.pruned = log?.pruned ?? 0
  if (log !== undefined) return
  const message = 'the row that says where the log begins and ends is missing'
  differ(inspection, { kind: 'log', resourceId: null }, message)
}

type Place = LogSlice['places'][number]

function count(scan: Scan, { seq, resourceId, known }: Place): void {
  if (!known) addStray(scan, resourceId, seq)
  else if (seq <= (scan.head ?? 0)) scan.entries += 1
  scan.last = seq
}

function checkPlace(
  inspection: Inspection,
  { seq, resourceId, isListed, isBeyond }: Place,
  { pruned, listed }: { readonly pruned: number; readonly listed: number },
): void {
  const report = (message: string) => differ(inspection, { kind: 'log', resourceId, seq }, message)
  if (seq <= pruned)
    report(`entry ${seq} is there, although the log has been pruned up to ${pruned}`)
  if (isBeyond) report(`entry ${seq} is there, although its resource does not know of it`)
  if (isListed !== seq <= listed) report(`entry ${seq} is not in the listing as it is in the log`)
}

function reportMissing(inspection: Inspection, stretch: Stretch): void {
  if (stretch[0] > stretch[1]) return
  const message = `${stretchText(NAMES, stretch)} of the log ${isOne(stretch) ? 'is' : 'are'} missing`
  differ(inspection, { kind: 'log', resourceId: null, seq: stretch[0] }, message)
}

function isOne([first, last]: Stretch): boolean {
  return first === last
}

function reportDamage(inspection: Inspection, { damaged }: Scan): void {
  for (const stretch of damaged) {
    const message = `${stretchText(NAMES, stretch)} of the log, or the resources of these, cannot be read: the file is damaged`
    differ(inspection, { kind: 'storage', resourceId: null, seq: stretch[0] }, message)
  }
}

function addStray({ strays }: Scan, resourceId: string, seq: number): void {
  const stray = strays.get(resourceId)
  if (stray === undefined) strays.set(resourceId, { seq, count: 1 })
  else stray.count += 1
}

function reportStrays(inspection: Inspection, { strays }: Scan): void {
  for (const [resourceId, { seq, count }] of strays) {
    const message = `there is no resource ${resourceId}, but the log has entries about it: ${count}, from place ${seq} on`
    differ(inspection, { kind: 'log', resourceId, seq }, message)
  }
}

/** What going through the resources has come to. */
export interface Visited {
  /** Their entries up to the head that the log had when the check began. */
  readonly entries: number
  /** Whether all of them could be read. */
  readonly isWhole: boolean
}

/** Checks that the entries of the resources are those of the log. `pruned` is how far it has been pruned by now. */
export function verifyCount(
  inspection: Inspection,
  log: LogExtent,
  visited: Visited,
  pruned: number,
): void {
  const isComparable = log.isWhole && visited.isWhole && log.pruned === pruned
  if (!isComparable || log.entries === visited.entries) return
  const message = `the log has ${log.entries} entries of resources that exist, but ${visited.entries} are found through these`
  differ(inspection, { kind: 'log', resourceId: null }, message)
}
