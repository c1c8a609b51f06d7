/** How does PostgreSQL find single rows, and the timers that are due? @module */

import { sql } from 'kysely'
import {
  entryColumns,
  resourceColumns,
  timerColumns,
  toEntryRow,
  toResourceRow,
  toTimerRow,
} from '../columns.ts'
import { BEFORE_ALL } from '../queries.ts'
import type { LogRow, Reads } from '../store.ts'
import type { OnSession } from './on-session.ts'
import { createPlaces } from './places.ts'
import { anyOf, type Slot, type Statements } from './statement.ts'

type Lookups = Pick<
  Reads,
  | 'findResource'
  | 'findEntry'
  | 'entriesAt'
  | 'placeAt'
  | 'log'
  | 'entryTypes'
  | 'dueTimers'
  | 'nextTimerAt'
>

/** Prepares the lookups. */
export function createLookups(statements: Statements): OnSession<Lookups> {
  const [resource, entry] = [resourceById(statements), entryById(statements)]
  const [entries, log, types] = [
    entriesByPlace(statements),
    logRow(statements),
    typeReader(statements),
  ]
  const [due, next] = [timersUntil(statements), nextTimer(statements)]
  const { first } = createPlaces(statements)
  return {
    findResource: async (session, id) =>
      (await resource.all(session, { id })).map(toResourceRow)[0],
    findEntry: async (session, id) => (await entry.all(session, { id })).map(toEntryRow)[0],
    entriesAt: async (session, places) => {
      const found = (await entries.all(session, { places })).map(toEntryRow)
      const bySeq = new Map(found.map((entry) => [entry.seq, entry]))
      return places.flatMap((place) => bySeq.get(place) ?? [])
    },
    placeAt: first,
    log: async (session) => (await log.get(session, {})) ?? NO_LOG,
    entryTypes: async (session, tenant) =>
      (await types.all(session, { tenant })).map(({ type }) => type),
    dueTimers: async (session, time, limit, { nextAt, position } = BEFORE_ALL) =>
      (await due.all(session, { time, limit, nextAt, position })).map(toTimerRow),
    nextTimerAt: async (session) => (await next.get(session, {}))?.next_at,
  }
}

// Somebody has deleted the row: nothing that claims to be in the log can be.
const NO_LOG: LogRow = { head: 0, pruned: 0, identity: '' }

/** Prepares reading where the log begins and ends. */
function logRow({ queries, prepare }: Statements) {
  return prepare(() =>
    queries.selectFrom('pawl_log').select(['head', 'pruned', 'identity']).where('id', '=', 1),
  )
}

function resourceById({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'id'>) =>
    queries.selectFrom('pawl_resources').select(resourceColumns).where('id', '=', slot('id')),
  )
}

function entryById({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'id'>) =>
    queries.selectFrom('pawl_events').select(entryColumns).where('id', '=', slot('id')),
  )
}

function entriesByPlace({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'places'>) =>
    queries
      .selectFrom('pawl_events')
      .select(entryColumns)
      .where('seq', '=', anyOf<number>(slot('places'), 'bigint')),
  )
}

/** From one type to the next along the index: as fast as there are types, however many entries there are. */
function typeReader({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'tenant'>) => sql<{ readonly type: string }>`
      with recursive found (tenant, type) as (
        (
          select tenant, type from ${table('pawl_events')}
          where tenant >= coalesce(${slot('tenant')}::text, '')
          order by tenant, type limit 1
        )
        union all
        select later.tenant, later.type
        from found cross join lateral (
          select tenant, type from ${table('pawl_events')} as entry
          where (entry.tenant, entry.type) > (found.tenant, found.type)
          order by tenant, type limit 1
        ) as later
        where ${slot('tenant')}::text is null or found.tenant = ${slot('tenant')}::text
      )
      select distinct type from found
      where ${slot('tenant')}::text is null or tenant = ${slot('tenant')}::text`,
  )
}

function timersUntil({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'time' | 'limit' | 'nextAt' | 'position'>) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('next_at', '<=', slot('time'))
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('next_at', 'position'), '>', tuple(slot('nextAt'), slot('position'))),
      )
      .orderBy('next_at')
      .orderBy('position')
      .limit(slot('limit')),
  )
}

function nextTimer({ queries, prepare }: Statements) {
  return prepare(() =>
    queries.selectFrom('pawl_timers').select('next_at').orderBy('next_at').limit(1),
  )
}
