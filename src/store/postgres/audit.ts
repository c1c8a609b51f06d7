/** How does PostgreSQL read everything there is, for a check? @module */

import { sql } from 'kysely'
import type { Audit, OwnedTable } from '../audit.ts'
import type { LogRow } from '../store.ts'
import { createOutcomeAudit } from './audit-outcomes.ts'
import { createResourceAudit } from './audit-resource.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares what a check reads, in transactions that see one moment. */
export function createAudit(statements: Statements): OnSession<Audit> {
  return {
    ...createLogAudit(statements),
    ...createPositionAudit(statements),
    ...createOwnerAudit(statements),
    ...createResourceAudit(statements),
    ...createOutcomeAudit(statements),
    ...FILES,
  }
}

/** Its files are the server's own: nobody else can check them. */
const FILES: OnSession<Pick<Audit, 'size' | 'defectsOf'>> = {
  size: async () => 0,
  defectsOf: async () => [],
}

function createLogAudit(statements: Statements): OnSession<Pick<Audit, 'latestTime' | 'logSlice'>> {
  const [latest, log, places] = [
    latestTime(statements),
    logRow(statements),
    placesAfter(statements),
  ]
  return {
    latestTime: async (session) => (await latest.get(session, {}))?.created_at,
    logSlice: async (session, after, limit) => {
      const ends = await log.get(session, {})
      const found = await places.all(session, { after, limit })
      return {
        log: ends,
        // The indexes are the listing: it goes as far as the log does.
        listed: ends?.head ?? Number.MAX_SAFE_INTEGER,
        places: found.map((place) => ({ ...place, isListed: true })),
      }
    },
  }
}

type PositionAudit = Pick<Audit, 'positionsAfter' | 'lastPosition' | 'strangePositions'>

function createPositionAudit(statements: Statements): OnSession<PositionAudit> {
  const [positions, last] = [positionsAfter(statements), lastPosition(statements)]
  const strange = strangePositions(statements)
  return {
    positionsAfter: (session, after, limit) => positions.all(session, { after, limit }),
    lastPosition: async (session) => (await last.get(session, {})) ?? { there: 0, given: 0 },
    strangePositions: async (session) => (await strange.all(session, {})).map(({ id }) => id),
  }
}

function createOwnerAudit(statements: Statements): OnSession<Pick<Audit, 'ownersAfter'>> {
  const owners = {
    pawl_timers: ownersAfter(statements, 'pawl_timers'),
    pawl_references: ownersAfter(statements, 'pawl_references'),
    pawl_secrets: ownersAfter(statements, 'pawl_secrets'),
    pawl_bases: ownersAfter(statements, 'pawl_bases'),
  }
  return {
    ownersAfter: (session, table, after, limit) => owners[table].all(session, { after, limit }),
  }
}

function latestTime({ queries, prepare }: Statements) {
  return prepare(() =>
    // An id begins with its time.
    queries.selectFrom('pawl_events').select('created_at').orderBy('id', 'desc').limit(1),
  )
}

function logRow({ queries, prepare }: Statements) {
  return prepare<never, LogRow>(() =>
    queries.selectFrom('pawl_log').select(['head', 'pruned', 'identity']).where('id', '=', 1),
  )
}

function placesAfter({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'after' | 'limit'>) =>
    queries
      .selectFrom('pawl_events as entry')
      .leftJoin('pawl_resources as owner', 'owner.id', 'entry.resource_id')
      .select([
        'entry.seq',
        'entry.resource_id as resourceId',
        sql<boolean>`owner.id is not null`.as('known'),
        sql<boolean>`coalesce(owner.latest < entry.seq, false)`.as('isBeyond'),
      ])
      .where('entry.seq', '>', slot('after'))
      .orderBy('entry.seq')
      .limit(slot('limit')),
  )
}

function positionsAfter({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'after' | 'limit'>) =>
    queries
      .selectFrom('pawl_resources')
      .select(['position', 'id'])
      .where('position', '>', slot('after'))
      .where('position', '<=', Number.MAX_SAFE_INTEGER)
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function lastPosition({ queries, prepare }: Statements) {
  return prepare(() =>
    queries
      .selectFrom('pawl_log')
      .select('resources as given')
      .select(({ fn, selectFrom }) =>
        fn
          .coalesce(
            selectFrom('pawl_resources').select((resource) =>
              resource.fn.max('position').as('last'),
            ),
            sql.lit(0),
          )
          .as('there'),
      )
      .where('id', '=', 1),
  )
}

function strangePositions({ queries, prepare }: Statements) {
  return prepare(() =>
    queries.selectFrom('pawl_resources').select('id').where('position', '<', 1).orderBy('position'),
  )
}

function ownersAfter({ queries, table, prepare }: Statements, name: OwnedTable) {
  return prepare((slot: Slot<'after' | 'limit'>) =>
    queries
      .selectFrom(
        sql<{ resource_id: string }>`(
          select distinct resource_id from ${table(name)}
          where resource_id > ${slot('after')}
          order by resource_id limit ${slot('limit')}
        )`.as('owned'),
      )
      .leftJoin('pawl_resources as owner', 'owner.id', 'owned.resource_id')
      .select(['owned.resource_id as resourceId', sql<boolean>`owner.id is not null`.as('known')])
      .orderBy('owned.resource_id'),
  )
}
