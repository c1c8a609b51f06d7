import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalJson, detach, jsonIssues } from '../../src/core/json.ts'

const LIMITS = { depth: 64, bytes: 256 * 1024 }

function codesOf(value: unknown, limits = LIMITS): string[] {
  return detach(value, limits).issues.map(({ code, path }) => [code, ...path].join(' '))
}

/** An object whose own property is called `__proto__`, as JSON.parse makes it. */
function withProto(value: unknown): unknown {
  return JSON.parse(`{"__proto__":${JSON.stringify(value)},"b":1}`)
}

/** A list in a list in a list… */
function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

/** A value, all of whose objects have their keys the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [key, reversed(item)])
  return Object.fromEntries(entries.reverse())
}

describe('detach copies', () => {
  test.each<[string, unknown]>([
    ['null', null],
    ['true', true],
    ['a number', -1.5e-300],
    ['an empty text', ''],
    ['a text of any characters', '\u0000"\\\u2028😀'],
    ['a list', [1, [2, []], {}]],
    ['an object', { a: { b: [{ c: null }] } }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['keys that objects have', { constructor: 1, toString: 2, hasOwnProperty: 3, toJSON: 4 }],
    ['keys that look like numbers', { 10: 'a', 9: 'b', '-1': 'c' }],
  ])('%s', (_, value) => {
    const { copy, issues } = detach(value, LIMITS)

    expect(issues).toEqual([])
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value))
  })

  test('into something that shares nothing with the original', () => {
    const value = { list: [{ n: 1 }] }

    const { copy } = detach(value, LIMITS)
    value.list[0] = { n: 2 }

    expect(copy).toEqual({ list: [{ n: 1 }] })
  })

  test('`__proto__` as the data that it is', () => {
    const { copy, issues } = detach(withProto({ admin: true }), LIMITS)

    expect(issues).toEqual([])
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"admin":true},"b":1}')
    expect(copy).not.toHaveProperty('admin')
  })

  test('what occurs twice twice', () => {
    const shared = { n: 1 }

    expect(detach({ a: shared, b: [shared] }, LIMITS)).toEqual({
      copy: { a: { n: 1 }, b: [{ n: 1 }] },
      issues: [],
    })
  })

  test('without the properties that are undefined', () => {
    expect(detach({ a: undefined, b: { c: undefined } }, LIMITS)).toEqual({
      copy: { b: {} },
      issues: [],
    })
  })
})

describe('detach reports', () => {
  const cyclic: Record<string, unknown> = { inner: {} }
  cyclic.inner = { back: cyclic }
  class Point {
    x = 1
  }

  test.each<[string, unknown, string]>([
    ['undefined', undefined, 'not_json'],
    ['undefined in a list', [1, undefined], 'not_json 1'],
    ['a hole in a list', Array(1), 'not_json 0'],
    ['NaN', { n: Number.NaN }, 'not_json n'],
    ['infinity', [Number.NEGATIVE_INFINITY], 'not_json 0'],
    ['a bigint', 1n, 'not_json'],
    ['a symbol', { s: Symbol('s') }, 'not_json s'],
    ['a function', { f: () => 1 }, 'not_json f'],
    ['a date', { at: new Date(0) }, 'not_json at'],
    ['a map', new Map(), 'not_json'],
    ['bytes', { b: Buffer.of(1) }, 'not_json b'],
    ['a boxed text', { t: Object('t') as unknown }, 'not_json t'],
    ['an instance of a class', new Point(), 'not_json'],
    ['what inherits its properties', Object.create({ a: 1 }), 'not_json'],
    ['a lone surrogate', ['\ud800'], 'malformed_unicode 0'],
    ['a lone surrogate in a key', { '\udc00': 1 }, 'malformed_unicode \udc00'],
    ['a cycle', cyclic, 'cyclic inner back'],
  ])('%s', (_, value, expected) => {
    expect(codesOf(value)).toEqual([expected])
  })

  test('everything that is wrong at once, each with its place', () => {
    const value = { a: [Number.NaN, { b: 1n }], c: new Date(0), d: 'fine' }

    expect(detach(value, LIMITS).issues).toMatchInlineSnapshot(`
      [
        {
          "code": "not_json",
          "message": "is NaN, which JSON cannot hold",
          "path": [
            "a",
            0,
          ],
        },
        {
          "code": "not_json",
          "message": "is of type bigint, which JSON cannot hold",
          "path": [
            "a",
            1,
            "b",
          ],
        },
        {
          "code": "not_json",
          "message": "is a Date and not a plain object",
          "path": [
            "c",
          ],
        },
      ]
    `)
  })
})

describe('the limit', () => {
  test.each([0, 1, 2, 64])('of depth %i is what it allows', (depth) => {
    const limits = { ...LIMITS, depth }

    expect(codesOf(nested(depth), limits)).toEqual([])
    expect(codesOf(nested(depth + 1), limits)).toEqual([
      ['too_deep', ...Array<number>(depth).fill(0)].join(' '),
    ])
  })

  test('of bytes is what it allows, to the byte', () => {
    const property = fc.property(fc.jsonValue(), (value) => {
      const bytes = Buffer.byteLength(JSON.stringify(value))
      expect(codesOf(value, { ...LIMITS, bytes })).toEqual([])
      expect(codesOf(value, { ...LIMITS, bytes: bytes - 1 })).toEqual(['too_large'])
    })

    fc.assert(property)
  })

  test('of bytes counts the longest numbers with their commas', () => {
    const value = Array.from({ length: 30 }, () => -2.2250738585072014e-308)
    const bytes = Buffer.byteLength(JSON.stringify(value))

    expect(codesOf(value, { ...LIMITS, bytes: bytes - 1 })).toEqual(['too_large'])
  })

  test.each(['x', '"', '\u0000', 'é', '€', '😀', '\u2028'])(
    'of bytes counts %j as JSON',
    (unit) => {
      const value = unit.repeat(1000)
      const bytes = Buffer.byteLength(JSON.stringify(value))

      expect(codesOf(value, { ...LIMITS, bytes })).toEqual([])
      expect(codesOf(value, { ...LIMITS, bytes: bytes - 1 })).toEqual(['too_large'])
    },
  )

  test('is none for jsonIssues', () => {
    expect(jsonIssues(nested(1000))).toEqual([])
    expect(jsonIssues('x'.repeat(300_000))).toEqual([])
    expect(jsonIssues([1n])).toHaveLength(1)
  })
})

test('detach makes 0 of -0, as JSON does', () => {
  expect(detach([-0], LIMITS)).toEqual({ copy: [0], issues: [] })
})

describe('for any JSON value', () => {
  // Through JSON once, since fast-check makes -0 and JSON has none: see below.
  const plain = fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)))
  const jsonValue = fc.oneof(plain, plain.map(withProto))

  test('detach gives an equal copy that JSON brings back', () => {
    const property = fc.property(jsonValue, (value) => {
      const { copy, issues } = detach(value, LIMITS)
      expect(issues).toEqual([])
      expect(JSON.stringify(copy)).toBe(JSON.stringify(value))
      expect(JSON.parse(JSON.stringify(copy))).toEqual(copy)
    })

    fc.assert(property)
  })

  test('canonicalJson writes it so that it comes back', () => {
    const property = fc.property(jsonValue, (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(value)
    })

    fc.assert(property)
  })

  test('canonicalJson writes equal values alike, in whatever order their keys are', () => {
    const property = fc.property(jsonValue, (value) => {
      expect(canonicalJson(reversed(value))).toBe(canonicalJson(value))
    })

    fc.assert(property)
  })

  test('canonicalJson tells different values apart', () => {
    const property = fc.property(jsonValue, jsonValue, (one, other) => {
      const same = canonicalJson(one) === canonicalJson(other)
      expect(same).toBe(canonicalJson([one]) === canonicalJson([other]))
      if (same) expect(one).toEqual(other)
    })

    fc.assert(property)
  })
})
