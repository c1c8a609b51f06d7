/** Is the row of a resource what its log led to? @module */

import type { ResourceRow } from '../core/rows.ts'
import { brief } from '../errors.ts'
import type { Audited } from '../store/audit.ts'
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
export function verifyRow(inspection: Inspection, trail: Trail, row: Audited<ResourceRow>): void {
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
  if (row.version !== trail.version)
    report(`version is ${row.version}; its log says ${trail.version}`)
  if (trail.state === null || trail.isBroken) return
  for (const [field, column] of COLUMNS) {
    const [found, expected] = [row[field], trail.state.row[field]]
    if (found !== expected) report(`${column} is ${brief(found)}; its log says ${brief(expected)}`)
  }
}
