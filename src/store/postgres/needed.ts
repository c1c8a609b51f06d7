/** Who still needs the beginning of the log? @module */

import { sql } from 'kysely'
import type { PruneView } from '../audit.ts'
import type { Slot, Statements } from './statement.ts'

type Reader = NonNullable<PruneView['slowest']>

/** Prepares finding the consumer or destination that is the furthest behind, all of one moment. */
export function slowestReader(statements: Statements) {
  const readers = [
    slowestConsumer(statements),
    oldestParked(statements),
    slowestDestination(statements),
    oldestOpen(statements),
  ].map((reader, rank) => sql`(select name, place, ${sql.lit(rank)} as rank from ${reader})`)
  return statements.prepare<never, Reader>(
    () => sql<Reader>`
      select name, place from (${sql.join(readers, sql` union all `)}) as reader
      order by place, rank limit 1`,
  )
}

function slowestConsumer({ table }: Statements) {
  return sql`(
    select name, position as place from ${table('pawl_consumers')} order by position limit 1
  ) as consumer`
}

function oldestParked({ table }: Statements) {
  return sql`(
    select consumer as name, seq - 1 as place from ${table('pawl_parked')} order by seq limit 1
  ) as parked`
}

/** The destination that has been given the least of the log; those that follow, as much as the dispatcher has given out. */
function slowestDestination({ table }: Statements) {
  return sql`(
    select id as name, coalesce(place, (select position from ${table('pawl_dispatch')})) as place
    from ${table('pawl_destinations')}
    where phase in ('following', 'behind', 'stopped')
    order by 2 limit 1
  ) as destination`
}

function oldestOpen({ table }: Statements) {
  // The sum keeps PostgreSQL from going through all of them in their order: the open ones are few.
  return sql`(
    select destination.id as name, delivery.seq - 1 as place
    from ${table('pawl_deliveries')} as delivery
    join ${table('pawl_destinations')} as destination on destination.position = delivery.destination
    where delivery.open = 1 and destination.phase <> 'ended'
    order by delivery.seq + 0 limit 1
  ) as delivery`
}

/** Prepares finding when the oldest outcome after a time was made. */
export function oldestOutcome({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'since'>) =>
    queries
      .selectFrom('pawl_outcomes')
      .select('created_at')
      .where('created_at', '>', slot('since'))
      .orderBy('created_at')
      .limit(1),
  )
}
