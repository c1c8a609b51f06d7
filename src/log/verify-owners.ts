/** Does everything that is stored of a resource belong to one that exists? @module */

import type { OwnedTable } from '../store/audit.ts'
import { type DifferenceKind, differ, type Inspection, readable } from './inspection.ts'

const TABLES: readonly (readonly [OwnedTable, DifferenceKind])[] = [
  ['pawl_timers', 'timer'],
  ['pawl_references', 'reference'],
  ['pawl_secrets', 'secret'],
  ['pawl_bases', 'log'],
]

// About a millisecond to read.
const AT_ONCE = 500

/** Names the resources that do not exist, but have timers, references, secrets or pruned entries. */
export async function verifyOwners(inspection: Inspection): Promise<void> {
  for (const [table, kind] of TABLES) {
    await readable(inspection, null, table, () => verifyTable(inspection, table, kind))
  }
}

async function verifyTable(
  inspection: Inspection,
  table: OwnedTable,
  kind: DifferenceKind,
): Promise<void> {
  for (let after = ''; ; ) {
    const owners = await inspection.context.store.ownersAfter(table, after, AT_ONCE)
    for (const { resourceId, known } of owners) {
      if (known) continue
      const message = `there is no resource ${resourceId}, but ${table} has rows of it`
      differ(inspection, { kind, resourceId }, message)
    }
    after = owners.at(-1)?.resourceId ?? ''
    if (owners.length < AT_ONCE) return
  }
}
