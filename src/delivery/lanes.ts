/** How many attempts may be under way, of each destination and in all? @module */

import type { Destination } from './deliverer.ts'

/** What is under way at a destination, and how much more may be. */
export interface Lane {
  /** How many attempts may be under way now: one more with each success, half as many with each failure. */
  window: number
  underWay: number
  /** How many of them are replays. */
  replays: number
  /** Whether the last attempt failed. */
  isFailing: boolean
  /** Since when the destination has been active. */
  since: number
  /** How many attempts it may have at most. */
  most: number
}

/** The lanes of all destinations, by their positions. */
export interface Lanes {
  /** The lane of a destination; it starts slowly, and again when the destination has been activated anew. */
  of(position: number, destination: Destination): Lane
  /** What is left, to be given away. */
  room(): Room
  begin(lane: Lane, isReplay: boolean): void
  /** Takes note of how an attempt has ended; null when it was given up. */
  end(lane: Lane, isReplay: boolean, isSuccess: boolean | null): void
}

/** How many more attempts may begin. */
export interface Room {
  /** In all. */
  free(): number
  /** At a destination; as much as it may have where nothing is known of it yet. */
  at(position: number): number
  /** Gives some of it away. */
  give(lane: Lane, attempts: number): void
}

/** Creates lanes for so many attempts in all. */
export function createLanes(concurrency: number): Lanes {
  const lanes = new Map<number, Lane>()
  const busy = new Set<Lane>()
  return {
    of: (position, { since, settings }) => {
      const lane = lanes.get(position) ?? newLane(since)
      lanes.set(position, lane)
      lane.most = settings.concurrency
      if (lane.since !== since) Object.assign(lane, { since, window: 1, isFailing: false })
      return lane
    },
    room: () => roomIn(concurrency, lanes, [...busy]),
    begin: (lane, isReplay) => {
      lane.underWay += 1
      if (isReplay) lane.replays += 1
      busy.add(lane)
    },
    end: (lane, isReplay, isSuccess) => {
      lane.underWay -= 1
      if (isReplay) lane.replays -= 1
      if (lane.underWay === 0) busy.delete(lane)
      if (isSuccess !== null) learn(lane, isSuccess)
    },
  }
}

function roomIn(
  concurrency: number,
  lanes: ReadonlyMap<number, Lane>,
  busy: readonly Lane[],
): Room {
  let free = concurrency - underWay(busy)
  // What fails may hang: all of it together never takes the room of those who answer.
  let failing = Math.ceil(concurrency / 2) - underWay(busy.filter(isSuspect))
  return {
    free: () => free,
    at: (position) => {
      const lane = lanes.get(position)
      if (lane === undefined) return Math.max(0, free)
      const own = Math.min(lane.window, lane.most) - lane.underWay
      return Math.max(0, Math.min(own, free, isSuspect(lane) ? failing : own))
    },
    give: (lane, attempts) => {
      free -= attempts
      if (isSuspect(lane)) failing -= attempts
    },
  }
}

function newLane(since: number): Lane {
  return { window: 1, underWay: 0, replays: 0, isFailing: false, since, most: 1 }
}

function isSuspect({ window, isFailing }: Lane): boolean {
  return isFailing && window === 1
}

function underWay(lanes: readonly Lane[]): number {
  return lanes.reduce((total, lane) => total + lane.underWay, 0)
}

// Beyond any concurrency that can be set; what has gone well for years may still slow down at once.
const WIDEST = 1000

function learn(lane: Lane, isSuccess: boolean): void {
  lane.isFailing = !isSuccess
  lane.window = isSuccess
    ? Math.min(WIDEST, lane.window + 1)
    : Math.max(1, Math.floor(Math.min(lane.window, lane.most) / 2))
}
