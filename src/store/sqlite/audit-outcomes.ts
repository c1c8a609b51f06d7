/** How does SQLite find what a remembered outcome speaks of? @module */

import type { Database } from 'better-sqlite3'
import type { SealedEntry } from '../../core/rows.ts'
import type { Audit } from '../audit.ts'
import { resourceById } from './answers.ts'
import { entryColumns, toEntryRow, toResourceRow } from './columns.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares going through the outcomes. */
export function createOutcomeAudit(
  database: Database,
): Immediate<Pick<Audit, 'outcomesAfter' | 'outcomeGround'>> {
  const [outcomes, resource] = [outcomesAfter(database), resourceById(database)]
  const [byPlace, atVersion] = [entryByPlace(database), changeReader(database)]
  const pruned = prepare(database, () => queries.selectFrom('pawl_log').select('pruned'))
  return {
    outcomesAfter: (after, limit) =>
      outcomes
        .all({ ...(after ?? { tenant: '', key: '' }), limit })
        .map((row) => ({ ...row, secrets: row.secrets && Buffer.from(row.secrets) })),
    outcomeGround: (id, version, events) => {
      const columns = resource.get({ id })
      const row = columns && toResourceRow(columns)
      return {
        row,
        entries: row === undefined || row.version === version ? [] : atVersion(id, version),
        events: events.flatMap((seq) => byPlace.all({ seq }).map(toEntryRow)),
        pruned: pruned.get({})?.pruned ?? 0,
      }
    },
  }
}

function outcomesAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_outcomes')
      .select(['tenant', 'key', 'fingerprint', 'resource', 'changed', 'events', 'secrets'])
      .select('created_at as createdAt')
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('tenant', 'key'), '>', tuple(slot('tenant'), slot('key'))),
      )
      .orderBy('tenant')
      .orderBy('key')
      .limit(slot('limit')),
  )
}

function entryByPlace(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('seq', '=', slot('seq')),
  )
}

/** Finds the entries of a version by halving: versions grow with the places of the log. */
function changeReader(database: Database): (id: string, version: number) => SealedEntry[] {
  const next = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(['seq', 'resource_version as version'])
      .where('resource_id', '=', slot('id'))
      .where('seq', '>=', slot('seq'))
      .orderBy('seq')
      .limit(1),
  )
  const last = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select('seq')
      .where('resource_id', '=', slot('id'))
      .orderBy('seq', 'desc')
      .limit(1),
  )
  const read = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('resource_id', '=', slot('id'))
      .where('seq', '>=', slot('seq'))
      .where('resource_version', '=', slot('version'))
      .orderBy('seq')
      .limit(MOST_ENTRIES),
  )
  return (id, version) => {
    let [low, high] = [1, last.get({ id })?.seq ?? 0]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const found = next.get({ id, seq: middle })
      if (found !== undefined && found.version < version) low = found.seq + 1
      else high = middle
    }
    return read.all({ id, seq: low, version }).map(toEntryRow)
  }
}

// A change has no more entries than its machine may take steps, times what each of them emits.
const MOST_ENTRIES = 10_000
