/** How does SQLite keep its house: failed timers, forgotten outcomes, checked machines? @module */

import type { Database } from 'better-sqlite3'
import type { Reads, Upkeep } from '../store.ts'
import type { Immediate } from './deferred.ts'
import { prepare, queries } from './statement.ts'

/** Prepares what is looked up for the upkeep. */
export function createChecks(
  database: Database,
): Immediate<Pick<Reads, 'checkedMachine' | 'countStates'>> {
  const [checked, states] = [checkedMachine(database), counting(database)]
  return {
    checkedMachine: (type) => checked.get({ type })?.machine,
    countStates: (type) => states.all({ type }),
  }
}

/** Prepares the upkeep. */
export function createUpkeep(
  database: Database,
): Immediate<Pick<Upkeep, 'postponeTimer' | 'forgetOutcomes' | 'markChecked'>> {
  const [postpone, forget, mark] = [postponing(database), forgetting(database), marking(database)]
  return {
    postponeTimer: (position, nextAt, error) => void postpone.run({ position, nextAt, error }),
    forgetOutcomes: (before, limit) => forget.run({ before, limit }),
    markChecked: (type, machine) => void mark.run({ type, machine }),
  }
}

function postponing(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_timers')
      .set(({ eb }) => ({
        next_at: slot('nextAt'),
        last_error: slot('error'),
        attempts: eb('attempts', '+', 1),
      }))
      .where('position', '=', slot('position')),
  )
}

function forgetting(database: Database) {
  return prepare(database, (slot) =>
    queries
      .deleteFrom('pawl_outcomes')
      .where(({ eb, refTuple, selectFrom }) =>
        eb(
          refTuple('tenant', 'key'),
          'in',
          selectFrom('pawl_outcomes')
            .select(['tenant', 'key'])
            .where('created_at', '<=', slot('before'))
            .limit(slot('limit'))
            .$asTuple('tenant', 'key'),
        ),
      ),
  )
}

function checkedMachine(database: Database) {
  return prepare(database, (slot) =>
    queries.selectFrom('pawl_machines').select('machine').where('type', '=', slot('type')),
  )
}

function counting(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_resources')
      .select(({ fn }) => ['value', 'memory', 'machine', fn.countAll<number>().as('count')])
      .where('type', '=', slot('type'))
      .groupBy(['value', 'memory', 'machine']),
  )
}

function marking(database: Database) {
  return prepare(database, (slot) =>
    queries.replaceInto('pawl_machines').values({ type: slot('type'), machine: slot('machine') }),
  )
}
