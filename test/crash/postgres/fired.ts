/** Has every timer fired once that no change of status has canceled? @module */

import type pg from 'pg'
import { expect } from 'vitest'
import type { Difference } from '../../../src/core/entries.ts'
import { TIMERS } from '../aftermath.ts'

/** A change of a resource, as the log has it. */
interface Change {
  readonly id: string
  readonly seq: number
  /** Whether it led to another status. */
  readonly moves: boolean
  readonly at: number
  readonly difference: Difference
}

/** When the timers of a resource are due, by their names: those that have neither fired nor been canceled. */
type Pending = Map<string | null, number>

/** Checks that no timer is left, and what each has come to; gives how many have fired. */
export async function expectTimersOnce(raw: pg.Pool): Promise<number> {
  const changes = await changesIn(raw)
  const resources = new Map<string, Pending>(changes.map(({ id }) => [id, new Map()]))
  const wrong = changes.flatMap((change) => {
    const found = goOn(resources.get(change.id) ?? new Map(), change)
    return found.map((what) => `${change.id} ${what} at ${change.seq}`)
  })
  const left = [...resources].filter(([, pending]) => pending.size > 0)
  expect({ wrong, left }).toEqual({ wrong: [], left: [] })
  await expectNobodyWaits(raw)
  return changes.filter(({ difference }) => difference.fired !== undefined).length
}

/** Each entry into a status that has timers sets them; what leaves it is one of them, or cancels them. */
function goOn(pending: Pending, { at, moves, difference }: Change): string[] {
  const { fired, timers = [], final = false } = difference
  const wrong: string[] = []
  const before = pending.size
  if (fired !== undefined) {
    const [name, dueAt] = fired
    if (pending.get(name) !== dueAt) wrong.push(`has fired ${name}, which was not to fire any more`)
    if (at < dueAt) wrong.push(`has fired ${name} too early`)
    pending.delete(name)
  }
  const [set, canceled] = [timers.filter(isSet), timers.filter((timer) => !isSet(timer))]
  for (const [name] of canceled) pending.delete(name)
  if (final) pending.clear()
  if (pending.size < before && !moves) wrong.push('has lost a timer and kept its status')
  if (set.some(([name]) => pending.has(name))) wrong.push('has set a timer that it had')
  for (const [name, dueAt] of set) pending.set(name, dueAt)
  return wrong
}

type Mark = NonNullable<Difference['timers']>[number]

function isSet(mark: Mark): mark is Exclude<Mark, readonly [string]> {
  return mark.length > 1
}

async function changesIn(raw: pg.Pool): Promise<Change[]> {
  const { rows } = await raw.query(
    `select resource_id as id, seq::int, previous_status is not null as moves, created_at::float8 as at,
       change::json as difference
     from pawl_events where change is not null order by seq`,
  )
  return rows
}

/** Whoever has come to a status with timers has left it again: also where a timer was not even set. */
async function expectNobodyWaits(raw: pg.Pool): Promise<void> {
  const { rows: waiting } = await raw.query(
    `select id, type, status from pawl_resources where type || ' ' || status = any ($1)`,
    [Object.keys(TIMERS)],
  )
  expect({ waiting }).toEqual({ waiting: [] })
}
