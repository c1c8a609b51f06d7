/** How does PostgreSQL cancel deliveries, and ask for one once more? @module */

import { sql } from 'kysely'
import type { DeliveryReads, DeliveryWrites } from '../deliveries.ts'
import { type Queue, waking } from './delivery-queue.ts'
import type { DispatchPlace } from './dispatching.ts'
import type { OnSession } from './on-session.ts'
import type { Slot, Statements } from './statement.ts'

type Changes = Pick<DeliveryWrites, 'cancelDeliveries' | 'resendDelivery'>

/** Prepares both. */
export function createDeliveryChanges(
  statements: Statements,
  queue: Queue,
  { isAt }: DispatchPlace,
  { findDelivery }: OnSession<Pick<DeliveryReads, 'findDelivery'>>,
): OnSession<Changes> {
  const [cancel, resend] = [canceling(statements), resending(statements)]
  return {
    cancelDeliveries: async (session, from, { destination, seq: through }, limit) => {
      if (!(await isAt(session, from))) return 0
      const held = (await queue.hold(session, [destination])).get(destination)
      const rows = await cancel.all(session, { destination, through, limit })
      const places = rows.map(({ resourceId }) => ({ destination, resourceId }))
      if (held?.ordered === 1) await queue.lineUp(session, places)
      return rows.length
    },
    resendDelivery: async (session, place, now) => {
      const { seq, destination } = place
      const held = (await queue.hold(session, [destination])).get(destination)
      if (held === undefined || held.phase === 'ended') return findDelivery(session, place)
      const ready = 1 - held.ordered
      const sent = await resend.get(session, { seq, destination, now, ready })
      if (sent !== undefined && held.ordered === 1)
        await queue.lineUp(session, [{ destination, resourceId: sent.resourceId }])
      return findDelivery(session, place)
    },
  }
}

function canceling({ table, prepare }: Statements) {
  const deliveries = table('pawl_deliveries')
  return prepare(
    (slot: Slot<'destination' | 'through' | 'limit'>) => sql<{ readonly resourceId: string }>`
      with passed as (
        select seq, destination from ${deliveries}
        where destination = ${slot('destination')}::bigint and open = 1
          -- Not by the index of all of them: the open ones are few.
          and seq + 0 <= ${slot('through')}::bigint
        limit ${slot('limit')}::bigint
      )
      update ${deliveries} as delivery
      -- What somebody is at stays theirs: it may arrive yet.
      set status = 'canceled', open = 0, ready = 0
      from passed
      where delivery.seq = passed.seq and delivery.destination = passed.destination
      returning delivery.resource_id as "resourceId"`,
  )
}

/** Asks for a delivery, unless somebody is at it; and has its destination looked at. */
function resending(statements: Statements) {
  const { table, prepare } = statements
  return prepare((slot: Slot<'seq' | 'destination' | 'now' | 'ready'>) => {
    const destinations = sql`any (select destination from sent)`
    return sql<{ readonly resourceId: string }>`
      with sent as (
        update ${table('pawl_deliveries')} set
          -- Whoever asks by hand for what has ended gives it all its attempts again.
          tries = case open when 1 then tries else 0 end,
          began = case open when 1 then began end,
          replay = 0,
          status = 'pending',
          open = 1,
          -- Somebody may be at what has been canceled: then it is theirs.
          ready = greatest(delivering, ${slot('ready')}::smallint),
          next_at = case delivering when 1 then next_at else ${slot('now')}::bigint end,
          delivered_at = null
        where seq = ${slot('seq')}::bigint and destination = ${slot('destination')}::bigint
          and (open = 0 or delivering = 0)
        returning destination, resource_id as "resourceId"
      ),
      woken as (${waking(statements, destinations, slot('now'))})
      select "resourceId" from sent`
  })
}
