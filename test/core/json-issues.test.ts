import { describe, expect, test } from 'vitest'
import { detach, jsonIssues } from '../../src/core/json.ts'

const LIMITS = { depth: 3, bytes: 100 }

const cyclic: unknown[] = []
cyclic.push(cyclic)

describe('an issue says what is wrong', () => {
  test.each<[string, unknown, string]>([
    ['too large', 'x'.repeat(200), 'is larger than 100 bytes of JSON'],
    ['too deep', [[[[]]]], 'is nested deeper than 3 levels'],
    ['a cycle', cyclic, 'refers back to itself'],
    ['a broken text', '\ud800', 'holds a lone surrogate'],
    ['a broken key', { '\ud800': 1 }, 'has a key with a lone surrogate'],
    ['a date', new Date(0), 'is a Date and not a plain object'],
    ['an error', new Error('x'), 'is an Error and not a plain object'],
    [
      'an object without a class',
      Object.create(Object.create(Object.create(null))),
      'is a class and not a plain object',
    ],
  ])('%s', (_, value, message) => {
    expect(detach(value, LIMITS).issues.map((issue) => issue.message)).toEqual([message])
  })
})

test('a value that is wrong in itself is not called too large besides', () => {
  const { issues } = detach([Number.NaN, 'x'.repeat(200)], LIMITS)

  expect(issues.map(({ code }) => code)).toEqual(['not_json'])
})

test('a copied `__proto__` is a property like any other', () => {
  const { copy } = detach(JSON.parse('{"__proto__":1}'), LIMITS)

  expect(Object.getOwnPropertyDescriptor(copy, '__proto__')).toEqual({
    ...{ value: 1, enumerable: true, writable: true, configurable: true },
  })
})

describe('a hostile value', () => {
  test('has a hundred issues at most', () => {
    const bad = Array.from({ length: 1000 }, () => Number.NaN)

    expect(jsonIssues(bad)).toHaveLength(100)
    expect(jsonIssues(bad.slice(0, 99))).toHaveLength(99)
    expect(jsonIssues({ ...bad.slice(0, 200) })).toHaveLength(100)
  })

  test('is not read on once it is too large', () => {
    let read = 0
    const item = {}
    Object.defineProperty(item, 'text', {
      enumerable: true,
      get: () => {
        read += 1
        return 'x'.repeat(50)
      },
    })
    const items = Array.from({ length: 1000 }, () => item)

    expect(detach(items, LIMITS).issues).toMatchObject([{ code: 'too_large', path: [] }])
    expect(read).toBeLessThan(5)
    expect(detach({ ...items }, LIMITS).issues).toMatchObject([{ code: 'too_large', path: [] }])
    expect(read).toBeLessThan(10)
  })

  test('is not plain when it inherits something, however it came to that', () => {
    const heirs = [
      Object.create({ a: 1 }),
      Object.create(Object.assign(Object.create(null), { a: 1 })),
    ]
    for (const heir of heirs) expect(jsonIssues(heir)).toMatchObject([{ code: 'not_json' }])
    expect(jsonIssues(new (class {})())[0]?.message).toBe('is a class and not a plain object')
    expect(jsonIssues(Object.assign(Object.create(null), { a: 1 }))).toEqual([])
  })

  test('is not read on once its keys alone are too large', () => {
    let read = 0
    const get = () => {
      read += 1
      return 1
    }
    const keys = Array.from({ length: 1000 }, (_, n) => `${n}`.padStart(50, '-'))
    const item = Object.defineProperties(
      {},
      Object.fromEntries(keys.map((key) => [key, { enumerable: true, get }])),
    )

    expect(detach(item, LIMITS).issues).toMatchObject([{ code: 'too_large' }])
    expect(read).toBeLessThan(5)
  })
})
