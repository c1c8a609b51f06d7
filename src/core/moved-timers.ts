/** Which timers does a resource have after its migration? @module */

import { dueAfter, type TimerEffect } from './decide.ts'
import { calling, type Kind } from './kind.ts'
import type { ResourceRow, Timer } from './rows.ts'
import { snapshotOf } from './state.ts'
import { AFTER, type StateNode } from './structure.ts'
import { lastingSelf } from './xstate.ts'

/** The timer of an `after` that a state declares. */
interface After {
  readonly name: string
  readonly delay: string | number
}

type Pending = Timer & { readonly name: string }

/**
 * What to do with the timers of a resource that has just been migrated.
 *
 * Those of active states keep their deadlines, also under the new name where their state goes by
 * another one. Those of other states are canceled, those that are lacking are set anew. Timers of
 * delayed raises stay as they are.
 */
export function moveTimers(kind: Kind, row: ResourceRow, pending: readonly Timer[]): TimerEffect[] {
  const afters = pending.filter(isOfAfter)
  const wanted = aftersOf(kind, row)
  const left = without(afters, wanted)
  const moved = new Set<Pending>()
  const sets = without(wanted, afters).map((after): TimerEffect => {
    const former = formerOf(kind, after, left, moved)
    if (former !== undefined) moved.add(former)
    const dueAt = former?.dueAt ?? dueAfter(kind, row.updatedAt, delayOf(kind, row, after.delay))
    return { effect: 'set', name: after.name, event: { type: after.name }, dueAt }
  })
  return [...left.map(({ name }): TimerEffect => ({ effect: 'cancel', name })), ...sets]
}

function isOfAfter(timer: Timer): timer is Pending {
  return timer.name?.startsWith(AFTER) ?? false
}

function without<T extends { readonly name: string }>(
  some: readonly T[],
  others: readonly { readonly name: string }[],
): T[] {
  const names = new Set(others.map(({ name }) => name))
  return some.filter(({ name }) => !names.has(name))
}

function aftersOf(kind: Kind, row: ResourceRow): After[] {
  const active: readonly StateNode[] = row.final ? [] : snapshotOf(kind, row)._nodes
  return active.flatMap(({ id, config }) =>
    Object.keys(config.after ?? {}).map((key) => {
      // XState names a timer after the number, not after its text.
      const delay = Number.isNaN(Number(key)) ? key : Number(key)
      return { name: `${AFTER}${delay}.${id}`, delay }
    }),
  )
}

/** The timer that a state has had under a name which is gone: with the same delay, and most alike in name. */
function formerOf(
  kind: Kind,
  { name, delay }: After,
  left: readonly Pending[],
  moved: ReadonlySet<Pending>,
): Pending | undefined {
  const start = `${AFTER}${delay}.`
  const formers = left.filter(
    (timer) =>
      !moved.has(timer) &&
      timer.name.startsWith(start) &&
      !kind.nodes.has(timer.name.slice(start.length)),
  )
  const likeness = new Map(formers.map((timer) => [timer, commonEnding(timer.name, name)]))
  const most = Math.max(...likeness.values())
  return formers.find((timer) => likeness.get(timer) === most)
}

function commonEnding(one: string, other: string): number {
  let length = 0
  while (length < one.length && one.at(-1 - length) === other.at(-1 - length)) length += 1
  return length
}

function delayOf(kind: Kind, row: ResourceRow, delay: string | number): number {
  if (typeof delay === 'number') return delay
  const implemented: unknown = kind.machine.implementations.delays[delay]
  if (typeof implemented !== 'function') return Number(implemented)
  const args = {
    context: JSON.parse(row.context),
    event: { type: 'migrate' },
    self: lastingSelf({ id: row.id, time: row.updatedAt }),
  }
  return calling(kind, `delay "${delay}"`, () => implemented(args))
}
