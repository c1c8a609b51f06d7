/** How does PostgreSQL find the resources that an earlier machine wrote? @module */

import type { Reads } from '../store.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares finding them stretch by stretch: no index leads to them, and no read may take long. */
export function createMigrationLists(statements: Statements): OnSession<Pick<Reads, 'rowsBehind'>> {
  const behind = behindWithin(statements)
  return {
    rowsBehind: async (session, type, machine, after, limit) => {
      const found = await behind.all(session, { type, machine, after, limit })
      return {
        last: found[0]?.last ?? null,
        rows: found.flatMap(({ id, tenant }) =>
          id === null ? [] : [{ id, tenant: tenant ?? '' }],
        ),
      }
    },
  }
}

/** The end of the stretch with each of them, and alone where there are none. */
function behindWithin({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'type' | 'machine' | 'after' | 'limit'>) =>
    queries
      .with('stretch', (from) =>
        from
          .selectFrom('pawl_resources')
          .select(['position', 'id', 'tenant', 'type', 'machine'])
          .where('position', '>', slot('after'))
          .orderBy('position')
          .limit(slot('limit')),
      )
      .selectFrom((from) =>
        from
          .selectFrom('stretch')
          .select(({ fn }) => fn.max<number | null>('stretch.position').as('last'))
          .as('whole'),
      )
      .leftJoin('stretch', (join) =>
        join.on('stretch.type', '=', slot('type')).on('stretch.machine', '<>', slot('machine')),
      )
      .select(['whole.last', 'stretch.id', 'stretch.tenant'])
      .orderBy('stretch.position'),
  )
}
