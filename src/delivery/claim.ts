/** Which deliveries are taken on next? @module */

import type { DueDestination, Wish } from '../store/deliveries.ts'
import { type Deliverer, type Destination, loadDestination } from './deliverer.ts'
import type { Lane, Lanes, Room } from './lanes.ts'

/** Deliveries of a destination that are wished for. */
export interface Turn {
  readonly wish: Wish
  readonly destination: Destination
  readonly lane: Lane
}

// A lease lasts longer than an attempt can: whoever is still at it then has died, or stands still.
const LEASE_MARGIN_MS = 5000

// How many destinations are looked at, and at a time: those that hang may stand in front of others.
const MOST_LOOKED_AT = 4096
const AT_ONCE = 128

/** Chooses whose turn it is: those first who have waited longest for theirs, and as much for each as there is room. */
export async function chooseTurns(
  deliverer: Deliverer,
  lanes: Lanes,
  now: number,
): Promise<readonly Turn[]> {
  const { store } = deliverer.context
  const room = lanes.room()
  const turns: Turn[] = []
  let after: DueDestination | null = null
  for (let seen = 0; room.free() > 0 && seen < MOST_LOOKED_AT; seen += AT_ONCE) {
    const due: readonly DueDestination[] = await store.dueDestinations(now, after, AT_ONCE)
    const waiting = due.filter(({ position }) => room.at(position) > 0)
    turns.push(...(await shareOut(deliverer, lanes, waiting, room)))
    after = due.at(-1) ?? null
    if (due.length < AT_ONCE) break
  }
  return turns
}

async function shareOut(
  deliverer: Deliverer,
  lanes: Lanes,
  waiting: readonly DueDestination[],
  room: Room,
): Promise<readonly Turn[]> {
  const turns: Turn[] = []
  for (const [index, one] of waiting.entries()) {
    if (room.free() <= 0) break
    const share = Math.ceil(room.free() / (waiting.length - index))
    const turn = await turnOf(deliverer, lanes, one, { room, share })
    if (turn !== null) turns.push(turn)
  }
  return turns
}

interface Share {
  readonly room: Room
  readonly share: number
}

async function turnOf(
  deliverer: Deliverer,
  lanes: Lanes,
  { position, id }: DueDestination,
  { room, share }: Share,
): Promise<Turn | null> {
  const destination = await loadDestination(deliverer, id)
  // What is no longer active is about to be stopped.
  if (destination?.status !== 'active') return null
  const lane = lanes.of(position, destination)
  const most = Math.min(share, room.at(position))
  if (most <= 0) return null
  room.give(lane, most)
  const lease = destination.settings.timeout + LEASE_MARGIN_MS
  const replays = Math.min(most, roomForReplays(lane))
  const { version } = destination
  return { wish: { destination: position, version, most, replays, lease }, destination, lane }
}

/** Replays go beside what is new: a quarter of the room is theirs, but one at least. */
function roomForReplays({ window, replays }: Lane): number {
  return Math.max(0, Math.max(1, Math.floor(window / 4)) - replays)
}
