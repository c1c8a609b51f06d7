import { describe, expect, test } from 'vitest'
import { createIds } from '../src/ids.ts'

const NOW = Date.parse('2026-01-01T00:00:00.000Z')

function someOf(count: number, seed?: number, start?: number): string[] {
  const ids = createIds(seed, start)
  return Array.from({ length: count }, () => ids.next('evt', NOW))
}

describe('an id', () => {
  test('is its prefix, eight digits of time and fourteen of chance', () => {
    expect(createIds().next('task', NOW)).toMatch(/^task_[0-9A-Za-z]{22}$/)
  })

  test('sorts after those of earlier milliseconds, byte by byte', () => {
    const ids = createIds()
    const times = [0, 1, 61, 62, 3843, 3844, NOW - 1, NOW, NOW + 1, NOW * 2, 62 ** 8 - 1]

    const made = times.map((time) => ids.next('x', time))

    const sorted = made.toSorted((one, other) =>
      Buffer.compare(Buffer.from(one), Buffer.from(other)),
    )
    expect(made).toEqual(sorted)
    expect(new Set(made.map((id) => id.slice(0, 10))).size).toBe(times.length)
  })

  test('is unique within a millisecond', () => {
    expect(new Set(someOf(20_000)).size).toBe(20_000)
  })

  test('is made for a time before 1970 as for 1970', () => {
    const ids = createIds()

    expect(ids.next('x', -5).slice(0, 10)).toBe('x_00000000')
  })

  test('is made for the last millisecond of 1969 as for any other', () => {
    expect(createIds().next('x', -1)).toMatch(/^x_0{8}[0-9A-Za-z]{14}$/)
  })
})

describe('a seed', () => {
  test('makes the same ids and bytes again', () => {
    expect(someOf(100, 7)).toEqual(someOf(100, 7))
    expect(createIds(7).bytes(64)).toEqual(createIds(7).bytes(64))
  })

  test('makes ids that are unique all the same', () => {
    expect(new Set(someOf(20_000, 7)).size).toBe(20_000)
  })

  test('shares no id with another seed, or with another start', () => {
    const all = [[0], [1], [7], [8], [7, 1], [7, 2], [7, 1000], [2 ** 32 - 1], [-1, 5]].flatMap(
      ([seed, start]) => someOf(100, seed, start),
    )

    expect(new Set(all).size).toBe(900)
  })

  test('is not needed: without one, nothing repeats', () => {
    expect(createIds().bytes(32)).not.toEqual(createIds().bytes(32))
    expect(createIds().bytes(12)).toHaveLength(12)
  })
})
