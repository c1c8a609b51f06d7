/** Is the file sound beside its rows: do the indexes lead to them? @module */

import { AUDITED_TABLES } from '../store/audit.ts'
import { differ, type Inspection, readable } from './inspection.ts'

// The database checks a table in one go: about a tenth of a second for this many bytes.
const MOST_BYTES = 32 * 1024 * 1024

/** Has the database check its tables and indexes, as long as that does not stop everything else for long. */
export async function verifyFile(inspection: Inspection): Promise<void> {
  const { store } = inspection.context
  const size = await readable(inspection, null, 'the size of the file', () => store.size())
  if (size === undefined || size.read > MOST_BYTES) return
  for (const table of AUDITED_TABLES) {
    const found = await readable(inspection, null, table, () => store.defectsOf(table))
    for (const defect of found?.read ?? []) {
      differ(inspection, { kind: 'storage', resourceId: null }, `${table}: ${defect}`)
    }
  }
}
