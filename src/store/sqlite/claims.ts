/** How does SQLite note how attempts have gone, and give out what is due? @module */

import type { Database } from 'better-sqlite3'
import { sql } from 'kysely'
import type { DeliveryWrites, Settlement } from '../deliveries.ts'
import { isOpen } from '../delivery-schema.ts'
import type { Immediate } from './deferred.ts'
import type { Queue } from './delivery-queue.ts'
import { claimer, loggingAttempt, type Turn } from './due.ts'
import { prepare, queries, type Slot } from './statement.ts'

type Turns = Map<number, Turn>

/** Prepares settling and claiming. */
export function createClaims(
  database: Database,
  queue: Queue,
): Immediate<Pick<DeliveryWrites, 'settleAndClaim'>> {
  const settle = settler(database, queue)
  const claim = claimer(database)
  const [find, update] = [turnOf(database), updatingTurn(database)]
  const turn = (turns: Turns, destination: number): Turn | undefined => {
    const known = turns.get(destination) ?? toTurn(find.get({ destination }))
    if (known !== undefined) turns.set(destination, known)
    return known
  }
  return {
    settleAndClaim: (settlements, wishes, clock) => {
      // Read within the transaction, for which others may have had to be waited for.
      const now = clock()
      const turns: Turns = new Map()
      for (const settlement of settlements) {
        const one = turn(turns, settlement.destination)
        if (one !== undefined) settle(one, settlement, now)
      }
      let isStale = false
      const claimed = wishes.flatMap((wish) => {
        const one = turn(turns, wish.destination)
        if (one?.version === wish.version) return claim(one, wish, now)
        isStale = true
        return []
      })
      for (const [destination, { clock, accepted }] of turns) {
        update.run({ destination, clock, accepted, now, nextAt: queue.nextAt(destination) })
      }
      return { claimed, isStale }
    },
  }
}

function toTurn(
  row: (Omit<Turn, 'ordered'> & { readonly ordered: number }) | undefined,
): Turn | undefined {
  return row && { ...row, ordered: row.ordered === 1 }
}

function turnOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations as destination')
      .innerJoin('pawl_resources as resource', 'resource.id', 'destination.id')
      .select(['destination.ordered', 'destination.clock', 'destination.accepted'])
      .select('resource.version')
      .where('destination.position', '=', slot('destination')),
  )
}

function updatingTurn(database: Database) {
  return prepare(database, (slot: Slot<'destination' | 'clock' | 'accepted' | 'now' | 'nextAt'>) =>
    queries
      .updateTable('pawl_destinations')
      .set({
        clock: slot('clock'),
        accepted: slot('accepted'),
        // Not before now, whatever has been waiting: after its turn, it comes after the others.
        next_at: sql<number | null>`
          case when phase in ('following', 'behind') then max(${slot('nextAt')}, ${slot('now')}) end`,
      })
      .where('position', '=', slot('destination')),
  )
}

function settler(
  database: Database,
  queue: Queue,
): (turn: Turn, settlement: Settlement, now: number) => void {
  const [update, log] = [updatingSettled(database), loggingAttempt(database)]
  const write = ({ ordered }: Turn, settlement: Settlement, now: number): boolean => {
    const { seq, destination, status, attempt } = settlement
    const changes = update.run({
      ...settlement,
      open: isOpen(status),
      attempts: Number(attempt !== null),
      ready: isOpen(status) && !ordered,
      error: attempt?.error ?? null,
      deliveredAt: status === 'succeeded' ? now : null,
    })
    if (changes === 1 && attempt !== null) log.run({ ...attempt, seq, destination })
    return changes === 1
  }
  return (turn, settlement, now) => {
    // Somebody else has taken it on since.
    if (!write(turn, settlement, now)) return
    const { status } = settlement
    if (status === 'succeeded') turn.accepted = turn.clock += 1
    if (turn.ordered) queue.advance(settlement)
  }
}

function updatingSettled(database: Database) {
  return prepare(
    database,
    (
      slot: Slot<
        | keyof Pick<Settlement, 'seq' | 'destination' | 'fence' | 'status' | 'tries' | 'nextAt'>
        | 'open'
        | 'ready'
        | 'attempts'
        | 'error'
        | 'deliveredAt'
      >,
    ) =>
      queries
        .updateTable('pawl_deliveries')
        .set((eb) => ({
          // What was canceled meanwhile stays so, unless it has arrived.
          status: sql<Settlement['status']>`
            case when status = 'canceled' and ${slot('status')} <> 'succeeded'
            then status else ${slot('status')} end`,
          open: sql<number>`open and ${slot('open')}`,
          // Where it is in order, its turn comes again when it is the first.
          ready: sql<number>`open and ${slot('ready')}`,
          delivering: 0,
          next_at: slot('nextAt'),
          attempts: eb('attempts', '+', slot('attempts')),
          tries: slot('tries'),
          // Where nothing has been tried, what went wrong before still stands.
          last_error: sql<string | null>`
            case ${slot('attempts')} when 0 then last_error else ${slot('error')} end`,
          delivered_at: slot('deliveredAt'),
        }))
        .where('seq', '=', slot('seq'))
        .where('destination', '=', slot('destination'))
        .where('fence', '=', slot('fence'))
        .where('delivering', '=', 1),
  )
}
