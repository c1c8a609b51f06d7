/** Who gives out the log, verifies and delivers, and when? @module */

import { setMaxListeners } from 'node:events'
import { isPawlError } from '../errors.ts'
import { beginLife, type Life } from '../runtime/running.ts'
import { aborted, firstOf, nextTurn } from '../runtime/wait.ts'
import type { ClaimedRow } from '../store/deliveries.ts'
import { attempt } from './attempt.ts'
import { type Bell, createBell } from './bell.ts'
import { chooseTurns, type Turn } from './claim.ts'
import type { Deliverer } from './deliverer.ts'
import { createDispatcher, type Dispatcher } from './dispatch.ts'
import { createLanes, type Lanes } from './lanes.ts'
import { type Finished, settle } from './settle.ts'
import { verifyDue } from './verification.ts'

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

/** What a worker is at. */
interface Work {
  readonly deliverer: Deliverer
  readonly dispatcher: Dispatcher
  readonly lanes: Lanes
  /** Rings when something has ended. */
  readonly bell: Bell
  /** Attempts and verifications. */
  readonly underWay: Set<Promise<void>>
  /** What has ended and is not written yet. */
  readonly finished: Finished[]
  /** Aborted when what is under way is given up. */
  giveUp: AbortController
  /** Turns come one after the other. */
  turning: Promise<unknown>
}

/** Creates the worker of an engine; it does nothing until it is asked to. */
export function createWorker(deliverer: Deliverer): Worker {
  const work: Work = {
    deliverer,
    dispatcher: createDispatcher(deliverer),
    lanes: createLanes(deliverer.settings.concurrency),
    bell: createBell(),
    underWay: new Set(),
    finished: [],
    giveUp: newSignal(),
    turning: Promise.resolve(),
  }
  let running: { readonly stop: AbortController; readonly over: Promise<void> } | null = null
  return {
    start: () => {
      if (running !== null) return
      const stop = new AbortController()
      const life = beginLife(deliverer.context, stop.signal)
      running = { stop, over: lived(work, life, () => goOn(work, life)) }
    },
    stop: async () => {
      const stopped = running
      running = null
      stopped?.stop.abort()
      await stopped?.over
    },
    drain: () => {
      const life = beginLife(deliverer.context)
      return lived(work, life, () => untilDone(work, life))
    },
    dispatch: () =>
      inTurn(work, async () => {
        while (await work.dispatcher.advance()) await nextTurn()
      }),
    wake: work.bell.ring,
  }
}

/** Aborts what is under way. */
function newSignal(): AbortController {
  const controller = new AbortController()
  // One for each attempt.
  setMaxListeners(0, controller.signal)
  return controller
}

/** Works until the life ends, and then ends what is under way. */
async function lived(work: Work, life: Life, go: () => Promise<void>): Promise<void> {
  try {
    await go()
    if (life.signal.aborted) await finishUp(work)
  } finally {
    life.end()
  }
}

// How long the database is left alone after it has failed, and how long what is under way may still take at the end.
const PAUSE_MS = 1000
const GRACE_MS = 2000

async function goOn(work: Work, life: Life): Promise<void> {
  const { context } = work.deliverer
  while (!life.signal.aborted) {
    const [arrivals, rung] = [context.arrivals.count(), work.bell.count()]
    await gather(work)
    const next = await turnOrPause(work, life)
    if (next === 'now') continue
    await firstOf(
      aborted(life.signal),
      work.bell.since(rung),
      (ring) => context.arrivals.next(arrivals, ring),
      (ring) => (next === null ? () => {} : context.clock.alarm(next, ring)),
    )
  }
}

// How long what has ended waits for others, in milliseconds: a commit takes as long as sending dozens of requests.
const GATHERED_MS = 2

/** Waits until what has ended is worth a commit: as much as is still under way, or as much as comes within a moment. */
async function gather({ bell, finished, underWay }: Work): Promise<void> {
  const isWorthIt = () => finished.length >= underWay.size
  await nextTurn()
  if (finished.length === 0 || isWorthIt()) return
  await firstOf(bell.once(isWorthIt), (ring) => {
    const moment = setTimeout(ring, GATHERED_MS)
    return () => clearTimeout(moment)
  })
}

