/** How does SQLite read everything there is, for a check? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { ResourceRow, SealedEntry } from '../../core/rows.ts'
import type { Audit, Audited, BaseRow, OwnedTable, ResourceSlice } from '../audit.ts'
import type { Placed } from '../queries.ts'
import { createOutcomeAudit } from './audit-outcomes.ts'
import {
  entryColumns,
  resourceColumns,
  timerColumns,
  toEntryRow,
  toResourceRow,
  toTimerRow,
} from './columns.ts'
import { audited, EVENTS, RESOURCES } from './damage.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares what a check reads. */
export function createAudit(database: Database): Immediate<Audit> {
  return {
    ...createLogAudit(database),
    ...createResourceAudit(database),
    ...createOutcomeAudit(database),
  }
}

type LogAudit = Pick<
  Audit,
  'logSlice' | 'positionsAfter' | 'lastPosition' | 'strangePositions' | 'ownersAfter'
>

function createLogAudit(database: Database): Immediate<LogAudit> {
  const [log, places] = [logRow(database), placesAfter(database)]
  const [positions, last] = [positionsAfter(database), lastPosition(database)]
  const strange = strangePositions(database)
  const owners = {
    pawl_timers: ownersAfter(database, 'pawl_timers'),
    pawl_references: ownersAfter(database, 'pawl_references'),
    pawl_secrets: ownersAfter(database, 'pawl_secrets'),
    pawl_bases: ownersAfter(database, 'pawl_bases'),
  }
  return {
    logSlice: (after, limit) => ({
      log: log.get({}),
      places: places.all({ after, limit }).map(withKnown),
    }),
    positionsAfter: (after, limit) => positions.all({ after, limit }),
    lastPosition: () => last.get({})?.position ?? 0,
    strangePositions: () => strange.all({}).map(({ id }) => id),
    ownersAfter: (table, after, limit) => owners[table].all({ after, limit }).map(withKnown),
  }
}

function withKnown<Row extends { readonly known: number }>(row: Row) {
  return { ...row, known: row.known === 1 }
}

function createResourceAudit(database: Database): Immediate<Pick<Audit, 'resourceSlice'>> {
  const [resource, entries] = [resourceAt(database), entriesAfter(database)]
  const [base, rest] = [baseReader(database), restReader(database)]
  return {
    resourceSlice: (position, after, limit) => {
      const row = resource(position)
      if (row === undefined) return undefined
      const part = entries(row.id, after, limit)
      return {
        row,
        base: base(row.id),
        entries: part,
        rest: part.length < limit ? rest(row.id) : null,
      }
    },
  }
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

/** Reads entries from the table itself: what only the index says is what it once was. */
function entriesAfter(
  database: Database,
): (resourceId: string, after: number, limit: number) => Audited<SealedEntry>[] {
  const statement = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('seq', 'in', ({ selectFrom }) =>
        selectFrom('pawl_events as listed')
          .select('listed.seq')
          .where('listed.resource_id', '=', slot('resourceId'))
          .where('listed.seq', '>', slot('after'))
          .orderBy('listed.seq')
          .limit(slot('limit')),
      )
      .orderBy('seq'),
  )
  return (resourceId, after, limit) =>
    statement
      .all({ resourceId, after, limit })
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

function logRow(database: Database) {
  return prepare(database, () =>
    queries.selectFrom('pawl_log').select(['head', 'pruned', 'identity']).where('id', '=', 1),
  )
}

function placesAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_events')
      .select(({ selectFrom, exists }) => [
        'seq',
        'resource_id as resourceId',
        // The row itself is looked at: what only the index says is what it once was.
        exists(
          selectFrom('pawl_resources as owner')
            .select('owner.position')
            .where('owner.position', 'in', (inner) =>
              inner
                .selectFrom('pawl_resources as listed')
                .select('listed.position')
                .whereRef('listed.id', '=', 'pawl_events.resource_id'),
            )
            .where(sql`+owner.id`, '=', sql.ref('pawl_events.resource_id')),
        )
          .$castTo<number>()
          .as('known'),
      ])
      .where('seq', '>', slot('after'))
      .orderBy('seq')
      .limit(slot('limit')),
  )
}

function positionsAfter(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_resources')
      .select(['position', 'id'])
      .where('position', '>', slot('after'))
      .where('position', '<=', Number.MAX_SAFE_INTEGER)
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function lastPosition(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_resources')
      .select('position')
      .where('position', '<=', Number.MAX_SAFE_INTEGER)
      .orderBy('position', 'desc')
      .limit(1),
  )
}

function strangePositions(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_resources')
      .select('id')
      .where(({ eb, or }) =>
        or([eb('position', '>', Number.MAX_SAFE_INTEGER), eb('position', '<', 1)]),
      ),
  )
}

function ownersAfter(database: Database, table: OwnedTable) {
  return prepare(database, (slot) =>
    queries
      .selectFrom(sql<{ resource_id: string }>`${sql.table(table)}`.as('owned'))
      .select(({ selectFrom, exists }) => [
        'owned.resource_id as resourceId',
        exists(
          selectFrom('pawl_resources as owner')
            .select('owner.id')
            .whereRef('owner.id', '=', 'owned.resource_id'),
        )
          .$castTo<number>()
          .as('known'),
      ])
      .where('owned.resource_id', '>', slot('after'))
      .groupBy('owned.resource_id')
      .orderBy('owned.resource_id')
      .limit(slot('limit')),
  )
}
