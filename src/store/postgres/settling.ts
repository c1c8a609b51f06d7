/** How does PostgreSQL note how attempts have gone? @module */

import { sql } from 'kysely'
import type { Settlement, Wish } from '../deliveries.ts'
import { isOpen } from '../delivery-schema.ts'
import { keepable } from './keepable.ts'
import type { QueuePlace } from './lining-up.ts'
import { type Columns, recordset, toRecordset } from './recordset.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements } from './statement.ts'

/** A destination while its deliveries are settled and given out. */
export interface Turn {
  readonly ordered: number
  clock: number
  accepted: number
}

/** What has been settled. */
export interface Settled {
  /** The destinations that the transaction holds, by their positions. */
  readonly turns: ReadonlyMap<number, Turn>
  /** Where the next one's turn may have come. */
  readonly places: readonly QueuePlace[]
}

/**
 * Locks the destinations of settlements and wishes, and writes the settlements; what somebody else has taken on since
 * is left to them. A destination of which something is only wished for is not waited for: where it is locked, others
 * serve it.
 */
export type Settle = (
  session: Session,
  settlements: readonly Settlement[],
  wishes: readonly Wish[],
  now: number,
) => Promise<Settled>

/** Prepares settling. */
export function createSettling(statements: Statements): Settle {
  const settle = settling(statements)
  return async (session, settlements, wishes, now) => {
    const settled = [...new Set(settlements.map(({ destination }) => destination))]
    const wished = wishes.map(({ destination }) => destination)
    const rows = await settle.all(session, {
      settled,
      wished: wished.filter((destination) => !settled.includes(destination)),
      rows: toRecordset(
        SETTLEMENT,
        settlements.map((settlement) => toRow(settlement, now)),
      ),
    })
    return toSettled(rows)
  }
}

/** A destination that is held, or else a delivery that has been settled. */
type Row = { readonly destination: number } & (
  | (Turn & { readonly resourceId: null })
  | { readonly resourceId: string; readonly status: Settlement['status'] }
)

function toSettled(rows: readonly Row[]): Settled {
  const turns = new Map<number, Turn>()
  for (const row of rows) {
    if (row.resourceId !== null) continue
    const { destination, ordered, clock, accepted } = row
    turns.set(destination, { ordered, clock, accepted })
  }
  const places: QueuePlace[] = []
  for (const row of rows) {
    const turn = turns.get(row.destination)
    if (row.resourceId === null || turn === undefined) continue
    if (row.status === 'succeeded') {
      turn.clock += 1
      turn.accepted = turn.clock
    }
    const { destination, resourceId } = row
    if (turn.ordered === 1) places.push({ destination, resourceId })
  }
  return { turns, places }
}

const SETTLEMENT: Columns = {
  seq: ['seq', 'bigint'],
  destination: ['destination', 'bigint'],
  fence: ['fence', 'bigint'],
  status: ['status', 'text'],
  open: ['open', 'smallint'],
  tries: ['tries', 'bigint'],
  nextAt: ['next_at', 'bigint'],
  deliveredAt: ['delivered_at', 'bigint'],
  number: ['number', 'bigint'],
  at: ['at', 'bigint'],
  statusCode: ['status_code', 'bigint'],
  durationMs: ['duration_ms', 'bigint'],
  error: ['error', 'text'],
  responseBody: ['response_body', 'text'],
}

function toRow({ attempt, ...settlement }: Settlement, now: number): object {
  const { status } = settlement
  return {
    ...settlement,
    ...attempt,
    open: isOpen(status),
    deliveredAt: status === 'succeeded' ? now : null,
    error: textOf(attempt?.error),
    responseBody: textOf(attempt?.responseBody),
  }
}

function textOf(said: string | null | undefined): string | null {
  return said == null ? null : keepable(said.toWellFormed())
}

function settling({ table, prepare }: Statements) {
  return prepare((slot: Slot<'settled' | 'wished' | 'rows'>) => {
    const held = sql`
      select position, ordered, clock, accepted from ${table('pawl_destinations')}
      where position =`
    const attempt = sql`number, at, "statusCode", "durationMs", error, "responseBody"`
    return sql<Row>`
      with waited as (
        ${held} ${anyOf<number>(slot('settled'), 'bigint')} order by position for no key update
      ),
      free as (
        ${held} ${anyOf<number>(slot('wished'), 'bigint')}
        order by position for no key update skip locked
      ),
      settled as (
        update ${table('pawl_deliveries')} as delivery set
          -- What was canceled meanwhile stays so, unless it has arrived.
          status = case
            when delivery.status = 'canceled' and settlement.status <> 'succeeded'
            then delivery.status else settlement.status end,
          open = least(delivery.open, settlement.open),
          -- Where it is in order, its turn comes again when it is the first.
          ready = case waited.ordered
            when 1 then 0 else least(delivery.open, settlement.open) end,
          delivering = 0,
          next_at = settlement."nextAt",
          attempts = delivery.attempts + case when settlement.number is null then 0 else 1 end,
          tries = settlement.tries,
          -- Where nothing has been tried, what went wrong before still stands.
          last_error = case
            when settlement.number is null then delivery.last_error else settlement.error end,
          delivered_at = settlement."deliveredAt"
        from waited
        join ${recordset(SETTLEMENT, slot('rows'), 'settlement')}
          on settlement.destination = waited.position
        where delivery.seq = settlement.seq and delivery.destination = settlement.destination
          and delivery.fence = settlement.fence and delivery.delivering = 1
        returning
          delivery.seq, delivery.destination, delivery.resource_id, settlement.status as how,
          settlement.number, settlement.at, settlement."statusCode", settlement."durationMs",
          settlement.error, settlement."responseBody"
      ),
      noted as (
        insert into ${table('pawl_attempts')} (
          seq, destination, number, at, status_code, duration_ms, error, response_body
        )
        select seq, destination, ${attempt} from settled where number is not null
      )
      -- In this order: whoever waits for a destination may hold none but those that come before it.
      select position as destination, ordered, clock, accepted, null as "resourceId", null as status
      from waited
      union all
      select position, ordered, clock, accepted, null, null from free
      union all
      select destination, null, null, null, resource_id, how from settled`
  })
}
