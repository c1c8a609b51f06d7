/** What does a worker do in one turn? @module */

import { setMaxListeners } from 'node:events'
import { nowOf } from '../runtime/consumer.ts'
import type { ClaimedRow, Claims } from '../store/deliveries.ts'
import { attempt } from './attempt.ts'
import { type Bell, createBell } from './bell.ts'
import { chooseTurns, type Turn } from './claim.ts'
import type { Deliverer } from './deliverer.ts'
import { createDispatcher, type Dispatcher } from './dispatch.ts'
import { createLanes, type Lanes } from './lanes.ts'
import { type Finished, settle } from './settle.ts'
import { takeVerifications, verifyTaken } from './verification.ts'

/** What a worker is at. */
export interface Work {
  readonly deliverer: Deliverer
  readonly dispatcher: Dispatcher
  readonly lanes: Lanes
  /** Rings when something has ended. */
  readonly bell: Bell
  /** Attempts and verifications. */
  readonly underWay: Set<Promise<void>>
  /** How many of the attempts that have begun last are still under way. */
  latest: { left: number }
  /** How many of them are verifications. */
  verifying: number
  /** What has ended and is not written yet. */
  readonly finished: Finished[]
  /** How many wait for everything that is due to be done. */
  draining: number
  /** Aborted when what is under way is given up. */
  giveUp: AbortController
  /** Turns come one after the other. */
  turning: Promise<unknown>
}

/** Nothing is under way yet. */
export function createWork(deliverer: Deliverer): Work {
  return {
    deliverer,
    dispatcher: createDispatcher(deliverer),
    lanes: createLanes(deliverer.settings.concurrency),
    bell: createBell(),
    underWay: new Set(),
    latest: { left: 0 },
    verifying: 0,
    finished: [],
    draining: 0,
    giveUp: newSignal(),
    turning: Promise.resolve(),
  }
}

/** Aborts what is under way. */
export function newSignal(): AbortController {
  const controller = new AbortController()
  // One for each attempt.
  setMaxListeners(0, controller.signal)
  return controller
}

/** One turn after the other, whoever asks for it. */
export function inTurn<T>(work: Work, act: (work: Work) => Promise<T>): Promise<T> {
  const next = work.turning.then(() => act(work))
  work.turning = next.catch(() => {})
  return next
}

/** What a turn has come to. */
export interface Turned {
  /** Whether there is more to do at once. */
  readonly isMore: boolean
  /** Until when everything has been looked at. */
  readonly now: number
}

/** Gives out, verifies, writes what has ended and begins what is due; nothing once the signal is aborted. */
export async function takeTurn(work: Work, stopping: AbortSignal): Promise<Turned> {
  const { deliverer, dispatcher, lanes, finished } = work
  const { context } = deliverer
  const isMore = await dispatcher.advance()
  const now = nowOf(context)
  const verifications = stopping.aborted ? 0 : await verifySome(work, now)
  const ended = [...finished]
  const settlements = await settle(deliverer, ended)
  const turns = stopping.aborted ? [] : await chooseTurns(deliverer, lanes, now)
  const wishes = turns.map(({ wish }) => wish)
  const isIdle = settlements.length + wishes.length === 0
  const { claimed, isStale } = isIdle
    ? NOTHING
    : await context.store.settleAndClaim(settlements, wishes, () => nowOf(context))
  finished.splice(0, ended.length)
  if (claimed.length > 0) work.latest = { left: 0 }
  for (const one of claimed) begin(work, turns, one)
  const begun = verifications + claimed.length + ended.length
  return { isMore: isMore || isStale || begun > 0, now }
}

const NOTHING: Claims = { claimed: [], isStale: false }

// So many destinations are asked for their proofs at once.
const MOST_VERIFIED = 16

async function verifySome(work: Work, now: number): Promise<number> {
  const { deliverer, giveUp, verifying } = work
  if (verifying >= MOST_VERIFIED) return 0
  const due = await takeVerifications(deliverer, now, MOST_VERIFIED - verifying)
  for (const one of due) {
    work.verifying += 1
    const end = () => {
      work.verifying -= 1
    }
    watch(work, verifyTaken(deliverer, one, giveUp.signal).finally(end))
  }
  return due.length
}

/** Writes what has ended, and begins nothing. */
export async function writeFinished({ deliverer, finished }: Work): Promise<void> {
  const done = [...finished]
  const settlements = await settle(deliverer, done)
  const { context } = deliverer
  await context.store.settleAndClaim(settlements, [], () => nowOf(context))
  finished.splice(0, done.length)
}

function begin(work: Work, turns: readonly Turn[], claimed: ClaimedRow): void {
  const { deliverer, lanes, finished, giveUp, latest } = work
  const own = turns.find(({ wish }) => wish.destination === claimed.destination)
  if (own === undefined) return
  const { destination, lane } = own
  lanes.begin(lane, claimed.replay)
  latest.left += 1
  watch(
    work,
    attempt(deliverer, destination, claimed, giveUp.signal).then((attempted) => {
      latest.left -= 1
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
