/** How does SQLite find what a remembered outcome speaks of? @module */

import type { Database } from 'better-sqlite3'
import type { SealedEntry } from '../../core/rows.ts'
import type { Audit } from '../audit.ts'
import { entryColumns, toEntryRow } from '../columns.ts'
import { resourceReader } from './answers.ts'
import { type Chain, createChain, MILESTONE, STEPS } from './chain.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares going through the outcomes. */
export function createOutcomeAudit(
  database: Database,
): Immediate<Pick<Audit, 'outcomesAfter' | 'outcomeGround'>> {
  const [outcomes, resource] = [outcomesAfter(database), resourceReader(database)]
  const [byPlace, atVersion] = [entryByPlace(database), changeReader(database)]
  const pruned = prepare(database, () => queries.selectFrom('pawl_log').select('pruned'))
  return {
    outcomesAfter: (after, limit) =>
      outcomes
        .all({ ...(after ?? { tenant: '', key: '' }), limit })
        .map((row) => ({ ...row, secrets: row.secrets && Buffer.from(row.secrets) })),
    outcomeGround: (id, version, events) => {
      const row = resource(id)
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

/** Finds the entries of a version: they begin less than a step of the chain behind the milestone before them. */
function changeReader(database: Database): (id: string, version: number) => SealedEntry[] {
  const chain = createChain<SealedEntry>(database, entryColumns)
  const milestone = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select('seq')
      .where('resource_id', '=', slot('id'))
      .where(MILESTONE)
      .where('resource_version', '<', slot('version'))
      .orderBy('seq', 'desc')
      .limit(1),
  )
  return (id, version) => {
    const after = milestone.get({ id, version })?.seq ?? 0
    return entriesAt(chain, id, version, after).map(toEntryRow)
  }
}

const AT_ONCE = STEPS

/** The entries of a version, which begin behind a place. */
function entriesAt(
  chain: Chain<SealedEntry>,
  id: string,
  version: number,
  after: number,
): SealedEntry[] {
  const part = chain.after(id, after, AT_ONCE)
  const found = part.filter(({ resourceVersion }) => resourceVersion === version)
  const last = part.length === AT_ONCE ? found.at(-1) : undefined
  return last === undefined || last !== part.at(-1)
    ? found
    : [...found, ...entriesAt(chain, id, version, last.seq)]
}
