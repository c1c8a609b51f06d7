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
  /** When it last had its turn. */
  servedAt: number
}

/** The lanes of all destinations, by their positions. */
export interface Lanes {
  /** The lane of a destination; it starts slowly, and again when the destination has been activated anew. */
  of(position: number, destination: Destination): Lane
  /** How many more attempts of a lane may begin. */
  room(lane: Lane, destination: Destination): number
  /** Those that may have more attempts, in the order in which they last had their turn. */
  inTurn<T extends { readonly position: number }>(due: readonly T[]): readonly T[]
  /** How many more attempts may begin in all. */
  free(): number
  begin(lane: Lane, isReplay: boolean): void
  /** Takes note of how an attempt has ended; null when it was given up. */
  end(lane: Lane, isReplay: boolean, isSuccess: boolean | null): void
}

/** Creates lanes for so many attempts in all. */
export function createLanes(concurrency: number): Lanes {
  const lanes = new Map<number, Lane>()
  const busy = new Set<Lane>()
  const free = () => concurrency - underWay([...busy])
  return {
    of: (position, { since }) => {
      const lane = lanes.get(position) ?? newLane(since)
      lanes.set(position, lane)
      if (lane.since !== since) Object.assign(lane, { since, window: 1, isFailing: false })
      return lane
    },
    room: (lane, { settings }) => {
      const own = Math.min(lane.window, settings.concurrency) - lane.underWay
      // What fails may hang: all of it together never takes the room of those who answer.
      const failing = Math.ceil(concurrency / 2) - underWay([...busy].filter(isSuspect))
      return Math.max(0, Math.min(own, isSuspect(lane) ? failing : own))
    },
    inTurn: (due) => {
      const isFull = (lane: Lane | undefined) => lane !== undefined && lane.underWay >= lane.window
      const servedAt = ({ position }: { readonly position: number }) =>
        lanes.get(position)?.servedAt ?? 0
      return due
        .filter(({ position }) => !isFull(lanes.get(position)))
        .sort((one, other) => servedAt(one) - servedAt(other))
    },
    free,
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

function newLane(since: number): Lane {
  return { window: 1, underWay: 0, replays: 0, isFailing: false, since, servedAt: 0 }
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
    : Math.max(1, Math.floor(Math.min(lane.window, WIDEST) / 2))
}
