/** Is the row of a resource what its log led to? @module */

import { brief } from '../errors.ts'
import type { Part } from './changes.ts'
import { differ, type Inspection } from './inspection.ts'
import { isSame, type Trail } from './verify-trail.ts'

const COLUMNS = [
  ['tenant', 'tenant'],
  ['type', 'type'],
  ['status', 'status'],
  ['final', 'final'],
  ['value', 'value'],
  ['memory', 'memory'],
  ['context', 'context'],
  ['machine', 'machine'],
  ['createdAt', 'created_at'],
  ['updatedAt', 'updated_at'],
  ['statusSince', 'status_since'],
] as const

/** Compares the row of a resource with its log. */
export function verifyRow(inspection: Inspection, trail: Trail, part: Part): void {
  const { row } = part
  const report = (message: string) =>
    differ(inspection, { kind: 'state', resourceId: row.id }, message)
  if (row.damaged.length > 0) report(`${row.damaged.join(', ')} is not what pawl writes`)
  if (trail.hash === null) {
    differ(inspection, { kind: 'log', resourceId: row.id }, 'it has no entries in the log')
    return
  }
  if (!isSame(trail.hash, row.head) && !isSame(trail.due, row.head)) {
    const message =
      'its row ends the chain with another hash than its log: the last entries are missing, or either has been altered'
    differ(inspection, { kind: 'hash', resourceId: row.id }, message)
  }
  for (const difference of placeDifferences(trail, part)) report(difference)
  if (row.version !== trail.version)
    report(`version is ${row.version}; its log says ${trail.version}`)
  if (trail.state === null || trail.isBroken) return
  for (const [field, column] of COLUMNS) {
    const [found, expected] = [row[field], trail.state.row[field]]
    if (found !== expected) report(`${column} is ${brief(found)}; its log says ${brief(expected)}`)
  }
}

/** What a row says about its place in the log and in the list of statuses, and does not fit. */
function placeDifferences(trail: Trail, { row, listed, noted }: Part): string[] {
  const found: string[] = []
  // How many there were before those that have been pruned is not known where none is left.
  const entries = trail.entries === 0 ? row.entries : trail.entries
  if (row.latest !== trail.latest || row.entries !== entries) {
    found.push(
      `it counts ${row.entries} entries, up to place ${row.latest}; its log has ${entries}, up to ${trail.latest}`,
    )
  }
  // What has come since the last listing may have created it, or changed its status.
  const isDue = row.latest <= listed
  if (noted === null ? isDue : !isNoted(row, isDue ? noted : { ...noted, status: row.status }))
    found.push(`it is listed as ${brief(noted)}, but its status is ${brief(row.status)}`)
  return found
}

function isNoted(row: Part['row'], noted: NonNullable<Part['noted']>): boolean {
  const { tenant, type, status } = row
  return noted.tenant === tenant && noted.type === type && noted.status === status
}
