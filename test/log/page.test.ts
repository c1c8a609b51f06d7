import { describe, expect, test } from 'vitest'
import { fetchPage, fromCursor, limitOf, pageIssues, toCursor } from '../../src/log/page.ts'
import { collect } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'

/** A list of the database `here`. */
const listNamed = (name: string) => ({ identity: 'here', name })

/** The numbers from 1 to `count`, read page by page; `reads` is where each page began. */
function setup(count: number, limit: number) {
  const reads: (number | null)[] = []
  const read = async (cursor: string | undefined) => {
    const [after = 0] = fromCursor(listNamed('numbers'), cursor) ?? []
    reads.push(cursor === undefined ? null : after)
    return Array.from({ length: Math.max(0, count - after) }, (_, i) => after + i + 1).slice(
      0,
      limit + 1,
    )
  }
  const source = {
    read,
    limit,
    cursorAfter: (row: number) => toCursor(listNamed('numbers'), [row]),
    toItem: (row: number) => `number ${row}`,
  }
  return { reads, fetch: (cursor?: string) => fetchPage(source, cursor) }
}

describe('a cursor', () => {
  test.each([[[0]], [[1]], [[Number.MAX_SAFE_INTEGER]], [[-5, 12]]])(
    'brings back the place %j',
    (place) => {
      expect(
        fromCursor(listNamed('tasks'), toCursor(listNamed('tasks'), place), place.length),
      ).toEqual(place)
    },
  )

  test('is opaque, and fits in a URL', () => {
    expect(toCursor(listNamed('history:trun_1'), [5])).toMatch(/^[A-Za-z0-9_-]+$/)
  })

  test('that is not given is no place', () => {
    expect(fromCursor(listNamed('tasks'), undefined)).toBe(null)
  })

  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

  test.each([
    ['an empty text', ''],
    ['another text', 'nonsense'],
    ['that of another list', toCursor(listNamed('sessions'), [1])],
    ['one with a number too many', toCursor(listNamed('tasks'), [1, 2])],
    ['one without a number', toCursor(listNamed('tasks'), [])],
    ['one of another version', encoded([1, 'here', 'tasks', 1])],
    ['that of another database', toCursor({ identity: 'there', name: 'tasks' }, [1])],
    ['one with a text for a number', encoded([2, 'here', 'tasks', '1'])],
    ['one with a fraction', encoded([2, 'here', 'tasks', 1.5])],
    ['one with a number that is too large', encoded([2, 'here', 'tasks', 2 ** 53])],
    ['an object', encoded({ 0: 2, 1: 'here', 2: 'tasks', 3: 1, length: 4 })],
    ['null', encoded(null)],
    ['half of one', toCursor(listNamed('tasks'), [1]).slice(0, 10)],
  ])('is not %s', async (_, text) => {
    const error = await failureOf(() => fromCursor(listNamed('tasks'), text))

    expect(error).toMatchObject({
      code: 'invalid_input',
      issues: [{ path: ['cursor'], code: expect.stringMatching(/^(invalid|strange)_cursor$/) }],
    })
  })
})

describe('the options of a page', () => {
  test('have a limit of 50 by default', () => {
    expect(limitOf({})).toBe(50)
    expect(limitOf({ limit: 7 })).toBe(7)
  })

  test.each([[{}], [{ limit: 1 }], [{ limit: 1000, order: 'asc' as const, cursor: 'x' }]])(
    '%j are accepted',
    (options) => {
      expect(pageIssues(options)).toEqual([])
    },
  )

  test.each<[string, string, unknown]>([
    ['limit', 'invalid_limit', 0],
    ['limit', 'invalid_limit', 1001],
    ['limit', 'invalid_limit', 1.5],
    ['limit', 'invalid_limit', Number.NaN],
    ['limit', 'invalid_limit', '5'],
    ['limit', 'invalid_limit', null],
    ['order', 'invalid_order', 'ASC'],
    ['order', 'invalid_order', null],
    ['cursor', 'invalid_cursor', 5],
    ['cursor', 'invalid_cursor', null],
  ])('are refused with %s: %s for %j', (name, code, value) => {
    expect(pageIssues({ [name]: value })).toEqual([
      { path: [name], code, message: expect.any(String) },
    ])
  })

  test('are refused for all their issues at once', () => {
    const all = { limit: -1, order: 'up', cursor: 1 } as object

    expect(pageIssues(all)).toHaveLength(3)
  })
})

describe('a page', () => {
  test('shows as many items as its limit, and where to go on', async () => {
    const { fetch } = setup(5, 2)

    const first = await fetch()
    const last = await fetch(toCursor(listNamed('numbers'), [4]))

    expect(first).toEqual({
      data: ['number 1', 'number 2'],
      has_more: true,
      next_cursor: toCursor(listNamed('numbers'), [2]),
    })
    expect(last).toEqual({ data: ['number 5'], has_more: false, next_cursor: null })
  })

  test.each([0, 1, 2])('has nothing after it when %i items fit into two', async (count) => {
    const page = await setup(count, 2).fetch()

    expect(page.data).toHaveLength(count)
    expect(page).toMatchObject({ has_more: false, next_cursor: null })
  })

  test.each([0, 1, 3, 4, 7])('gives %i items one by one, over all pages', async (count) => {
    const { fetch, reads } = setup(count, 3)

    const items = await collect(fetch())

    expect(items).toEqual(Array.from({ length: count }, (_, i) => `number ${i + 1}`))
    expect(reads).toHaveLength(Math.max(1, Math.ceil(count / 3)))
  })

  test('can be gone through after it has been awaited, and again', async () => {
    const page = await setup(5, 2).fetch()

    expect(await collect(page)).toHaveLength(5)
    expect(await collect(page)).toHaveLength(5)
  })

  test('is read no further than it is gone through', async () => {
    const { fetch, reads } = setup(100, 2)

    for await (const item of fetch()) if (item === 'number 3') break

    expect(reads).toEqual([null, 2])
  })

  test('that cannot be read rejects, awaited or gone through', async () => {
    const source = {
      read: () => Promise.reject(new Error('unreadable')),
      limit: 1,
      cursorAfter: String,
      toItem: String,
    }

    await expect(fetchPage(source, undefined)).rejects.toThrow('unreadable')
    await expect(collect(fetchPage(source, undefined))).rejects.toThrow('unreadable')
  })

  test('prints as the data that it is', async () => {
    const page = await setup(1, 2).fetch()

    expect(Object.keys(page)).toEqual(['data', 'has_more', 'next_cursor'])
    expect(JSON.parse(JSON.stringify(page))).toEqual({ ...page })
  })
})
