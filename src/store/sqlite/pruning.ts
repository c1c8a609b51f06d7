/** How does SQLite shorten the log? @module */

import type { Database } from 'better-sqlite3'
import { type SqlBool, sql } from 'kysely'
import type { BaseRow, PruneView, Pruning } from '../audit.ts'
import { entryColumns, toEntryRow } from '../columns.ts'
import { baseReader } from './audit-resource.ts'
import { audited, EVENTS } from './damage.ts'
import type { Immediate } from './deferred.ts'
import { createListing, logRow } from './listing.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** Prepares shortening the log. */
export function createPruning(database: Database): Immediate<Pruning> {
  const view = viewReader(database)
  const listing = createListing(database)
  const write = baseWriter(database)
  const [unlist, remove, move] = [unlisting(database), removing(database), moving(database)]
  const forget = forgetting(database)
  return {
    pruneLog: (outcomesSince, limit, plan) => {
      const { through, bases } = plan(view(outcomesSince, limit))
      if (through === null) return true
      if (forget.run({ through, limit: DELIVERIES_AT_ONCE }) === DELIVERIES_AT_ONCE) return false
      for (const base of bases) write(base)
      // Which resources have entries that are not listed yet, only these entries tell.
      listing.now()
      unlist.run({ through })
      remove.run({ through })
      if (move.run({ through }) !== 1) throw new Error('the row of the end of the log is missing')
      return true
    },
  }
}

function viewReader(database: Database): (outcomesSince: number, limit: number) => PruneView {
  const [entries, baseOf] = [firstEntries(database), baseReader(database)]
  const [consumer, parked] = [slowestConsumer(database), oldestParked(database)]
  const [outcome, log] = [oldestOutcome(database), logRow(database)]
  const [destination, delivery] = [slowestDestination(database), oldestOpen(database)]
  return (since, limit) => {
    const waiting = [
      ...consumer.all({}),
      ...parked.all({}).map(({ name, seq }) => ({ name, place: seq - 1 })),
      ...destination.all({}),
      ...delivery.all({}).map(({ name, seq }) => ({ name, place: seq - 1 })),
    ]
    return {
      pruned: log()?.pruned ?? 0,
      entries: entries
        .all({ limit })
        .map((columns) => audited(database, EVENTS, columns, toEntryRow)),
      slowest: waiting.sort((one, other) => one.place - other.place)[0],
      oldestOutcome: outcome.get({ since })?.created_at,
      baseOf,
    }
  }
}

function firstEntries(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_events').select(entryColumns).orderBy('seq').limit(slot('limit')),
  )
}

function slowestConsumer(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_consumers')
      .select(['name', 'position as place'])
      .orderBy('position')
      .limit(1),
  )
}

function oldestParked(database: Database) {
  return prepare(database, () =>
    queries.selectFrom('pawl_parked').select(['consumer as name', 'seq']).orderBy('seq').limit(1),
  )
}

/** The destination that has been given the least of the log; those that follow, as much as the dispatcher has given out. */
function slowestDestination(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_destinations')
      .select([
        'id as name',
        sql<number>`coalesce(place, (select position from pawl_dispatch))`.as('place'),
      ])
      .where('phase', 'in', ['following', 'behind', 'stopped'])
      .orderBy('place')
      .limit(1),
  )
}

function oldestOpen(database: Database) {
  return prepare(database, () =>
    queries
      .selectFrom('pawl_deliveries as delivery')
      .innerJoin('pawl_destinations as destination', 'destination.position', 'delivery.destination')
      .select(['destination.id as name', 'delivery.seq'])
      .where(sql<SqlBool>`delivery.open = 1`)
      .where('destination.phase', '<>', 'ended')
      // Not by the order of all of them: the open ones are few.
      .orderBy(sql`+delivery.seq`)
      .limit(1),
  )
}

function oldestOutcome(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_outcomes')
      .select('created_at')
      .where('created_at', '>', slot('since'))
      .orderBy('created_at')
      .limit(1),
  )
}

function baseWriter(database: Database): (base: BaseRow) => void {
  const statement = prepare(database, (slot) =>
    queries.replaceInto('pawl_bases').values({
      resource_id: slot('resourceId'),
      seq: slot('seq'),
      state: slot('state'),
      hash: slot('hash'),
      digest: slot('digest'),
    }),
  )
  return (base) => void statement.run({ ...base })
}

// An event may have been delivered to very many.
const DELIVERIES_AT_ONCE = 1000

/** What has been delivered, or given up, goes with its event. */
function forgetting(database: Database) {
  return prepare(database, (slot: Slot<'through' | 'limit'>) =>
    queries.deleteFrom('pawl_deliveries').where(
      sql<SqlBool>`(seq, destination) in (
        select seq, destination from pawl_deliveries
        where seq <= ${slot('through')}
        order by seq
        limit ${slot('limit')} + 0
      )`,
    ),
  )
}

function unlisting(database: Database) {
  return prepare(database, (slot) =>
    queries.deleteFrom('pawl_listing').where('seq', '<=', slot('through')),
  )
}

function removing(database: Database) {
  return prepare(database, (slot) =>
    queries.deleteFrom('pawl_events').where('seq', '<=', slot('through')),
  )
}

function moving(database: Database) {
  return prepare(database, (slot) =>
    queries.updateTable('pawl_log').set({ pruned: slot('through') }),
  )
}
