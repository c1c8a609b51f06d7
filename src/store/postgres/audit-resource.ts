/** How does PostgreSQL read a resource with all that belongs to it? @module */

import type { Audit, ResourceSlice } from '../audit.ts'
import { entryColumns, resourceColumns, toEntryRow, toResourceRow } from '../columns.ts'
import { baseIn, baseOf, referencesOf, restIn, secretsOf, timersOf } from './audit-belongings.ts'
import { audited } from './audited.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares reading a resource part by part. */
export function createResourceAudit(
  statements: Statements,
): OnSession<Pick<Audit, 'resourceSlice'>> {
  const [resource, entries] = [resourceAt(statements), entriesAfter(statements)]
  return {
    resourceSlice: async (session, position, after, limit) => {
      const found = await resource.get(session, { position })
      if (found === undefined) return undefined
      const { listed, base, timers, references, secrets, ...columns } = found
      const row = audited(toResourceRow(columns))
      const part = await entries.all(session, { id: row.id, after, limit })
      return {
        row,
        base: baseIn(base),
        noted: notedOf(row),
        listed: listed ?? 0,
        entries: part.map((entry) => audited(toEntryRow(entry))),
        rest: part.length < limit ? restIn({ timers, references, secrets }) : null,
      }
    },
  }
}

/** Under what it is listed: indexes are those of the row itself. */
function notedOf({ tenant, type, status }: ResourceSlice['row']): ResourceSlice['noted'] {
  return { tenant, type, status }
}

/** A resource with what belongs to it, so that there is one question to ask for most of them. */
function resourceAt({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'position'>) =>
    queries
      .selectFrom('pawl_resources')
      .select(resourceColumns)
      .select((of) => [
        of.selectFrom('pawl_log').select('pawl_log.head').where('pawl_log.id', '=', 1).as('listed'),
        baseOf(of).as('base'),
        timersOf(of).as('timers'),
        referencesOf(of).as('references'),
        secretsOf(of).as('secrets'),
      ])
      .where('position', '=', slot('position')),
  )
}

function entriesAfter({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'id' | 'after' | 'limit'>) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('resource_id', '=', slot('id'))
      .where('seq', '>', slot('after'))
      .orderBy('seq')
      .limit(slot('limit')),
  )
}
