/** How are resources locked so that nobody waits for anybody in a circle? @module */

import type { ResourceRow } from '../../core/rows.ts'
import { resourceColumns, toResourceRow } from '../columns.ts'
import type { Placed } from '../queries.ts'
import type { Asked } from './answers.ts'
import type { Session } from './session.ts'
import { anyOf, type Prepared, type Slot, type Statements } from './statement.ts'

/** Whether a row may be changed, or only stays as it is. */
export type Mode = 'own' | 'fixed'

/** The locks of a transaction. */
export interface Locking {
  /** What is needed, as far as it is known: from earlier attempts as well. */
  readonly needed: Map<string, Mode>
  /** What is held. */
  readonly held: Map<string, Mode>
}

/** Reads resources, and locks them. */
export interface Locker {
  /** As `locking` says; null where nothing is locked. */
  lock(
    session: Session,
    asked: readonly Asked<'resource'>[],
    locking: Locking | null,
  ): Promise<readonly Placed<ResourceRow>[]>
  /** Those of timers, to be changed, but for what others have locked; with the positions of the timers. */
  lockFree(
    session: Session,
    asked: readonly Asked<'timer'>[],
    locking: Locking | null,
  ): Promise<readonly OfTimer[]>
}

/** A timer, and the resource that it belongs to. */
interface OfTimer {
  readonly timer: number
  readonly row: Placed<ResourceRow>
}

type Reading = Prepared<'ids', object>

/**
 * Prepares locking. Whoever waits for a lock holds no other but in the order of ids: what is locked first is locked
 * in that order, all at once; what turns out to be needed later is not waited for. Where it is not free, the
 * transaction is done again, and then it is known from the start. What is only taken if it is free makes nobody wait.
 */
export function createLocker(statements: Statements): Locker {
  const ownersOfTimers = freeOwners(statements)
  return {
    lock: createLock(statements),
    lockFree: async (session, asked, locking) => {
      if (asked.length === 0) return []
      const positions = asked.map(({ position }) => position)
      const rows = await ownersOfTimers.all(session, { positions })
      for (const { id } of rows) {
        locking?.needed.set(id, 'own')
        locking?.held.set(id, 'own')
      }
      return rows.map(({ timer, ...columns }) => ({ timer, row: toResourceRow(columns) }))
    },
  }
}

const columns = resourceColumns.map((column) => `resource.${column}` as const)

function freeOwners({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'positions'>) =>
    queries
      .selectFrom('pawl_timers as timer')
      .innerJoin('pawl_resources as resource', 'resource.id', 'timer.resource_id')
      .select(columns)
      .select('timer.position as timer')
      .where('timer.position', '=', anyOf<number>(slot('positions'), 'bigint'))
      .forNoKeyUpdate('resource')
      .skipLocked(),
  )
}

function createLock({ queries, prepare }: Statements): Locker['lock'] {
  const reading = (lock: 'none' | 'own' | 'own now' | 'fixed now'): Reading =>
    prepare((slot: Slot<'ids'>) => {
      const rows = queries
        .selectFrom('pawl_resources')
        .select(resourceColumns)
        .where('id', '=', anyOf<string>(slot('ids'), 'text'))
      const inOrder = rows.orderBy('id')
      if (lock === 'own') return inOrder.forNoKeyUpdate()
      if (lock === 'own now') return inOrder.forNoKeyUpdate().noWait()
      return lock === 'fixed now' ? inOrder.forShare().noWait() : rows
    })
  const none = reading('none')
  const first = { own: reading('own'), fixed: reading('fixed now') }
  const later = { own: reading('own now'), fixed: first.fixed }
  const rowsOf = async (statement: Reading, session: Session, ids: readonly string[]) =>
    ids.length === 0 ? [] : (await statement.all(session, { ids })).map(toResourceRow)
  return async (session, asked, locking) => {
    const askedFor = asked.map(({ id }) => id)
    if (locking === null) return rowsOf(none, session, askedFor)
    const { needed, held } = locking
    for (const question of asked) need(needed, question)
    const statements = held.size === 0 ? first : later
    // Of earlier attempts, all that they came to need; after that, what is asked for.
    const ids = held.size === 0 ? [...needed.keys()] : askedFor
    const wanted = (mode: Mode) => ids.filter((id) => needed.get(id) === mode)
    const own = await rowsOf(statements.own, session, wanted('own'))
    const fixed = await rowsOf(statements.fixed, session, wanted('fixed'))
    for (const id of ids) held.set(id, needed.get(id) ?? 'own')
    return [...own, ...fixed]
  }
}

function need(needed: Map<string, Mode>, { id, fixed }: Asked<'resource'>): void {
  if (needed.get(id) !== 'own') needed.set(id, fixed ? 'fixed' : 'own')
}
