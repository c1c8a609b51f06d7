import { describe, expect, test } from 'vitest'
import {
  eventOf,
  findTimer,
  type PendingTimer,
  replayTimers,
  toTimer,
} from '../../src/core/replay-timers.ts'

function timer(name: string | null, dueAt: number, parts: Partial<PendingTimer> = {}) {
  return { ...toTimer([name, dueAt, { type: name ?? 'unnamed' }]), ...parts }
}

describe('a mark in the log', () => {
  test('means the event of the same name where it says none', () => {
    expect(toTimer(['ping', 5])).toEqual({
      ...{ name: 'ping', event: '{"type":"ping"}', dueAt: 5, gone: false },
    })
  })

  test('means the event that it says', () => {
    expect(toTimer(['ping', 5, { type: 'go', n: 1 }]).event).toBe('{"type":"go","n":1}')
  })
})

describe('the timers after a change', () => {
  const before = [timer('ping', 5), timer(null, 6), timer('pong', 7)]

  test('are those before where it says nothing of timers', () => {
    expect(replayTimers(before, {}, false)).toEqual(before)
  })

  test('are none where the resource has ended', () => {
    expect(replayTimers(before, { timers: [['late', 9]] }, true)).toEqual([])
  })

  test('lack the one that fired', () => {
    expect(replayTimers(before, { fired: ['ping', 5] }, false)).toEqual(before.slice(1))
  })

  test('are the same where what fired is not among them', () => {
    expect(replayTimers(before, { fired: ['ping', 6] }, false)).toEqual(before)
  })

  test('lack those that are canceled by name, and have those that are set, in this order', () => {
    const timers = [['ping'], ['ping', 8], ['late', 9], ['late']] as const

    expect(replayTimers(before, { timers }, false)).toEqual([...before.slice(1), timer('ping', 8)])
  })

  test('keep the old one without its name where another gets the name', () => {
    expect(replayTimers(before, { timers: [['pong', 9]] }, false)).toEqual([
      ...[timer('ping', 5), timer(null, 6), timer('pong', 7, { name: null }), timer('pong', 9)],
    ])
  })

  test('keep their names where another has none', () => {
    const unnamed = [null, 9, { type: 'unnamed' }] as const

    expect(replayTimers(before, { timers: [unnamed] }, false)).toEqual([...before, timer(null, 9)])
  })
})

describe('a timer is found', () => {
  const sure = timer('ping', 5)

  test.each([
    ['by another name', { name: 'pong' }],
    ['by another event', { event: '{"type":"other"}' }],
    ['by another time', { dueAt: 6 }],
  ])('not %s', (_, parts) => {
    expect(findTimer([sure], { ...sure, ...parts })).toBeUndefined()
  })

  test('rather where it is there for sure', () => {
    const unsure = { ...sure, gone: true }

    expect(findTimer([unsure, sure], sure)).toBe(sure)
    expect(findTimer([unsure], sure)).toBe(unsure)
  })
})

describe('the event of a timer', () => {
  test('is read with its payload', () => {
    expect(eventOf({ event: '{"n":1,"type":"go"}' })).toEqual({ n: 1, type: 'go' })
  })

  test.each(['null', '5', '"go"', '{}', '{"type":1}'])('is none without a type: %s', (event) => {
    expect(() => eventOf({ event })).toThrow('the event of a timer has no type')
  })
})
