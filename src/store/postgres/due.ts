/** Which deliveries of destinations does PostgreSQL give out, and how are they taken on? @module */

import { sql } from 'kysely'
import type { ClaimedRow, Claims, Wish } from '../deliveries.ts'
import { LOST } from '../delivery-columns.ts'
import { type Columns, recordset, toRecordset } from './recordset.ts'
import type { Session } from './session.ts'
import type { Turn } from './settling.ts'
import type { Slot, Statements } from './statement.ts'

/** Takes on what is due of destinations that the transaction holds; their clocks tick. */
export type Claim = (
  session: Session,
  wishes: readonly Wish[],
  turns: ReadonlyMap<number, Turn>,
  now: number,
) => Promise<Claims>

/** Prepares giving out. */
export function createClaim(statements: Statements): Claim {
  const take = taking(statements)
  return async (session, wishes, turns, now) => {
    const held = wishes.flatMap((wish, place) => {
      const turn = turns.get(wish.destination)
      return turn === undefined ? [] : [{ ...wish, place, ...turn, clock: turn.clock + 1 }]
    })
    if (held.length === 0) return { claimed: [], isStale: wishes.length > 0 }
    const limit = Math.max(...held.map(({ most }) => most))
    const rows = await take.all(session, { wishes: toRecordset(WISH, held), limit, now })
    const claimed = rows.filter(isClaimed)
    for (const destination of new Set(claimed.map((row) => row.destination))) {
      const turn = turns.get(destination)
      if (turn !== undefined) turn.clock += 1
    }
    const granted = rows.length - claimed.length
    return { claimed: claimed.map(toClaimed), isStale: granted < wishes.length }
  }
}

type Stored = Omit<ClaimedRow, 'replay'> & { readonly replay: number }

/** A delivery that is taken on, or else a wish that is granted. */
type Row = Stored | { readonly seq: null }

function isClaimed(row: Row): row is Stored {
  return row.seq !== null
}

function toClaimed(row: Stored): ClaimedRow {
  const { seq, destination, eventId, eventType, resourceId, replay } = row
  const { fence, attempts, tries, began, data, createdAt } = row
  return {
    ...{ seq, destination, eventId, eventType, resourceId, replay: replay === 1 },
    ...{ fence, attempts, tries, began, data, createdAt },
  }
}

const WISH: Columns = {
  place: ['place', 'bigint'],
  destination: ['destination', 'bigint'],
  version: ['version', 'bigint'],
  most: ['most', 'bigint'],
  replays: ['replays', 'bigint'],
  lease: ['lease', 'bigint'],
  ordered: ['ordered', 'smallint'],
  clock: ['clock', 'bigint'],
}

function taking(statements: Statements) {
  const { table, prepare } = statements
  const deliveries = table('pawl_deliveries')
  return prepare((slot: Slot<'wishes' | 'limit' | 'now'>) => {
    const now = sql`${slot('now')}::bigint`
    return sql<Row>`
      with granted as (
        select wish.* from ${recordset(WISH, slot('wishes'), 'wish')}
        -- As a value, for each of them by itself: there may be very many resources.
        where wish.version = (
          select resource.version from ${table('pawl_destinations')} as destination
          join ${table('pawl_resources')} as resource on resource.id = destination.id
          where destination.position = wish.destination
        )
      ),
      due as (${dueOf(statements, slot)}),
      chosen as (
        select
          *,
          -- Where the order has changed since, several of a resource may be due: all but the first wait.
          case when ordered = 1 and row_number() over (
            partition by destination, resource_id order by replay, next_at, seq
          ) > 1 then 0 else 1 end as is_taken
        from due
        where number <= case replay when 0 then most else least(replays, most - least(live, most)) end
      ),
      held as (
        update ${deliveries} as delivery set ready = 0, delivering = 0
        from chosen
        where chosen.is_taken = 0
          and delivery.seq = chosen.seq and delivery.destination = chosen.destination
      ),
      taken as (
        update ${deliveries} as delivery set
          delivering = 1,
          fence = delivery.fence + 1,
          next_at = ${now} + chosen.lease,
          taken_at = ${now},
          attempts = delivery.attempts + delivery.delivering,
          began = coalesce(delivery.began, chosen.clock)
        from chosen
        where chosen.is_taken = 1
          and delivery.seq = chosen.seq and delivery.destination = chosen.destination
        returning delivery.*, chosen.place, chosen.next_at as due_at
      ),
      lost as (
        insert into ${table('pawl_attempts')} (
          seq, destination, number, at, status_code, duration_ms, error, response_body
        )
        select
          seq, destination, attempts + 1, taken_at, ${LOST.statusCode}::bigint,
          ${LOST.durationMs}::bigint, ${LOST.error}::text, ${LOST.responseBody}::text
        from chosen
        where is_taken = 1 and delivering = 1
      )
      select
        taken.seq, taken.destination, taken.event_id as "eventId", taken.event_type as "eventType",
        taken.resource_id as "resourceId", taken.replay, taken.fence, taken.attempts, taken.tries,
        taken.began, event.data, event.created_at as "createdAt", taken.place, taken.due_at
      from taken join ${table('pawl_events')} as event on event.seq = taken.seq
      union all
      select
        null, destination, null, null, null, null, null, null, null, null, null, null, place, null
      from granted
      order by place, replay, due_at, seq`
  })
}

/** What is due of each wish, of either lane as much as may be wanted at most, and numbered. */
function dueOf({ table }: Statements, slot: Slot<'limit' | 'now'>) {
  return sql`
    select
      granted.*, delivery.*,
      row_number() over (
        partition by granted.destination, delivery.replay order by delivery.next_at, delivery.seq
      ) as number,
      count(*) filter (where delivery.replay = 0) over (partition by granted.destination) as live
    from granted
    cross join (values (0), (1)) as lane (replay)
    cross join lateral (
      select seq, resource_id, replay, next_at, delivering, taken_at, attempts
      from ${table('pawl_deliveries')} as delivery
      where destination = granted.destination and replay = lane.replay and ready = 1
        and next_at <= ${slot('now')}::bigint
        -- As a value, for each of them by itself: what has been pruned is not due.
        and (
          select true from ${table('pawl_events')} as event where event.seq = delivery.seq
        )
      order by next_at, seq
      limit ${slot('limit')}::bigint
    ) as delivery`
}
