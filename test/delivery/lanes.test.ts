/** Does nobody who fails or hangs take the room of others? @module */

import { describe, expect, test } from 'vitest'
import type { Destination } from '../../src/delivery/deliverer.ts'
import { createLanes, type Lanes } from '../../src/delivery/lanes.ts'

function destinationSince(since = 0, concurrency = 32): Destination {
  return { since, settings: { concurrency } } as Destination
}

/** Begins so many attempts and ends them all. */
function attemptAll(lanes: Lanes, position: number, isSuccess: boolean, count = 1): void {
  const lane = lanes.of(position, destinationSince())
  for (let n = 0; n < count; n += 1) {
    lanes.begin(lane, false)
    lanes.end(lane, false, isSuccess)
  }
}

describe('a lane', () => {
  test('starts with one attempt, and has one more with each success', () => {
    const lanes = createLanes(64)
    lanes.of(1, destinationSince())

    expect(lanes.room().at(1)).toBe(1)
    attemptAll(lanes, 1, true, 4)
    expect(lanes.room().at(1)).toBe(5)
  })

  test('has half as many with a failure, but one at least', () => {
    const lanes = createLanes(64)
    attemptAll(lanes, 1, true, 7)

    attemptAll(lanes, 1, false)
    expect(lanes.room().at(1)).toBe(4)
    attemptAll(lanes, 1, false, 9)
    expect(lanes.room().at(1)).toBe(1)
  })

  test('is as wide as the destination lets it be', () => {
    const lanes = createLanes(64)
    attemptAll(lanes, 1, true, 100)
    expect(lanes.room().at(1)).toBe(32)

    lanes.of(1, destinationSince(0, 3))
    expect(lanes.room().at(1)).toBe(3)
  })

  test('starts again when its destination has become active anew, and keeps what is under way', () => {
    const lanes = createLanes(64)
    attemptAll(lanes, 1, true, 9)
    const lane = lanes.of(1, destinationSince())
    lanes.begin(lane, false)

    expect(lanes.of(1, destinationSince(5))).toBe(lane)
    expect(lanes.room().at(1)).toBe(0)
    lanes.end(lane, false, true)
    expect(lanes.room().at(1)).toBe(2)
  })

  test('learns nothing from what was given up', () => {
    const lanes = createLanes(64)
    attemptAll(lanes, 1, true, 3)
    const lane = lanes.of(1, destinationSince())

    lanes.begin(lane, true)
    expect(lane.replays).toBe(1)
    lanes.end(lane, true, null)
    expect(lanes.room().at(1)).toBe(4)
    expect(lane.replays).toBe(0)
  })
})

describe('the room', () => {
  test('of what is not known yet is all that is free', () => {
    const lanes = createLanes(10)
    const lane = lanes.of(1, destinationSince())
    lanes.begin(lane, false)

    expect(lanes.room().free()).toBe(9)
    expect(lanes.room().at(7)).toBe(9)
  })

  test('shrinks with what is given away', () => {
    const lanes = createLanes(10)
    const room = lanes.room()

    room.give(lanes.of(1, destinationSince()), 10)
    expect(room.free()).toBe(0)
    expect(room.at(2)).toBe(0)
  })

  test('of those who fail is half of it, all together', () => {
    const lanes = createLanes(4)
    for (const position of [1, 2, 3]) attemptAll(lanes, position, false)
    const room = lanes.room()

    room.give(lanes.of(1, destinationSince()), 1)
    expect(room.at(2)).toBe(1)
    room.give(lanes.of(2, destinationSince()), 1)
    expect(room.at(3)).toBe(0)
    expect(room.at(9)).toBe(2)
  })

  test('of those who fail counts what hangs', () => {
    const lanes = createLanes(4)
    for (const position of [1, 2, 3]) attemptAll(lanes, position, false)
    for (const position of [1, 2]) lanes.begin(lanes.of(position, destinationSince()), false)

    expect(lanes.room().at(3)).toBe(0)
    expect(lanes.room().at(9)).toBe(2)
  })
})
