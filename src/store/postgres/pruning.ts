/** How does PostgreSQL shorten the log, while others write to its end? @module */

import { sql } from 'kysely'
import type { BaseRow, PruneView, Pruning } from '../audit.ts'
import { entryColumns, toEntryRow } from '../columns.ts'
import { audited } from './audited.ts'
import { oldestOutcome, slowestReader } from './needed.ts'
import type { OnSession } from './on-session.ts'
import type { Session } from './session.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares shortening the log. */
export function createPruning(statements: Statements): OnSession<Pruning> {
  const view = viewReader(statements)
  const [forget, shorten] = [forgetting(statements), shortening(statements)]
  return {
    pruneLog: async (session, outcomesSince, limit, plan) => {
      const { through, bases } = plan(await view(session, outcomesSince, limit))
      if (through === null) return true
      const forgotten = await forget.get(session, { through })
      if (forgotten?.isNeeded || forgotten?.count === DELIVERIES_AT_ONCE) return false
      if ((await shorten.run(session, { through, ...inColumns(bases) })) !== 1)
        throw new Error('the row of the end of the log is missing')
      return true
    },
  }
}

function viewReader(statements: Statements) {
  const [lock, entries, bases] = [locking(statements), first(statements), basesOf(statements)]
  const [slowest, outcome] = [slowestReader(statements), oldestOutcome(statements)]
  return async (session: Session, since: number, limit: number): Promise<PruneView> => {
    // What is read from here on, nobody adds to.
    const log = await lock.get(session, {})
    const columns = await entries.all(session, { limit })
    const found = columns.map((entry) => audited(toEntryRow(entry)))
    const ids = [...new Set(found.map(({ resourceId }) => resourceId))]
    const known = await bases.all(session, { ids })
    const byResource = new Map(known.map((base) => [base.resourceId, base]))
    return {
      pruned: log?.pruned ?? 0,
      entries: found,
      slowest: await slowest.get(session, {}),
      oldestOutcome: (await outcome.get(session, { since }))?.created_at,
      baseOf: (resourceId) => byResource.get(resourceId),
    }
  }
}

/** Bases column by column. */
function inColumns(bases: readonly BaseRow[]) {
  return {
    ids: bases.map(({ resourceId }) => resourceId),
    places: bases.map(({ seq }) => seq),
    states: bases.map(({ state }) => state),
    hashes: bases.map(({ hash }) => hash),
    digests: bases.map(({ digest }) => digest),
  }
}

function locking({ queries, prepare }: Statements) {
  return prepare(() =>
    queries.selectFrom('pawl_log').select('pruned').where('id', '=', 1).forUpdate(),
  )
}

function first({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'limit'>) =>
    queries.selectFrom('pawl_events').select(entryColumns).orderBy('seq').limit(slot('limit')),
  )
}

function basesOf({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'ids'>) =>
    queries
      .selectFrom('pawl_bases')
      .select(['resource_id as resourceId', 'seq', 'state', 'hash', 'digest'])
      .where('resource_id', '=', sql<string>`any(${slot('ids')}::text[])`)
      .$castTo<BaseRow>(),
  )
}

// An event may have been delivered to very many.
const DELIVERIES_AT_ONCE = 1000

/**
 * What has been delivered, or given up, goes with its event; nothing does if somebody has just asked for one of them
 * again. Whoever holds the end of the log waits for nobody: others may hold one of them and wait for that.
 */
function forgetting({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'through'>) => sql<{ count: number; isNeeded: boolean | null }>`
      with due as (
        select delivery.seq, delivery.destination,
          delivery.open = 1 and destination.phase <> 'ended' as needed
        from ${table('pawl_deliveries')} as delivery
        join ${table('pawl_destinations')} as destination on destination.position = delivery.destination
        where delivery.seq <= ${slot('through')}
        order by delivery.seq, delivery.destination
        limit ${sql.lit(DELIVERIES_AT_ONCE)}
        for update of delivery nowait
      ), gone as (
        delete from ${table('pawl_deliveries')} as delivery using due
        where delivery.seq = due.seq and delivery.destination = due.destination
          and not exists (select 1 from due where needed)
      )
      select count(*) as count, bool_or(needed) as "isNeeded" from due`,
  )
}

type ShorteningSlot = Slot<'through' | 'ids' | 'places' | 'states' | 'hashes' | 'digests'>

/** Puts the bases into the places of the entries. */
function shortening({ queries, prepare }: Statements) {
  return prepare((slot: ShorteningSlot) =>
    queries
      .with('folded', (into) =>
        into
          .insertInto('pawl_bases')
          .columns(['resource_id', 'seq', 'state', 'hash', 'digest'])
          .expression(
            sql`
              select * from unnest(
                ${slot('ids')}::text[], ${slot('places')}::bigint[], ${slot('states')}::text[],
                ${slot('hashes')}::bytea[], ${slot('digests')}::bytea[]
              )`,
          )
          .onConflict((conflict) =>
            conflict.column('resource_id').doUpdateSet(({ ref }) => ({
              seq: ref('excluded.seq'),
              state: ref('excluded.state'),
              hash: ref('excluded.hash'),
              digest: ref('excluded.digest'),
            })),
          ),
      )
      .with('gone', (from) => from.deleteFrom('pawl_events').where('seq', '<=', slot('through')))
      .updateTable('pawl_log')
      .set({ pruned: slot('through') })
      .where('id', '=', 1),
  )
}
