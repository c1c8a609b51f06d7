/** Which deliveries are taken on next? @module */

import type { DueDestination, Wish } from '../store/deliveries.ts'
import { type Deliverer, type Destination, loadDestination } from './deliverer.ts'
import type { Lane, Lanes } from './lanes.ts'

/** Deliveries of a destination that are wished for. */
export interface Turn {
  readonly wish: Wish
  readonly destination: Destination
  readonly lane: Lane
}

// A lease lasts longer than an attempt can: whoever is still at it then has died, or stands still.
const LEASE_MARGIN_MS = 5000

// How many destinations are looked at beside those that are busy.
const LOOKED_AT = 64

/** Chooses whose turn it is: those first who have waited longest for theirs, and as much for each as there is room. */
export async function chooseTurns(
  deliverer: Deliverer,
  lanes: Lanes,
  now: number,
): Promise<readonly Turn[]> {
  const { context, settings } = deliverer
  let free = lanes.free()
  if (free <= 0) return []
  const due = await context.store.dueDestinations(now, settings.concurrency + LOOKED_AT)
  const turns: Turn[] = []
  const waiting = lanes.inTurn(due)
  for (const [index, one] of waiting.entries()) {
    if (free <= 0) break
    const share = Math.ceil(free / (waiting.length - index))
    const turn = await turnOf(deliverer, lanes, one, { share, now })
    if (turn === null) continue
    turns.push(turn)
    free -= turn.wish.most
  }
  return turns
}

async function turnOf(
  deliverer: Deliverer,
  lanes: Lanes,
  { position, id }: DueDestination,
  { share, now }: { readonly share: number; readonly now: number },
): Promise<Turn | null> {
  const destination = await loadDestination(deliverer, id)
  // What is no longer active is about to be stopped.
  if (destination?.status !== 'active') return null
  const lane = lanes.of(position, destination)
  const most = Math.min(share, lanes.room(lane, destination))
  if (most <= 0) return null
  lane.servedAt = now
  const until = now + destination.settings.timeout + LEASE_MARGIN_MS
  const replays = Math.min(most, roomForReplays(lane))
  return { wish: { destination: position, most, replays, until }, destination, lane }
}

/** Replays go beside what is new: a quarter of the room is theirs, but one at least. */
function roomForReplays({ window, replays }: Lane): number {
  return Math.max(0, Math.max(1, Math.floor(window / 4)) - replays)
}
