/** How does PostgreSQL keep its house: failed timers, forgotten outcomes, checked machines? @module */

import type { Reads, Upkeep } from '../store.ts'
import { keepable } from './keepable.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares what is looked up for the upkeep. */
export function createChecks(
  statements: Statements,
): OnSession<Pick<Reads, 'checkedMachine' | 'countStates'>> {
  const [checked, states] = [checkedMachine(statements), counting(statements)]
  return {
    checkedMachine: async (session, type) => (await checked.get(session, { type }))?.machine,
    countStates: (session, type) => states.all(session, { type }),
  }
}

/** Prepares the upkeep. */
export function createUpkeep(
  statements: Statements,
): OnSession<Pick<Upkeep, 'postponeTimer' | 'forgetOutcomes' | 'markChecked'>> {
  const [postpone, forget] = [postponing(statements), forgetting(statements)]
  const mark = marking(statements)
  return {
    postponeTimer: async (session, position, nextAt, error) =>
      void (await postpone.run(session, { position, nextAt, error: keepable(error) })),
    forgetOutcomes: (session, before, limit) => forget.run(session, { before, limit }),
    markChecked: async (session, type, machine) =>
      void (await mark.run(session, { type, machine })),
  }
}

function postponing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'position' | 'nextAt' | 'error'>) =>
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

/** Of several processes that forget at once, each forgets others. */
function forgetting({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'before' | 'limit'>) =>
    queries
      .with('old', (from) =>
        from
          .selectFrom('pawl_outcomes')
          .select(['tenant', 'key'])
          .where('created_at', '<=', slot('before'))
          .limit(slot('limit'))
          .forUpdate()
          .skipLocked(),
      )
      .deleteFrom('pawl_outcomes')
      .using('old')
      .whereRef('pawl_outcomes.tenant', '=', 'old.tenant')
      .whereRef('pawl_outcomes.key', '=', 'old.key'),
  )
}

function checkedMachine({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'type'>) =>
    queries.selectFrom('pawl_machines').select('machine').where('type', '=', slot('type')),
  )
}

function counting({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'type'>) =>
    queries
      .selectFrom('pawl_resources')
      .select(({ fn }) => ['value', 'memory', 'machine', fn.countAll<number>().as('count')])
      .where('type', '=', slot('type'))
      .groupBy(['value', 'memory', 'machine']),
  )
}

function marking({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'type' | 'machine'>) =>
    queries
      .insertInto('pawl_machines')
      .values({ type: slot('type'), machine: slot('machine') })
      .onConflict((conflict) =>
        conflict.column('type').doUpdateSet({ machine: ({ ref }) => ref('excluded.machine') }),
      ),
  )
}
