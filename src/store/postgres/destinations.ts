/** How does PostgreSQL keep where destinations are? @module */

import { sql } from 'kysely'
import type { CatchUpStep, DeliveryWrites, DestinationChange } from '../deliveries.ts'
import { isGoing } from '../delivery-schema.ts'
import { earliestReady, type Queue } from './delivery-queue.ts'
import type { DestinationReads } from './destination-reads.ts'
import type { OnSession } from './on-session.ts'
import type { Session } from './session.ts'
import type { Slot, Statements } from './statement.ts'

/** Where destinations are. */
export interface Destinations {
  readonly moveVerification: OnSession<DeliveryWrites>['moveVerification']
  /** Whether a destination, which the transaction holds, is still as it was before a change. */
  is(session: Session, change: DestinationChange): Promise<boolean>
  /** Writes a destination as it is from now on. What waited while it was stopped is due when it goes on. */
  put(session: Session, change: DestinationChange, now: number): Promise<void>
  /** Moves a destination that catches up on, and locks it thereby; false when it is not where the step began. */
  advance(session: Session, step: CatchUpStep): Promise<boolean>
}

/** Prepares keeping destinations. */
export function createDestinations(
  statements: Statements,
  queue: Queue,
  reads: OnSession<DestinationReads>,
): Destinations {
  const [move, advance] = [movingVerification(statements), advancing(statements)]
  return {
    moveVerification: async (session, destination, from, to) =>
      (await move.run(session, { destination, from, to })) === 1,
    is: async (session, { before, after }) => {
      const stored = await reads.findDestination(session, after.id)
      return (
        stored?.phase === before?.phase &&
        stored?.place === before?.place &&
        stored?.verifyAt === before?.verifyAt
      )
    },
    put: putting(statements, queue),
    advance: async (session, { destination, place, joins }) => {
      const { position, place: from, patterns } = destination
      const to = joins ? { phase: 'following', place: null } : { phase: 'behind', place }
      const where = { position, from, patterns: JSON.stringify(patterns) }
      return (await advance.run(session, { ...where, ...to })) === 1
    },
  }
}

function putting(statements: Statements, queue: Queue): Destinations['put'] {
  const [insert, update] = [inserting(statements), updating(statements)]
  const [cancel, hurry] = [canceling(statements), hurrying(statements)]
  const schedule = scheduling(statements)
  return async (session, { before, after }, now) => {
    const { patterns, ordered, ...same } = after
    const row = { ...same, patterns: JSON.stringify(patterns), ordered: Number(ordered) }
    // Nothing waits for what is new.
    if (before === undefined) return void (await insert.run(session, row))
    const { position: destination } = before
    await update.run(session, { ...row, destination })
    if (after.phase === 'ended') await cancel.run(session, { destination })
    if (before.ordered !== ordered) await queue.reorder(session, destination, ordered)
    if (!isGoing(after.phase)) return
    if (before.phase === 'stopped') await hurry.run(session, { destination, now })
    await schedule.run(session, { destination })
  }
}

function movingVerification({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'destination' | 'from' | 'to'>) =>
    queries
      .updateTable('pawl_destinations')
      .set({ verify_at: slot('to') })
      .where('position', '=', slot('destination'))
      .where('verify_at', '=', slot('from')),
  )
}

type Changing = 'patterns' | 'ordered' | 'phase' | 'place' | 'verifyAt'

function changed(slot: Slot<Changing>) {
  return {
    patterns: slot('patterns'),
    ordered: slot('ordered'),
    phase: slot('phase'),
    place: slot('place'),
    verify_at: slot('verifyAt'),
  }
}

function inserting({ queries, prepare }: Statements) {
  return prepare((slot: Slot<Changing | 'id' | 'tenant'>) =>
    queries
      .insertInto('pawl_destinations')
      .values({ id: slot('id'), tenant: slot('tenant'), ...changed(slot) }),
  )
}

function updating({ queries, prepare }: Statements) {
  return prepare((slot: Slot<Changing | 'destination'>) =>
    queries
      .updateTable('pawl_destinations')
      .set({ ...changed(slot), next_at: null })
      .where('position', '=', slot('destination')),
  )
}

function scheduling(statements: Statements) {
  return statements.prepare((slot: Slot<'destination'>) => {
    const destination = sql`${slot('destination')}::bigint`
    return sql`
      update ${statements.table('pawl_destinations')}
      set next_at = ${earliestReady(statements, destination)}
      where position = ${destination}`
  })
}

function hurrying({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'destination' | 'now'>) => sql`
      update ${table('pawl_deliveries')} set next_at = ${slot('now')}::bigint
      where destination = ${slot('destination')}::bigint
        and ready = 1 and delivering = 0 and next_at > ${slot('now')}::bigint`,
  )
}

function advancing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'position' | 'from' | 'patterns' | 'phase' | 'place'>) =>
    queries
      .updateTable('pawl_destinations')
      .set({ phase: slot('phase'), place: slot('place') })
      .where('position', '=', slot('position'))
      .where('phase', '=', 'behind')
      .where('place', '=', slot('from'))
      .where('patterns', '=', slot('patterns')),
  )
}

/** What has come since its deliveries were canceled. */
function canceling({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'destination'>) => sql`
      update ${table('pawl_deliveries')} set status = 'canceled', open = 0, ready = 0
      where destination = ${slot('destination')}::bigint and open = 1`,
  )
}
