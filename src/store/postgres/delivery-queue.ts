/** How do deliveries get into the queues of PostgreSQL? @module */

import { type RawBuilder, type SqlBool, sql } from 'kysely'
import type { DeliveryDraft } from '../deliveries.ts'
import type { DestinationsTable } from '../delivery-schema.ts'
import { createLiningUp, type LiningUp } from './lining-up.ts'
import { type Columns, columnNames, fieldsOf, recordset, toRecordset } from './recordset.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements } from './statement.ts'

/** A destination that the transaction holds. */
export type HeldDestination = Pick<DestinationsTable, 'ordered' | 'phase'>

/** How deliveries are added. */
export interface Added {
  readonly replay: boolean
  readonly now: number
}

/** The deliveries of destinations. Whoever changes any of a destination holds it: so no two do at once. */
export interface Queue {
  /** Locks destinations until the end of the transaction, always in the same order; gives them by their positions. */
  hold(
    session: Session,
    destinations: readonly number[],
  ): Promise<ReadonlyMap<number, HeldDestination>>
  /**
   * Adds deliveries, or asks for those that have ended once more; those that are open stay as they are, and what is
   * deleted gets nothing. Has their destinations looked at now.
   */
  add(session: Session, drafts: readonly DeliveryDraft[], how: Added): Promise<void>
  readonly lineUp: LiningUp['some']
  /** Lines up what is open anew, where a destination wants the events of a resource in order, or no longer does. */
  reorder(session: Session, destination: number, ordered: boolean): Promise<void>
}

/** Prepares the queues. */
export function createQueue(statements: Statements): Queue {
  const [lock, insert, free] = [holding(statements), inserting(statements), freeing(statements)]
  const { some: lineUp, all: lineUpAll } = createLiningUp(statements)
  const hold: Queue['hold'] = async (session, destinations) => {
    if (destinations.length === 0) return new Map()
    const rows = await lock.all(session, { positions: [...new Set(destinations)] })
    return new Map(rows.map(({ position, ...held }) => [position, held]))
  }
  return {
    hold,
    add: async (session, drafts, { replay, now }) => {
      const held = await hold(
        session,
        drafts.map(({ destination }) => destination),
      )
      const rows = drafts
        .filter(({ destination }) => held.get(destination)?.phase !== 'ended')
        // What goes in order is lined up afterwards.
        .map((draft) => ({ ...draft, ready: held.get(draft.destination)?.ordered !== 1 }))
      if (rows.length === 0) return
      const destinations = [...held.keys()]
      const given = { rows: toRecordset(DRAFT, rows), replay: Number(replay), now, destinations }
      await insert.run(session, given)
      await lineUp(
        session,
        rows.filter(({ ready }) => !ready),
      )
    },
    lineUp,
    reorder: async (session, destination, ordered) => {
      if (ordered) await lineUpAll(session, destination)
      else await free.run(session, { destination })
    },
  }
}

/** Whether anything may be sent to a destination. */
export const GOING = sql<SqlBool>`phase in ('following', 'behind')`

/** When the next delivery of a destination is due; null when none is ready. */
export function earliestReady({ table }: Statements, destination: RawBuilder<unknown>) {
  const inLane = (replay: 0 | 1) => sql`(
    select next_at from ${table('pawl_deliveries')}
    where destination = ${destination} and replay = ${sql.lit(replay)} and ready = 1
    order by next_at
    limit 1
  )`
  return sql<number | null>`least(${inLane(0)}, ${inLane(1)})`
}

/** Has destinations looked at now, if anything may be sent to them. */
export function waking({ table }: Statements, destinations: RawBuilder<unknown>, now: never) {
  return sql`
    update ${table('pawl_destinations')} set next_at = ${now}::bigint
    where position = ${destinations} and ${GOING}
      and (next_at is null or next_at > ${now}::bigint)`
}

function holding({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'positions'>) =>
    queries
      .selectFrom('pawl_destinations')
      .select(['position', 'ordered', 'phase'])
      .where('position', '=', anyOf<number>(slot('positions'), 'bigint'))
      .orderBy('position')
      .forNoKeyUpdate(),
  )
}

const DRAFT: Columns = {
  seq: ['seq', 'bigint'],
  destination: ['destination', 'bigint'],
  tenant: ['tenant', 'text'],
  eventId: ['event_id', 'text'],
  eventType: ['event_type', 'text'],
  resourceId: ['resource_id', 'text'],
  ready: ['ready', 'smallint'],
}

function inserting(statements: Statements) {
  const { table, prepare } = statements
  return prepare((slot: Slot<'rows' | 'replay' | 'now' | 'destinations'>) => {
    const [replay, now] = [sql`${slot('replay')}::smallint`, sql`${slot('now')}::bigint`]
    const destinations = anyOf<number>(slot('destinations'), 'bigint')
    return sql`
      with woken as (${waking(statements, destinations, slot('now'))})
      insert into ${table('pawl_deliveries')} as delivery (
        ${columnNames(DRAFT)}, replay, status, open, delivering,
        next_at, fence, attempts, tries, created_at
      )
      select distinct on (draft.seq, draft.destination)
        ${fieldsOf(DRAFT, 'draft')}, ${replay}, 'pending', 1, 0, ${now}, 0, 0, 0, ${now}
      from ${recordset(DRAFT, slot('rows'), 'draft')}
      order by draft.seq, draft.destination
      on conflict (seq, destination) do update set
        replay = excluded.replay,
        status = 'pending',
        open = 1,
        -- Somebody may be at it still: then it is theirs.
        ready = greatest(delivery.delivering, excluded.ready),
        next_at = case delivery.delivering when 1 then delivery.next_at else excluded.next_at end,
        tries = 0,
        began = null,
        delivered_at = null
      where delivery.open = 0`
  })
}

function freeing({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'destination'>) => sql`
      update ${table('pawl_deliveries')} set ready = 1
      where destination = ${slot('destination')}::bigint and open = 1 and ready = 0`,
  )
}
