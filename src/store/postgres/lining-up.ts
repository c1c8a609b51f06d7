/** Whose turn is it, of the deliveries that go one after the other? @module */

import { type RawBuilder, sql } from 'kysely'
import type { Session } from './session.ts'
import type { Slot, Statements } from './statement.ts'

/** The deliveries of a destination that are about one resource. */
export interface QueuePlace {
  readonly destination: number
  readonly resourceId: string
}

/**
 * Lines up the deliveries of destinations that want the events of a resource in order, and that the transaction holds:
 * of those that are open, one is ready. Those that somebody is at stay so; otherwise it is the first one, and what is
 * asked for by a replay comes last.
 */
export interface LiningUp {
  /** Lines up some resources of destinations. */
  some(session: Session, places: readonly QueuePlace[]): Promise<void>
  /** Lines up everything of a destination. */
  all(session: Session, destination: number): Promise<void>
}

/** Prepares lining up. */
export function createLiningUp(statements: Statements): LiningUp {
  const [some, all] = [liningUpSome(statements), liningUpAll(statements)]
  return {
    some: async (session, places) => {
      if (places.length === 0) return
      const destinations = places.map(({ destination }) => destination)
      const resourceIds = places.map(({ resourceId }) => resourceId)
      await some.run(session, { destinations, resourceIds })
    },
    all: async (session, destination) => {
      await all.run(session, { destination })
    },
  }
}

function liningUpSome(statements: Statements) {
  return statements.prepare((slot: Slot<'destinations' | 'resourceIds'>) =>
    liningUp(
      statements,
      sql`
        select distinct destination, resource_id
        from unnest(${slot('destinations')}::bigint[], ${slot('resourceIds')}::text[])
          as place (destination, resource_id)`,
    ),
  )
}

function liningUpAll(statements: Statements) {
  return statements.prepare((slot: Slot<'destination'>) =>
    liningUp(
      statements,
      sql`
        select distinct destination, resource_id from ${statements.table('pawl_deliveries')}
        where destination = ${slot('destination')}::bigint and open = 1`,
    ),
  )
}

/** Reads of each queue no more than those that are ready, and the first of those that wait. */
function liningUp({ table }: Statements, queues: RawBuilder<unknown>) {
  const deliveries = table('pawl_deliveries')
  const own = sql`destination = queue.destination and resource_id = queue.resource_id and open = 1`
  return sql`
    with queue as (${queues}),
    front as (
      select
        queue.destination, one.seq, one.ready, one.delivering,
        max(one.delivering) over (partition by queue.destination, queue.resource_id) as is_busy,
        row_number() over (
          partition by queue.destination, queue.resource_id order by one.replay, one.seq
        ) as place
      from queue cross join lateral (
        (select seq, replay, ready, delivering from ${deliveries} where ${own} and ready = 1)
        union all
        (
          select seq, replay, ready, delivering from ${deliveries} where ${own} and ready = 0
          order by replay, seq limit 1
        )
      ) as one
    ),
    turn as (
      select
        destination, seq, ready as was,
        case when is_busy = 1 then delivering when place = 1 then 1 else 0 end as ready
      from front
    )
    update ${deliveries} as delivery set ready = turn.ready
    from turn
    where delivery.seq = turn.seq and delivery.destination = turn.destination
      and turn.ready <> turn.was`
}
