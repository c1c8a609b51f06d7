/** How does SQLite read a resource with all that belongs to it? @module */

import type { Database } from 'better-sqlite3'
import type { ResourceRow, SealedEntry } from '../../core/rows.ts'
import type { Audit, Audited, BaseRow, ResourceSlice } from '../audit.ts'
import {
  entryColumns,
  resourceColumns,
  timerColumns,
  toEntryRow,
  toResourceRow,
  toTimerRow,
} from '../columns.ts'
import type { Placed } from '../queries.ts'
import { createChain } from './chain.ts'
import { audited, EVENTS, RESOURCES } from './damage.ts'
import type { Immediate } from './deferred.ts'
import { listedPlace } from './listing.ts'
import { prepare, queries } from './statement.ts'

/** Prepares reading a resource part by part. */
export function createResourceAudit(database: Database): Immediate<Pick<Audit, 'resourceSlice'>> {
  const [resource, entries] = [resourceAt(database), entriesAfter(database)]
  const [base, rest] = [baseReader(database), restReader(database)]
  const [noted, listed] = [notedStatus(database), listedPlace(database)]
  return {
    resourceSlice: (position, after, limit) => {
      const row = resource(position)
      if (row === undefined) return undefined
      const part = entries(row.id, after, limit)
      return {
        row,
        base: base(row.id),
        noted: noted.get({ position }) ?? null,
        listed: listed(),
        entries: part,
        rest: part.length < limit ? rest(row.id) : null,
      }
    },
  }
}

function notedStatus(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_statuses')
      .select(['tenant', 'type', 'status'])
      .where('position', '=', slot('position')),
  )
}

/** Prepares reading what the pruned entries of a resource came to. */
export function baseReader(database: Database): (resourceId: string) => BaseRow | undefined {
  const statement = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_bases')
      .select(['resource_id as resourceId', 'seq', 'state', 'hash', 'digest'])
      .where('resource_id', '=', slot('resourceId')),
  )
  return (resourceId) => statement.get({ resourceId }) as BaseRow | undefined
}

function resourceAt(
  database: Database,
): (position: number) => Audited<Placed<ResourceRow>> | undefined {
  const statement = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_resources')
      .select(resourceColumns)
      .where('position', '=', slot('position')),
  )
  return (position) => {
    const columns = statement.get({ position })
    return columns && audited(database, RESOURCES, columns, toResourceRow)
  }
}

/** Reads entries along the chain: none of them stands in an index. */
function entriesAfter(
  database: Database,
): (resourceId: string, after: number, limit: number) => Audited<SealedEntry>[] {
  const chain = createChain<object>(database, entryColumns)
  return (resourceId, after, limit) =>
    chain
      .after(resourceId, after, limit)
      .map((columns) => audited(database, EVENTS, columns, toEntryRow))
}

function restReader(database: Database): (id: string) => NonNullable<ResourceSlice['rest']> {
  const timers = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('resource_id', '=', slot('id'))
      .orderBy('position'),
  )
  const references = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_references')
      .select(['resource_id as resourceId', 'field', 'type', 'target_id as targetId'])
      .select(['live', 'position'])
      .where('resource_id', '=', slot('id')),
  )
  const secrets = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_secrets')
      .select(['name', 'envelope'])
      .where('resource_id', '=', slot('id')),
  )
  return (id) => ({
    timers: timers.all({ id }).map(toTimerRow),
    references: references.all({ id }),
    secrets: secrets
      .all({ id })
      .map(({ name, envelope }) => ({ name, envelope: Buffer.from(envelope) })),
  })
}
