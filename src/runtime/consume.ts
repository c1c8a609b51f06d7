/** How does a named consumer go through the log, once, with one runner at a time? `consume` @module */

import type { Context } from '../context.ts'
import { isPawlError } from '../errors.ts'
import type { Reader } from '../log/events.ts'
import { momentOfCall, placeFrom } from '../log/place.ts'
import type { ConsumerRow, TakenRow } from '../store/consumers.ts'
import type { ReadEntry } from '../store/queries.ts'
import {
  type ConsumeOptions,
  type EventHandler,
  type Held,
  LeaseLost,
  leaseOf,
  nowOf,
  type Runner,
  requireHeld,
  toRunner,
} from './consumer.ts'
import { readOn } from './follow.ts'
import { handle, handleParked } from './handling.ts'
import { beginLife } from './running.ts'
import { aborted, firstOf } from './wait.ts'

/**
 * Gives a handler every event, in order, at least once; resolves when it has been stopped.
 *
 * Its position is stored under its name: the next runner goes on from there. While another runner
 * has the name, here or in another process, this one stands by and takes over when that one ends.
 */
export async function consume(
  context: Context,
  reader: Reader,
  name: string,
  options: ConsumeOptions,
  handler: EventHandler,
): Promise<void> {
  const now = momentOfCall(context)
  const { from = 'start', ...runner } = await toRunner(context, reader, name, options, handler)
  const known = await context.store.findConsumer(runner.consumer)
  const position = known?.position ?? (await placeFrom(context, reader, from, now))
  const life = beginLife(context, options.signal)
  try {
    while (!life.signal.aborted) await takeTurn({ ...runner, life }, position)
  } finally {
    life.end()
  }
}

// How long a consumer waits after the database has failed it, in milliseconds.
const PAUSE_MS = 1000

/** Runs the consumer as long as the lease holds, or waits for it. A database that fails may recover. */
async function takeTurn(runner: Runner, position: number): Promise<void> {
  const { context, life } = runner
  try {
    const row = await takeLease(runner, position)
    if (row !== undefined) await withLease(runner, row)
  } catch (error) {
    if (error instanceof LeaseLost || (isPawlError(error, 'closed') && life.signal.aborted)) return
    if (!isPawlError(error) || !mayPass(error.code)) throw error
    context.onError(error)
    const until = nowOf(context) + PAUSE_MS
    await firstOf(aborted(life.signal), (ring) => context.clock.alarm(until, ring))
  }
}

function mayPass(code: string): boolean {
  return code === 'indeterminate' || code.startsWith('storage_')
}

/** Takes the lease, once nobody else has it; undefined when the consumer has to stop before. */
async function takeLease(runner: Runner, position: number): Promise<TakenRow | undefined> {
  const { context, consumer, owner, lease, life } = runner
  while (!life.signal.aborted) {
    const seen = context.arrivals.count()
    const known = await context.store.findConsumer(consumer)
    const now = nowOf(context)
    if (known === undefined || isFree(known, owner, now)) {
      const row = await context.store.takeConsumer(
        { ...consumer, owner, position },
        now,
        now + lease,
      )
      if (row !== undefined) return row
    }
    const until = known?.leasedUntil ?? now
    await firstOf(
      aborted(life.signal),
      (ring) => context.arrivals.next(seen, ring),
      (ring) => context.clock.alarm(until, ring),
    )
  }
  return undefined
}

/** Whether nobody has it but this owner, who may have failed to give it up. */
function isFree(known: ConsumerRow, owner: string, now: number): boolean {
  return known.owner === null || known.owner === owner || known.leasedUntil <= now
}

async function withLease(runner: Runner, row: TakenRow): Promise<void> {
  const { context } = runner
  const held: Held = { ...row, until: row.leasedUntil, stored: row.position, storeAt: 0 }
  try {
    await goOn(runner, held)
  } finally {
    // Given up at once, where that is possible; otherwise it runs out.
    await release(runner, held).catch(() => {})
    context.arrivals.announce()
  }
}

async function release({ context: { store } }: Runner, held: Held): Promise<void> {
  // Where an event fails, the position stays behind it with all that is known of its failures.
  const isAhead = held.position !== held.stored && held.attempts === 0
  if (isAhead) await store.advanceConsumer(leaseOf(held), held.position)
  await store.releaseConsumer(leaseOf(held))
}

async function goOn(runner: Runner, held: Held): Promise<void> {
  const { context, filter, life } = runner
  while (!life.signal.aborted) {
    const seen = context.arrivals.count()
    if (await handleParked(runner, held)) continue
    const { entries, position, isEnd } = await readOn(context, filter, held.position)
    await handleAll(runner, held, entries)
    if (life.signal.aborted) return
    moveTo(runner, held, position)
    await keepLease(runner, held)
    if (isEnd && entries.length === 0) await waitForMore(runner, held, seen)
  }
}

function moveTo({ context }: Runner, held: Held, position: number): void {
  if (held.position === held.stored) held.storeAt = nowOf(context) + STORE_AFTER_MS
  held.position = position
}

async function handleAll(runner: Runner, held: Held, entries: readonly ReadEntry[]): Promise<void> {
  const { life } = runner
  for (const entry of entries) {
    await handle(runner, held, entry)
    while (!life.signal.aborted && (await handleParked(runner, held))) {}
    if (life.signal.aborted) return
  }
}

// Events that do not concern a consumer move its position on in memory. It is stored this many
// milliseconds later, or this many places.
const STORE_AFTER_MS = 200
const STORE_AFTER_PLACES = 1000

/** When the lease is to be extended, or the position stored, whichever comes first. */
function writeDue({ lease }: Runner, { until, position, stored, storeAt }: Held): number {
  const renewal = until - (lease * 2) / 3
  if (position === stored) return renewal
  return position - stored >= STORE_AFTER_PLACES ? 0 : Math.min(renewal, storeAt)
}

/** Stores the position and extends the lease, where one of the two is due. */
async function keepLease(runner: Runner, held: Held): Promise<void> {
  const { context, lease } = runner
  const now = nowOf(context)
  if (now < writeDue(runner, held)) return
  held.until = now + lease
  requireHeld(await context.store.advanceConsumer(leaseOf(held), held.position))
  held.stored = held.position
}

function waitForMore(runner: Runner, held: Held, seen: number): Promise<void> {
  const { context, life } = runner
  return firstOf(
    aborted(life.signal),
    (ring) => context.arrivals.next(seen, ring),
    (ring) =>
      context.clock.alarm(writeDue(runner, held), () => {
        // The alarm is believed rather than the clock, which may stand still.
        held.storeAt = 0
        ring()
      }),
  )
}
