/** How does SQLite keep its house: failed timers, forgotten outcomes, checked machines? @module */

import type { Database } from 'better-sqlite3'
import type { Store } from '../store.ts'
import type { WhenFree } from './lookups.ts'
import { prepare, queries } from './statement.ts'

/** Prepares the upkeep. */
export function createUpkeep(
  database: Database,
  reading: WhenFree,
  writing: WhenFree,
): Pick<
  Store,
  'postponeTimer' | 'forgetOutcomes' | 'checkedMachine' | 'countStates' | 'markChecked'
> {
  const [postpone, forget] = [postponing(database), forgetting(database)]
  const [checked, states, mark] = [checkedMachine(database), counting(database), marking(database)]
  return {
    postponeTimer: (position, nextAt, error) =>
      writing(() => void postpone.run({ position, nextAt, error })),
    forgetOutcomes: (before, limit) => writing(() => forget.run({ before, limit })),
    checkedMachine: (type) => reading(() => checked.get({ type })?.machine),
    countStates: (type) => reading(() => states.all({ type })),
    markChecked: (type, machine) => writing(() => void mark.run({ type, machine })),
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
      .select(({ fn }) => ['value', 'memory', fn.countAll<number>().as('count')])
      .where('type', '=', slot('type'))
      .groupBy(['value', 'memory']),
  )
}

function marking(database: Database) {
  return prepare(database, (slot) =>
    queries.replaceInto('pawl_machines').values({ type: slot('type'), machine: slot('machine') }),
  )
}
