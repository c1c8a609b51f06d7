/** How does PostgreSQL find what a remembered outcome speaks of? @module */

import { sql } from 'kysely'
import type { OutcomeRow } from '../../core/rows.ts'
import type { Audit, OutcomeColumns } from '../audit.ts'
import { entryColumns, resourceColumns, toEntryRow, toResourceRow } from '../columns.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'
import { entriesOfVersion } from './versions.ts'

/** Prepares going through the outcomes. */
export function createOutcomeAudit(
  statements: Statements,
): OnSession<Pick<Audit, 'outcomesAfter' | 'outcomeGround'>> {
  const [outcomes, resource] = [outcomesAfter(statements), resourceById(statements)]
  const [byPlace, atVersion] = [entriesByPlace(statements), entriesOfVersion(statements)]
  const log = prunedPlace(statements)
  return {
    outcomesAfter: (session, after, limit) =>
      outcomes.all(session, { ...(after ?? { tenant: '', key: '' }), limit }),
    outcomeGround: async (session, id, version, events) => {
      const columns = await resource.get(session, { id })
      const row = columns && toResourceRow(columns)
      const isThere = row === undefined || row.version === version
      const entries = isThere ? [] : await atVersion.all(session, { id, version })
      const found = events.length === 0 ? [] : await byPlace.all(session, { places: events })
      return {
        row,
        entries: entries.map(toEntryRow),
        events: found.map(toEntryRow),
        pruned: (await log.get(session, {}))?.pruned ?? 0,
      }
    },
  }
}

function outcomesAfter({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof Pick<OutcomeRow, 'tenant' | 'key'> | 'limit'>) =>
    queries
      .selectFrom('pawl_outcomes')
      .select(['tenant', 'key', 'fingerprint', 'resource', 'changed', 'events', 'secrets'])
      .select('created_at as createdAt')
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('tenant', 'key'), '>', tuple(slot('tenant'), slot('key'))),
      )
      .orderBy('tenant')
      .orderBy('key')
      .limit(slot('limit'))
      .$castTo<OutcomeColumns>(),
  )
}

function resourceById({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'id'>) =>
    queries.selectFrom('pawl_resources').select(resourceColumns).where('id', '=', slot('id')),
  )
}

function entriesByPlace({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'places'>) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('seq', '=', sql<number>`any(${slot('places')}::bigint[])`)
      .orderBy('seq'),
  )
}

function prunedPlace({ queries, prepare }: Statements) {
  return prepare(() => queries.selectFrom('pawl_log').select('pruned').where('id', '=', 1))
}