/** Takes a turn; gives when to look again at the latest, `now` where there is more. A database that fails may recover. */
async function turnOrPause(work: Work, life: Life): Promise<number | 'now' | null> {
  const { context } = work.deliverer
  try {
    if (await inTurn(work, takeTurn)) return 'now'
    return (await context.store.nextDeliveryAt(context.clock.now().getTime())) ?? null
  } catch (error) {
    if (!isPawlError(error, 'closed')) context.onError(error)
    await firstOf(aborted(life.signal), (ring) => {
      const pause = setTimeout(ring, PAUSE_MS)
      return () => clearTimeout(pause)
    })
    return 'now'
  }
}

async function untilDone(work: Work, life: Life): Promise<void> {
  while (!life.signal.aborted) {
    const rung = work.bell.count()
    await gather(work)
    if (await inTurn(work, takeTurn)) continue
    if (work.underWay.size === 0 && work.finished.length === 0) return
    await firstOf(aborted(life.signal), work.bell.since(rung))
  }
}

/** One turn after the other, whoever asks for it. */
function inTurn<T>(work: Work, act: (work: Work) => Promise<T>): Promise<T> {
  const next = work.turning.then(() => act(work))
  work.turning = next.catch(() => {})
  return next
}

/** Gives out, verifies, writes what has ended and begins what is due; tells whether there is more to do at once. */
async function takeTurn(work: Work): Promise<boolean> {
  const { deliverer, dispatcher, lanes } = work
  const { store, clock } = deliverer.context
  const isMore = await dispatcher.advance()
  const verifications = await verifyDue(deliverer, work.giveUp.signal, (one) => watch(work, one))
  const now = clock.now().getTime()
  const finished = [...work.finished]
  const settlements = await settle(deliverer, finished)
  const turns = await chooseTurns(deliverer, lanes, now)
  const wishes = turns.map(({ wish }) => wish)
  const isIdle = settlements.length + wishes.length === 0
  const claimed = isIdle ? [] : await store.settleAndClaim(settlements, wishes, now)
  work.finished.splice(0, finished.length)
  for (const one of claimed) begin(work, turns, one)
  return isMore || verifications + claimed.length + finished.length > 0
}

async function writeFinished({ deliverer, finished }: Work): Promise<void> {
  const done = [...finished]
  const settlements = await settle(deliverer, done)
  await deliverer.context.store.settleAndClaim(
    settlements,
    [],
    deliverer.context.clock.now().getTime(),
  )
  finished.splice(0, done.length)
}

function begin(work: Work, turns: readonly Turn[], claimed: ClaimedRow): void {
  const { deliverer, lanes, finished, giveUp } = work
  const own = turns.find(({ wish }) => wish.destination === claimed.destination)
  if (own === undefined) return
  const { destination, lane } = own
  lanes.begin(lane, claimed.replay)
  watch(
    work,
    attempt(deliverer, destination, claimed, giveUp.signal).then((attempted) => {
      lanes.end(lane, claimed.replay, attempted?.receipt.ok ?? null)
      finished.push({ claimed, destination, attempted })
    }),
  )
}

function watch({ underWay, bell, deliverer }: Work, one: Promise<void>): void {
  const watched = one.catch(deliverer.context.onError).then(() => {
    underWay.delete(watched)
    bell.ring()
  })
  underWay.add(watched)
}

/** Waits a little for what is under way, gives up the rest, and writes what has come of it. */
async function finishUp(work: Work): Promise<void> {
  const giveUp = setTimeout(() => work.giveUp.abort(), GRACE_MS)
  await Promise.all(work.underWay)
  clearTimeout(giveUp)
  work.giveUp = newSignal()
  // What cannot be written any more is tried again when its lease has run out.
  await inTurn(work, writeFinished).catch(work.deliverer.context.onError)
}
