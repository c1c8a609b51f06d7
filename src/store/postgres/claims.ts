/** How does PostgreSQL settle what has ended, and give out what is due? @module */

import { sql } from 'kysely'
import type { DeliveryWrites } from '../deliveries.ts'
import { earliestReady, GOING, type Queue } from './delivery-queue.ts'
import { createClaim } from './due.ts'
import type { OnSession } from './on-session.ts'
import { type Columns, recordset, toRecordset } from './recordset.ts'
import { createSettling } from './settling.ts'
import type { Slot, Statements } from './statement.ts'

/** Prepares settling and claiming. */
export function createClaims(
  statements: Statements,
  queue: Queue,
): OnSession<Pick<DeliveryWrites, 'settleAndClaim'>> {
  const [settle, claim] = [createSettling(statements), createClaim(statements)]
  const update = updatingTurns(statements)
  return {
    settleAndClaim: async (session, settlements, wishes, clock) => {
      if (settlements.length + wishes.length === 0) return { claimed: [], isStale: false }
      const { turns, places } = await settle(session, settlements, wishes, clock())
      await queue.lineUp(session, places)
      // Others may have had to be waited for.
      const now = clock()
      const claims = await claim(session, wishes, turns, now)
      const rows = [...turns].map(([destination, turn]) => ({ destination, ...turn }))
      if (rows.length > 0) await update.run(session, { turns: toRecordset(TURN, rows), now })
      return claims
    },
  }
}

const TURN: Columns = {
  destination: ['destination', 'bigint'],
  clock: ['clock', 'bigint'],
  accepted: ['accepted', 'bigint'],
}

function updatingTurns(statements: Statements) {
  const { table, prepare } = statements
  return prepare((slot: Slot<'turns' | 'now'>) => {
    const next = earliestReady(statements, sql`turn.destination`)
    return sql`
      update ${table('pawl_destinations')} set
        clock = turn.clock,
        accepted = turn.accepted,
        -- Not before now, whatever has been waiting: after its turn, it comes after the others.
        next_at = case
          when ${GOING} and next.at is not null then greatest(next.at, ${slot('now')}::bigint) end
      from ${recordset(TURN, slot('turns'), 'turn')}
      cross join lateral (select ${next} as at) as next
      where position = turn.destination`
  })
}
