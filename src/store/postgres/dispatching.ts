/** How does PostgreSQL keep how far the log has been given out, and to whom? @module */

import type { Deliveries, DispatchRow, DispatchStep } from '../deliveries.ts'
import type { Queue } from './delivery-queue.ts'
import type { Destinations } from './destinations.ts'
import type { OnSession } from './on-session.ts'
import type { Session } from './session.ts'
import type { Slot, Statements } from './statement.ts'

type Changed = NonNullable<DispatchStep['changed']>

type Dispatching = Pick<Deliveries, 'dispatchRow' | 'dispatch' | 'catchUp' | 'replayDeliveries'>

/** How far the log has been given out. Whoever needs it to stay so locks it before any destination. */
export interface DispatchPlace {
  current(session: Session): Promise<DispatchRow>
  /** Locks it until the end of the transaction; gives it as it is then. */
  hold(session: Session): Promise<DispatchRow>
  /** Locks it, and tells whether it is still this. */
  isAt(session: Session, from: DispatchRow): Promise<boolean>
  /** Moves it on, and locks it thereby; false, and nothing is written, where it is no longer at `from`. */
  move(session: Session, from: DispatchRow, to: DispatchRow): Promise<boolean>
  /**
   * The last place that has been pruned; until the end of the transaction nothing more is, and then only by those who
   * see what this one has written. Comes after all other locks: whoever shortens the log waits for none.
   */
  keepLog(session: Session): Promise<number>
}

/** Prepares how far it has been given out. */
export function createDispatchPlace(statements: Statements): DispatchPlace {
  const [row, held, move] = [place(statements), heldPlace(statements), moving(statements)]
  const keep = keepingLog(statements)
  const hold: DispatchPlace['hold'] = async (session) => (await held.get(session, {})) ?? NOWHERE
  return {
    current: async (session) => (await row.get(session, {})) ?? NOWHERE,
    hold,
    isAt: async (session, from) => {
      const { position, within, revision } = await hold(session)
      return position === from.position && within === from.within && revision === from.revision
    },
    move: async (session, from, to) => {
      const { position, within, revision } = from
      const at = { atPosition: position, atWithin: within, atRevision: revision }
      return (await move.run(session, { ...to, ...at })) === 1
    },
    keepLog: async (session) => (await keep.get(session, {}))?.pruned ?? 0,
  }
}

const NOWHERE: DispatchRow = { position: 0, within: 0, revision: 0 }

/** Prepares giving out the log. */
export function createDispatching(
  place: DispatchPlace,
  queue: Queue,
  destinations: Destinations,
): OnSession<Dispatching> {
  // What a destination is to be can only be told while nobody changes it.
  const dispatchChange = async (session: Session, step: DispatchStep, changed: Changed) => {
    const { from, to, deliveries, now } = step
    if (!(await place.isAt(session, from))) return false
    const given = deliveries.map(({ destination }) => destination)
    await queue.hold(session, changed.before ? [...given, changed.before.position] : given)
    if (!(await destinations.is(session, changed))) return false
    await queue.add(session, deliveries, { replay: false, now })
    // Whoever is shortening the log may not know yet that from here on this one needs it.
    await place.keepLog(session)
    await destinations.put(session, changed, now)
    return place.move(session, from, { ...to, revision: from.revision + 1 })
  }
  return {
    dispatchRow: place.current,
    dispatch: async (session, step) => {
      const { from, to, deliveries, changed, now } = step
      if (changed !== null) return dispatchChange(session, step, changed)
      if (!(await place.move(session, from, { ...to, revision: from.revision }))) return false
      await queue.add(session, deliveries, { replay: false, now })
      return true
    },
    catchUp: async (session, step) => {
      const { joins, deliveries, now } = step
      // Who does not join needs nothing of the dispatcher, and does not wait for it.
      const at = joins ? await place.hold(session) : null
      if (at !== null && !(at.position === step.place && at.within === 0)) return false
      if (!(await destinations.advance(session, step))) return false
      await queue.add(session, deliveries, { replay: false, now })
      if (at !== null) await place.move(session, at, { ...at, revision: at.revision + 1 })
      return true
    },
    replayDeliveries: async (session, drafts, now) => {
      await queue.hold(
        session,
        drafts.map(({ destination }) => destination),
      )
      // The log may have been shortened since they were read from it.
      const pruned = await place.keepLog(session)
      const left = drafts.filter(({ seq }) => seq > pruned)
      await queue.add(session, left, { replay: true, now })
    },
  }
}

const dispatchColumns = ['position', 'within', 'revision'] as const

function place({ queries, prepare }: Statements) {
  return prepare(() => queries.selectFrom('pawl_dispatch').select(dispatchColumns))
}

function heldPlace({ queries, prepare }: Statements) {
  return prepare(() => queries.selectFrom('pawl_dispatch').select(dispatchColumns).forNoKeyUpdate())
}

/** In a way that those who append to it do not wait for. */
function keepingLog({ queries, prepare }: Statements) {
  return prepare(() =>
    queries.selectFrom('pawl_log').select('pruned').where('id', '=', 1).forKeyShare(),
  )
}

function moving({ queries, prepare }: Statements) {
  return prepare((slot: Slot<keyof DispatchRow | 'atPosition' | 'atWithin' | 'atRevision'>) =>
    queries
      .updateTable('pawl_dispatch')
      .set({ position: slot('position'), within: slot('within'), revision: slot('revision') })
      .where('position', '=', slot('atPosition'))
      .where('within', '=', slot('atWithin'))
      .where('revision', '=', slot('atRevision')),
  )
}
