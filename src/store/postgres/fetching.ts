/** Which statements answer the questions of plans, each for as many as there are? @module */

import { sql } from 'kysely'
import type { Answers } from '../../core/questions.ts'
import type { OutcomeRow, SecretRow, TimerRow } from '../../core/rows.ts'
import { timerColumns, toTimerRow } from '../columns.ts'
import type { Asked, Referrers } from './answers.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements } from './statement.ts'

type Fetch<K extends keyof Answers, Answer> = (
  session: Session,
  asked: readonly Asked<K>[],
) => Promise<readonly Answer[]>

/** Answers questions of one kind, each in its place. */
export interface Fetchers {
  /** The resources of timers, as questions for them. */
  owners: Fetch<'timer', Asked<'resource'>>
  timer: Fetch<'timer', TimerRow | undefined>
  timers: Fetch<'timers', readonly TimerRow[]>
  secrets: Fetch<'secrets', readonly SecretRow[]>
  outcome: Fetch<'outcome', OutcomeRow | undefined>
  referrers: Fetch<'referrers', Referrers>
  head: Fetch<'head', number>
  /** The same, and nobody appends to the log until this transaction ends. */
  heldHead: Fetch<'head', number>
}

/** Prepares the statements. */
export function createFetchers(statements: Statements): Fetchers {
  return { ...timerFetchers(statements), ...ownedFetchers(statements), ...logFetchers(statements) }
}

function timerFetchers({ queries, prepare }: Statements): Pick<Fetchers, 'owners' | 'timer'> {
  const timers = prepare((slot: Slot<'positions'>) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('position', '=', anyOf<number>(slot('positions'), 'bigint')),
  )
  const read = async (session: Session, asked: readonly Asked<'timer'>[]) => {
    if (asked.length === 0) return []
    const positions = asked.map(({ position }) => position)
    return (await timers.all(session, { positions })).map(toTimerRow)
  }
  return {
    owners: async (session, asked) =>
      (await read(session, asked)).map(({ resourceId: id }) => ({ ask: 'resource', id })),
    timer: async (session, asked) => {
      const rows = new Map((await read(session, asked)).map((row) => [row.position, row]))
      return asked.map(({ position }) => rows.get(position))
    },
  }
}

function ownedFetchers({ queries, prepare }: Statements): Pick<Fetchers, 'timers' | 'secrets'> {
  const timers = prepare((slot: Slot<'ids'>) =>
    queries
      .selectFrom('pawl_timers')
      .select(timerColumns)
      .where('resource_id', '=', anyOf<string>(slot('ids'), 'text'))
      .orderBy('position'),
  )
  const secrets = prepare((slot: Slot<'ids'>) =>
    queries
      .selectFrom('pawl_secrets')
      .select(['resource_id as resourceId', 'name', 'envelope'])
      .where('resource_id', '=', anyOf<string>(slot('ids'), 'text')),
  )
  const ids = (asked: readonly { readonly resourceId: string }[]) =>
    asked.map(({ resourceId }) => resourceId)
  return {
    timers: async (session, asked) =>
      byResource(asked, (await timers.all(session, { ids: ids(asked) })).map(toTimerRow)),
    secrets: async (session, asked) =>
      byResource(asked, (await secrets.all(session, { ids: ids(asked) })) as SecretRow[]),
  }
}

interface OfResource {
  readonly resourceId: string
}

function byResource<Row extends OfResource>(
  asked: readonly OfResource[],
  rows: readonly Row[],
): readonly (readonly Row[])[] {
  const own = new Map<string, Row[]>(asked.map(({ resourceId }) => [resourceId, []]))
  for (const row of rows) own.get(row.resourceId)?.push(row)
  return asked.map(({ resourceId }) => own.get(resourceId) ?? [])
}

function logFetchers(
  statements: Statements,
): Pick<Fetchers, 'outcome' | 'referrers' | 'head' | 'heldHead'> {
  const [outcomes, referrers] = [outcomesByKey(statements), liveReferrers(statements)]
  const log = statements.queries.selectFrom('pawl_log').select('head').where('id', '=', 1)
  const [head, heldHead] = [
    statements.prepare(() => log),
    // Whoever only keeps the log from being shortened need not be waited for.
    statements.prepare(() => log.forNoKeyUpdate()),
  ]
  return {
    outcome: async (session, asked) => {
      const rows = await outcomes.all(session, {
        tenants: asked.map(({ tenant }) => tenant),
        keys: asked.map(({ key }) => key),
      })
      return asked.map(({ tenant, key }) => {
        const row = rows.find((one) => one.tenant === tenant && one.key === key)
        return row && { ...row, changed: row.changed === 1, events: JSON.parse(row.events) }
      })
    },
    referrers: async (session, asked) => {
      // Whoever asks again in the same batch asks for a few more.
      const limits = asked.map(({ limit }) => Math.min(limit + SPARE, Number.MAX_SAFE_INTEGER))
      const rows = await referrers.all(session, {
        targets: asked.map(({ targetId }) => targetId),
        types: asked.map(({ type }) => type),
        fields: asked.map(({ field }) => field),
        limits,
      })
      return limits.map((limit, index) => ({
        limit,
        ids: rows.filter(({ place }) => place === index + 1).map(({ id }) => id),
      }))
    },
    head: async (session) => [(await head.get(session, {}))?.head ?? 0],
    heldHead: async (session) => [(await heldHead.get(session, {}))?.head ?? 0],
  }
}

const SPARE = 512

interface StoredOutcome extends Omit<OutcomeRow, 'changed' | 'events'> {
  readonly changed: number
  readonly events: string
}

function outcomesByKey({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'tenants' | 'keys'>) => sql<StoredOutcome>`
      select tenant, key, fingerprint, resource, changed, events, secrets, created_at as "createdAt"
      from ${table('pawl_outcomes')}
      where (tenant, key) in (
        select * from unnest(${slot('tenants')}::text[], ${slot('keys')}::text[])
      )`,
  )
}

function liveReferrers({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'targets' | 'types' | 'fields' | 'limits'>) => sql<{
      readonly place: number
      readonly id: string
    }>`
      select asked.place, referrer.resource_id as id
      from unnest(
        ${slot('targets')}::text[], ${slot('types')}::text[], ${slot('fields')}::text[],
        ${slot('limits')}::bigint[]
      ) with ordinality as asked (target, type, field, most, place)
      cross join lateral (
        select resource_id, position from ${table('pawl_references')}
        where target_id = asked.target and type = asked.type and field = asked.field and live = 1
        order by position
        limit asked.most
      ) as referrer
      order by asked.place, referrer.position`,
  )
}
