/** How does SQLite keep where destinations are? @module */

import type { Database } from 'better-sqlite3'
import type {
  CatchUpStep,
  DeliveryWrites,
  DestinationChange,
  DestinationDraft,
} from '../deliveries.ts'
import { isGoing } from '../delivery-schema.ts'
import type { Immediate } from './deferred.ts'
import type { Queue } from './delivery-queue.ts'
import { createDestinationReads, type DestinationReads } from './destination-reads.ts'
import { OPEN, READY } from './open-ones.ts'
import { prepare, queries, type Slot } from './statement.ts'

/** Where destinations are. */
export interface Destinations {
  readonly reads: Immediate<DestinationReads>
  readonly moveVerification: Immediate<DeliveryWrites>['moveVerification']
  /** Whether a destination is still as it was before a change. */
  is(change: DestinationChange): boolean
  /** Whether a destination has been deleted. */
  isOver(destination: number): boolean
  /** Writes a destination as it is from now on. What waited while it was stopped is due when it goes on. */
  put(change: DestinationChange, now: number): void
  /** Moves a destination that catches up on; false when it is not where the step began. */
  advance(step: CatchUpStep): boolean
}

/** Prepares keeping destinations. */
export function createDestinations(database: Database, queue: Queue): Destinations {
  const reads = createDestinationReads(database)
  const move = movingVerification(database)
  const [upsert, schedule] = [upserting(database), scheduling(database)]
  const [hurry, advance] = [hurrying(database), advancing(database)]
  const [over, cancel] = [phaseOf(database), canceling(database)]
  return {
    reads,
    moveVerification: (destination, from, to) => move.run({ destination, from, to }) === 1,
    is: ({ before, after }) => {
      const stored = reads.findDestination(after.id)
      return (
        stored?.phase === before?.phase &&
        stored?.place === before?.place &&
        stored?.verifyAt === before?.verifyAt
      )
    },
    isOver: (destination) => over.get({ destination })?.phase === 'ended',
    put: ({ before, after }, now) => {
      upsert.run({ ...after, patterns: JSON.stringify(after.patterns) })
      const destination = before?.position ?? reads.findDestination(after.id)?.position
      if (destination === undefined) return
      if (after.phase === 'ended') cancel.run({ destination })
      if (before !== undefined && before.ordered !== after.ordered)
        queue.reorder(destination, after.ordered)
      if (!isGoing(after.phase)) return
      if (before?.phase === 'stopped') hurry.run({ destination, now })
      schedule.run({ destination, at: queue.nextAt(destination) })
    },
    advance: ({ destination: { position, place: from, patterns }, place, joins }) =>
      advance.run({
        ...{ position, from, patterns: JSON.stringify(patterns) },
        phase: joins ? 'following' : 'behind',
        place: joins ? null : place,
      }) === 1,
  }
}

function movingVerification(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_destinations')
      .set({ verify_at: slot('to') })
      .where('position', '=', slot('destination'))
      .where('verify_at', '=', slot('from')),
  )
}

function upserting(database: Database) {
  return prepare(database, (slot: Slot<keyof DestinationDraft>) =>
    queries
      .insertInto('pawl_destinations')
      .values({
        id: slot('id'),
        tenant: slot('tenant'),
        patterns: slot('patterns'),
        ordered: slot('ordered'),
        phase: slot('phase'),
        place: slot('place'),
        verify_at: slot('verifyAt'),
      })
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet(({ ref }) => ({
          patterns: ref('excluded.patterns'),
          ordered: ref('excluded.ordered'),
          phase: ref('excluded.phase'),
          place: ref('excluded.place'),
          verify_at: ref('excluded.verify_at'),
          next_at: null,
        })),
      ),
  )
}

function scheduling(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_destinations')
      .set({ next_at: slot('at') })
      .where('position', '=', slot('destination')),
  )
}

function hurrying(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ next_at: slot('now') })
      .where('destination', '=', slot('destination'))
      .where(READY)
      .where('delivering', '=', 0)
      .where('next_at', '>', slot('now')),
  )
}

function advancing(database: Database) {
  return prepare(database, (slot: Slot<'position' | 'from' | 'patterns' | 'phase' | 'place'>) =>
    queries
      .updateTable('pawl_destinations')
      .set({ phase: slot('phase'), place: slot('place') })
      .where('position', '=', slot('position'))
      .where('phase', '=', 'behind')
      .where('place', '=', slot('from'))
      .where('patterns', '=', slot('patterns')),
  )
}

function phaseOf(database: Database) {
  return prepare(database, (slot) =>
    queries
      .selectFrom('pawl_destinations')
      .select('phase')
      .where('position', '=', slot('destination')),
  )
}

/** What has come since its deliveries were canceled. */
function canceling(database: Database) {
  return prepare(database, (slot) =>
    queries
      .updateTable('pawl_deliveries')
      .set({ status: 'canceled', open: 0, ready: 0 })
      .where('destination', '=', slot('destination'))
      .where(OPEN),
  )
}
