/** How does SQLite read everything there is, for a check? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { Audit, OwnedTable } from '../audit.ts'
import { createOutcomeAudit } from './audit-outcomes.ts'
import { createResourceAudit } from './audit-resource.ts'
import type { Immediate } from './deferred.ts'
import { LISTED, listedPlace, logRow } from './listing.ts'
import { prepare, queries } from './statement.ts'

/** Prepares what a check reads. */
export function createAudit(database: Database): Immediate<Audit> {
  return {
    ...createLogAudit(database),
    ...createResourceAudit(database),
    ...createOutcomeAudit(database),
    ...createFileAudit(database),
  }
}

function createFileAudit(database: Database): Immediate<Pick<Audit, 'size' | 'defectsOf'>> {
  const number = (pragma: string) => Number(database.pragma(pragma, { simple: true }))
  return {
    size: () => number('page_count') * number('page_size'),
    defectsOf: (table) => {
      const rows = database.pragma(`integrity_check(${table})`) as { integrity_check: string }[]
      // What a row may not hold is found, with its id, where rows are read.
      return rows
        .map((row) => row.integrity_check)
        .filter((text) => text !== 'ok' && !text.startsWith('CHECK constraint'))
    },
  }
}

type LogAudit = Pick<
  Audit,
  'latestTime' | 'logSlice' | 'positionsAfter' | 'lastPosition' | 'strangePositions' | 'ownersAfter'
>

function createLogAudit(database: Database): Immediate<LogAudit> {
  const [log, listed, places] = [logRow(database), listedPlace(database), placesAfter(database)]
  const [positions, last] = [positionsAfter(database), lastPosition(database)]
  const strange = strangePositions(database)
  const given = givenPosition(database)
  const [latest, since] = [latestTime(database), latestTimeSince(database)]
  const owners = {
    pawl_timers: ownersAfter(database, 'pawl_timers'),
    pawl_references: ownersAfter(database, 'pawl_references'),
    pawl_secrets: ownersAfter(database, 'pawl_secrets'),
    pawl_bases: ownersAfter(database, 'pawl_bases'),
  }
  return {
    latestTime: () => {
      const times = [latest.get({}), since.get({})].map((row) => row?.created_at ?? 0)
      return Math.max(...times)
    },
    logSlice: (after, limit) => ({
      log: log(),
      listed: listed(),
      places: places.all({ after, limit }).map((place) => ({
        ...{ seq: place.seq, resourceId: place.resourceId },
        ...{ known: place.known === 1, isListed: place.isListed === 1 },
        isBeyond: place.isBeyond === 1,
      })),
    }),
    positionsAfter: (after, limit) => positions.all({ after, limit }),
    lastPosition: () => {
      const there = last.get({})?.position ?? 0
      return { there, given: given() ?? there }
    },
    strangePositions: () => strange.all({}).map(({ id }) => id),
    ownersAfter: (table, after, limit) => owners[table].all({ after, limit }).map(withKnown),
  }
}

function withKnown<Row extends { readonly known: number }>(row: Row) {
  return { ...row, known: row.known === 1 }
}

function latestTime(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_events')
      .select('created_at')
      .where('seq', '=', (from) =>
        // An id begins with its time.
        from.selectFrom('pawl_listing').select('seq').orderBy('id', 'desc').limit(1),
      ),
  )
}

function latestTimeSince(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_events')
      .select(({ fn }) => fn.max<number | null>('created_at').as('created_at'))
      .where('seq', '>', LISTED),
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
        exists(
          selectFrom('pawl_listing as listed')
            .select('listed.seq')
            .whereRef('listed.seq', '=', 'pawl_events.seq')
            .whereRef('listed.id', '=', 'pawl_events.id')
            .whereRef('listed.tenant', '=', 'pawl_events.tenant')
            .whereRef('listed.type', '=', 'pawl_events.type')
            .whereRef('listed.internal', '=', 'pawl_events.internal'),
        )
          .$castTo<number>()
          .as('isListed'),
        exists(
          selectFrom('pawl_resources as ended')
            .select('ended.position')
            .whereRef('ended.id', '=', 'pawl_events.resource_id')
            .whereRef('ended.latest', '<', 'pawl_events.seq'),
        )
          .$castTo<number>()
          .as('isBeyond'),
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

/** Reads the last position that has been given; SQLite notes it, so that none is given twice. */
function givenPosition(database: Database): () => number | undefined {
  const statement = database
    .prepare<[], number>("select seq from sqlite_sequence where name = 'pawl_resources'")
    .pluck()
  return () => statement.get()
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
