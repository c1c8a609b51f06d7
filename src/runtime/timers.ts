/** Who sends the commands of timers when they are due? @module */

import type { Commit, Context } from '../context.ts'
import { planTimer } from '../core/plan.ts'
import type { TimerChange, TimerRow } from '../core/rows.ts'
import { type ErrorCode, isPawlError, messageOf } from '../errors.ts'
import type { DuePlace } from '../store/queries.ts'
import { forgetOutcomes } from './outcomes.ts'

// Timers that are fired together share transactions.
const CHUNK = 256

/** Fires timers as long as it may; tells how many. */
type Firing = (context: Context, goesOn: () => boolean) => Promise<number>

/** Fires every timer that is due, in the order of their due times; tells how many. */
export async function fireDue(context: Context, goesOn = () => true): Promise<number> {
  const free = await fireFree(context, goesOn)
  // Whoever is at what is left may fail: that is waited for.
  return free + (await fireRest(context, goesOn))
}

/** Goes once through what is due and passes over what others are at: so several processes share it. */
async function fireFree(context: Context, goesOn: () => boolean): Promise<number> {
  let fired = 0
  let due: readonly TimerRow[] = []
  do {
    due = await nextDue(context, due.at(-1))
    fired += await fireAll(context, due, true)
  } while (due.length === CHUNK && goesOn())
  return fired
}

/** Fires until nothing is due. */
async function fireRest(context: Context, goesOn: () => boolean): Promise<number> {
  let fired = 0
  while (goesOn()) {
    const due = await nextDue(context)
    if (due.length === 0) break
    fired += await fireAll(context, due, false)
  }
  return fired
}

function nextDue({ store, clock }: Context, after?: DuePlace): Promise<readonly TimerRow[]> {
  return store.dueTimers(clock.now().getTime(), CHUNK, after)
}

async function fireAll(
  context: Context,
  due: readonly TimerRow[],
  ifFree: boolean,
): Promise<number> {
  const outcomes = await Promise.all(due.map((timer) => fire(context, timer, ifFree)))
  return outcomes.filter(Boolean).length
}

/** Fires one timer in a scope of its own: if it fails it is tried again later and holds nobody up. */
async function fire(context: Context, timer: TimerRow, ifFree: boolean): Promise<boolean> {
  const caller = { tenant: timer.tenant, actor: null, correlationId: null }
  const { position } = timer
  try {
    return (await context.writer.submit(caller, (run) => planTimer(run, position, ifFree))).value
  } catch (error) {
    if (isPawlError(error) && NOT_THE_TIMERS_FAULT.has(error.code)) throw error
    await postpone(context, timer, error)
    return false
  }
}

const NOT_THE_TIMERS_FAULT: ReadonlySet<ErrorCode> = new Set([
  'closed',
  'indeterminate',
  'storage_busy',
  'storage_corrupt',
  'storage_full',
])

// A failed timer waits a second, then twice as long each time, up to an hour.
const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 3_600_000

async function postpone(
  context: Context,
  { position, attempts }: TimerRow,
  error: unknown,
): Promise<void> {
  const wait = Math.min(FIRST_WAIT_MS * 2 ** attempts, LONGEST_WAIT_MS)
  const message = messageOf(error)
  await context.store.postponeTimer(position, context.clock.now().getTime() + wait, message)
  context.onError(error)
}

/** Fires what is due and forgets what is past its time, once; tells how many timers fired. */
export async function tick(context: Context): Promise<{ readonly fired: number }> {
  const fired = await fireDue(context)
  await forgetOutcomes(context, () => true)
  return { fired }
}

/** Fires timers while it runs. */
export interface TimerLoop {
  /** Resolves when the timers that were due have fired. */
  start(): Promise<void>
  /** Resolves when the timers that are being fired have been settled. */
  stop(): Promise<void>
}

// Other processes may set timers in the same database: look at least this often. It also keeps
// every sleep far below 2³¹ ms, from where `setTimeout` fires at once.
const LONGEST_SLEEP_MS = 250

// Outcomes are kept for a day: nobody notices a minute more.
const FORGET_EVERY_MS = 60_000

/** A loop that is under way. */
interface Loop {
  running: boolean
  forgetAt: number
  sleep: Sleep
  over: Promise<void>
}

/** Creates the loop of an engine; it does nothing until it is started. */
export function createTimerLoop(context: Context): TimerLoop {
  let loop: Loop | null = null
  const wakeForEarlier = ({ timers }: Commit): void => {
    const isEarlier = (change: TimerChange) =>
      change.change === 'set' && loop !== null && change.timer.dueAt < loop.sleep.until
    if (timers.some(isEarlier)) loop?.sleep.wake()
  }
  return {
    start: async () => {
      if (loop !== null) return
      const started: Loop = {
        running: true,
        forgetAt: 0,
        sleep: sleepUntil(0),
        over: Promise.resolve(),
      }
      loop = started
      context.listeners.add(wakeForEarlier)
      const next = await turn(context, started, fireDue)
      started.over = goOn(context, started, next)
    },
    stop: async () => {
      const stopped = loop
      if (stopped === null) return
      loop = null
      stopped.running = false
      context.listeners.delete(wakeForEarlier)
      stopped.sleep.wake()
      await stopped.over
    },
  }
}

async function goOn(context: Context, loop: Loop, first: number): Promise<void> {
  let next = first
  while (loop.running) {
    loop.sleep = sleepUntil(next, next - context.clock.now().getTime())
    await loop.sleep.over
    if (loop.running) next = await turn(context, loop, fireFree)
  }
}

interface Sleep {
  readonly until: number
  readonly over: Promise<void>
  readonly wake: () => void
}

function sleepUntil(until: number, milliseconds = 0): Sleep {
  let wake = () => {}
  const over = new Promise<void>((resolve) => {
    const timeout = setTimeout(resolve, Math.max(0, milliseconds))
    wake = () => {
      clearTimeout(timeout)
      resolve()
    }
  })
  return { until, over, wake }
}

// What others are at is looked at again so much later, in milliseconds: they may be at it for long.
const PASSED_OVER_MS = 20

/** Fires what is due and says when to look again. Never throws: a busy or full database may recover. */
async function turn(context: Context, loop: Loop, fire: Firing): Promise<number> {
  const latest = latestTurn(context)
  const goesOn = () => loop.running
  try {
    const fired = await fire(context, goesOn)
    if (latest >= loop.forgetAt) {
      loop.forgetAt = latest + FORGET_EVERY_MS
      await forgetOutcomes(context, goesOn)
    }
    const next = (await context.store.nextTimerAt()) ?? latest
    const now = context.clock.now().getTime()
    return Math.min(fired === 0 && next <= now ? now + PASSED_OVER_MS : next, latest)
  } catch (error) {
    if (!isPawlError(error, 'closed')) context.onError(error)
    return latest
  }
}

function latestTurn({ clock }: Context): number {
  return clock.now().getTime() + LONGEST_SLEEP_MS
}
