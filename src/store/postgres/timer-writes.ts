/** How does PostgreSQL set timers and do away with them, many at once? @module */

import { sql } from 'kysely'
import type { Timer, TimerChange } from '../../core/rows.ts'
import {
  type Columns,
  columnNames,
  exactly,
  fieldsOf,
  recordset,
  toRecordset,
} from './recordset.ts'
import type { Session } from './session.ts'
import { anyOf, type Slot, type Statements, unlessEmpty } from './statement.ts'

/** What a list of changes comes to, whatever their order was. */
interface Sum {
  readonly fired: number[]
  readonly cleared: Set<string>
  /** Stored timers that are canceled, or that lose their name, by resource and name. */
  readonly canceled: Map<string, Named>
  readonly renamed: Map<string, Named>
  set: Timer[]
}

type Named = Pick<Timer, 'resourceId'> & { readonly name: string }

/** Prepares the statements that change timers. */
export function createTimerWriter(
  statements: Statements,
): (session: Session, changes: readonly TimerChange[]) => readonly Promise<unknown>[] {
  const [remove, clear] = [removing(statements), clearing(statements)]
  const [cancel, rename, insert] = [
    canceling(statements),
    renaming(statements),
    inserting(statements),
  ]
  return (session, changes) => {
    const { fired, cleared, canceled, renamed, set } = summed(changes)
    return [
      unlessEmpty(fired, (positions) =>
        remove.run(session, { positions, count: positions.length }),
      ),
      unlessEmpty([...cleared], (ids) => clear.run(session, { ids })),
      unlessEmpty([...canceled.values()], (timers) => cancel.run(session, named(timers))),
      unlessEmpty([...renamed.values()], (timers) => rename.run(session, named(timers))),
      unlessEmpty(set, (rows) => insert.run(session, { rows: toRecordset(TIMER, rows) })),
    ]
  }
}

/** Sums up changes: what is set and done away with again leaves no trace. */
function summed(changes: readonly TimerChange[]): Sum {
  const sum: Sum = {
    ...{ fired: [], cleared: new Set(), canceled: new Map(), renamed: new Map(), set: [] },
  }
  for (const change of changes) {
    if (change.change === 'fired') sum.fired.push(change.position)
    else if (change.change === 'clear') clearAll(sum, change.resourceId)
    else if (change.change === 'cancel') cancelOne(sum, change)
    else setOne(sum, change.timer)
  }
  return sum
}

function clearAll(sum: Sum, resourceId: string): void {
  sum.cleared.add(resourceId)
  sum.set = sum.set.filter((timer) => timer.resourceId !== resourceId)
}

function cancelOne(sum: Sum, one: Named): void {
  // One that has lost its name in the meantime goes on.
  if (!sum.renamed.has(keyOf(one))) sum.canceled.set(keyOf(one), one)
  sum.set = sum.set.filter((timer) => !isNamed(timer, one))
}

/** As in XState, an id that is used again names the new timer; the old one goes on without. */
function setOne(sum: Sum, timer: Timer): void {
  const { resourceId, name } = timer
  if (name !== null) {
    const one = { resourceId, name }
    sum.renamed.set(keyOf(one), one)
    sum.set = sum.set.map((other) => (isNamed(other, one) ? { ...other, name: null } : other))
  }
  sum.set.push(timer)
}

function isNamed(timer: Timer, { resourceId, name }: Named): boolean {
  return timer.resourceId === resourceId && timer.name === name
}

function keyOf({ resourceId, name }: Named): string {
  return JSON.stringify([resourceId, name])
}

function named(timers: readonly Named[]) {
  return { ids: timers.map(({ resourceId }) => resourceId), names: timers.map(({ name }) => name) }
}

/** Each of them, or all is undone: another one has fired it. */
function removing({ table, prepare }: Statements) {
  return prepare((slot: Slot<'positions' | 'count'>) =>
    exactly(
      sql`delete from ${table('pawl_timers')} where position = ${anyOf(slot('positions'), 'bigint')}`,
      slot('count'),
    ),
  )
}

function clearing({ queries, prepare }: Statements) {
  return prepare((slot: Slot<'ids'>) =>
    queries.deleteFrom('pawl_timers').where('resource_id', '=', anyOf<string>(slot('ids'), 'text')),
  )
}

function namedOnes(slot: Slot<'ids' | 'names'>) {
  return sql`(resource_id, name) in (
    select * from unnest(${slot('ids')}::text[], ${slot('names')}::text[])
  )`
}

function canceling({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'ids' | 'names'>) =>
      sql`delete from ${table('pawl_timers')} where ${namedOnes(slot)}`,
  )
}

function renaming({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'ids' | 'names'>) =>
      sql`update ${table('pawl_timers')} set name = null where ${namedOnes(slot)}`,
  )
}

const TIMER: Columns = {
  resourceId: ['resource_id', 'text'],
  tenant: ['tenant', 'text'],
  name: ['name', 'text'],
  event: ['event', 'text'],
  dueAt: ['due_at', 'bigint'],
}

/** In the order in which they were set: their positions say so. */
function inserting({ table, prepare }: Statements) {
  return prepare(
    (slot: Slot<'rows'>) => sql`
      insert into ${table('pawl_timers')} (${columnNames(TIMER)}, next_at)
      select ${fieldsOf(TIMER, 'row')}, "row"."dueAt" from ${recordset(TIMER, slot('rows'), 'row')}`,
  )
}
