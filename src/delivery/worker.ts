/** Who gives out the log, verifies and delivers, and when? @module */

import { isPawlError } from '../errors.ts'
import { beginLife, type Life } from '../runtime/running.ts'
import { aborted, firstOf, nextTurn, type Source } from '../runtime/wait.ts'
import type { Deliverer } from './deliverer.ts'
import { createWork, inTurn, newSignal, takeTurn, type Work, writeFinished } from './work.ts'

/** Delivers. */
export interface Worker {
  /** Delivers from now on what there is and what comes. */
  start(): void
  /** Begins nothing more; resolves when what is under way has ended, or has been given up. */
  stop(): Promise<void>
  /** Does what is due now, and waits for it. */
  drain(): Promise<void>
  /** Gives out the log as far as it reaches. */
  dispatch(): Promise<void>
  /** Has the loop look again. */
  wake(): void
}

/** Creates the worker of an engine; it does nothing until it is asked to. */
export function createWorker(deliverer: Deliverer): Worker {
  const work = createWork(deliverer)
  let running: AbortController | null = null
  // One loop after the other: the end of one gives up what is under way.
  let over: Promise<void> = Promise.resolve()
  return {
    start: () => {
      if (running !== null) return
      running = new AbortController()
      const life = beginLife(deliverer.context, running.signal)
      over = over.then(() => lived(work, life, 0, () => goOn(work, life)))
    },
    stop: async () => {
      running?.abort()
      running = null
      await over
      // What a failed drain has left.
      if (work.underWay.size + work.finished.length > 0) await finishUp(work, 0)
    },
    drain: async () => {
      const life = beginLife(deliverer.context)
      work.draining += 1
      try {
        await lived(work, life, 1, () => untilDone(work, life))
      } finally {
        work.draining -= 1
      }
    },
    dispatch: () =>
      inTurn(work, async () => {
        while (await work.dispatcher.advance()) await nextTurn()
      }),
    wake: work.bell.ring,
  }
}

/** Works until the life ends, and then ends what is under way; `drains` is how many drains this is. */
async function lived(
  work: Work,
  life: Life,
  drains: number,
  go: () => Promise<void>,
): Promise<void> {
  try {
    await go()
    if (life.signal.aborted) await finishUp(work, drains)
  } finally {
    life.end()
  }
}

// How long the database is left alone after it has failed, and how long what is under way may still take at the end.
const PAUSE_MS = 1000
const GRACE_MS = 2000

// How late a first destination may be noticed.
const UNFOLLOWED_MS = 50

function pause(milliseconds: number): Source {
  return (ring) => {
    const timeout = setTimeout(ring, milliseconds)
    return () => clearTimeout(timeout)
  }
}

async function goOn(work: Work, life: Life): Promise<void> {
  const { context } = work.deliverer
  while (!life.signal.aborted) {
    const [arrivals, rung] = [context.arrivals.count(), work.bell.count()]
    await gather(work)
    const next = await turnOrPause(work, life)
    if (next === 'now') continue
    const sources = [
      aborted(life.signal),
      work.bell.since(rung),
      (ring: () => void) => (next === null ? () => {} : context.clock.alarm(next, ring)),
    ]
    // Where nobody wants events, commits are not looked at one by one.
    if (!work.dispatcher.isFollowed()) await firstOf(...sources, pause(UNFOLLOWED_MS))
    await firstOf(...sources, (ring) => context.arrivals.next(arrivals, ring))
  }
}

// How long what has ended waits for others, in milliseconds: a commit takes as long as sending dozens of requests.
const GATHERED_MS = 2

/** Waits until all that began together has ended, so that one commit takes it all; but not for what hangs. */
async function gather(work: Work): Promise<void> {
  const isWhole = () => work.latest.left === 0
  await nextTurn()
  if (work.finished.length === 0 || isWhole()) return
  await firstOf(work.bell.once(isWhole), pause(GATHERED_MS))
}

/** Takes a turn; gives when to look again at the latest, `now` where there is more. A database that fails may recover. */
async function turnOrPause(work: Work, life: Life): Promise<number | 'now' | null> {
  const { context } = work.deliverer
  try {
    const { isMore, now } = await inTurn(work, () => takeTurn(work, life.signal))
    return isMore ? 'now' : ((await context.store.nextDeliveryAt(now)) ?? null)
  } catch (error) {
    if (!isPawlError(error, 'closed')) context.onError(error)
    await firstOf(aborted(life.signal), pause(PAUSE_MS))
    return 'now'
  }
}

async function untilDone(work: Work, life: Life): Promise<void> {
  while (!life.signal.aborted) {
    const rung = work.bell.count()
    await gather(work)
    const { isMore } = await inTurn(work, () => takeTurn(work, life.signal))
    // What ended while the turn went on may have written something that it did not see.
    if (isMore || work.bell.count() > rung) continue
    if (work.underWay.size === 0 && work.finished.length === 0) return
    await firstOf(aborted(life.signal), work.bell.since(rung))
  }
}

/** Waits a little for what is under way, gives up the rest, and writes what has come of it. */
async function finishUp(work: Work, drains: number): Promise<void> {
  // Others who drain wait for it, and would send at once again what is given up.
  if (work.draining > drains) return
  const giveUp = setTimeout(() => work.giveUp.abort(), GRACE_MS)
  await Promise.all(work.underWay)
  clearTimeout(giveUp)
  work.giveUp = newSignal()
  // What cannot be written any more is tried again when its lease has run out.
  await inTurn(work, writeFinished).catch(work.deliverer.context.onError)
}
