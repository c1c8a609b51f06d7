/** How are resources locked so that nobody waits for anybody in a circle? @module */

import type { ResourceRow } from '../../core/rows.ts'
import { resourceColumns, toResourceRow } from '../columns.ts'
import type { Placed } from '../queries.ts'
import type { Asked } from './answers.ts'
import type { Session } from './session.ts'
import { anyOf, type Prepared, type Slot, type Statements } from './statement.ts'

/** Whether a resource may be changed, or only has to stay as it is until the commit. */
export type Mode = 'own' | 'fixed'

/** What a plan needs from its beginning on, as far as earlier attempts have shown. */
export interface Needs {
  readonly resources: Map<string, Mode>
  /** Whether others may append to the log while it reads. */
  head: boolean
}

/** What is known of a plan before its first attempt. */
export function noNeeds(): Needs {
  return { resources: new Map(), head: false }
}

/** What a transaction has locked and read so far. */
export interface Locking {
  readonly needs: Needs
  /** The resources that it has locked. */
  readonly held: Set<string>
  /** The versions of those that it has only read, null where there is none: that is looked at again at the end. */
  readonly seen: Map<string, number | null>
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
 * What is not to be changed is not locked.
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
        locking?.needs.resources.set(id, 'own')
        locking?.held.add(id)
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
  const reading = (lock: 'none' | 'own' | 'own now'): Reading =>
    prepare((slot: Slot<'ids'>) => {
      const rows = queries
        .selectFrom('pawl_resources')
        .select(resourceColumns)
        .where('id', '=', anyOf<string>(slot('ids'), 'text'))
      if (lock === 'none') return rows
      const inOrder = rows.orderBy('id').forNoKeyUpdate()
      return lock === 'own' ? inOrder : inOrder.noWait()
    })
  const [none, first, later] = [reading('none'), reading('own'), reading('own now')]
  const rowsOf = async (statement: Reading, session: Session, ids: readonly string[]) =>
    ids.length === 0 ? [] : (await statement.all(session, { ids })).map(toResourceRow)
  return async (session, asked, locking) => {
    const askedFor = asked.map(({ id }) => id)
    if (locking === null) return rowsOf(none, session, askedFor)
    const isFirst = locking.held.size === 0
    const { own, fixed } = toBeRead(asked, locking)
    const held = await rowsOf(isFirst ? first : later, session, own)
    const seen = await rowsOf(none, session, fixed)
    for (const id of own) locking.held.add(id)
    for (const id of fixed) locking.seen.set(id, null)
    for (const { id, version } of seen) locking.seen.set(id, version)
    return [...held, ...seen]
  }
}

/** Of what is needed, that which has not been read yet: at first, all that earlier attempts came to need. */
function toBeRead(asked: readonly Asked<'resource'>[], { needs, held, seen }: Locking) {
  const { resources } = needs
  for (const { id, fixed } of asked)
    if (resources.get(id) !== 'own') resources.set(id, fixed ? 'fixed' : 'own')
  const ids = held.size === 0 ? [...resources.keys()] : asked.map(({ id }) => id)
  const wanted = (mode: Mode) =>
    ids.filter((id) => resources.get(id) === mode && !held.has(id) && !seen.has(id))
  return { own: wanted('own'), fixed: wanted('fixed') }
}
