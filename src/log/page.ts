/** How is a long list read page by page? @module */

import { type Issue, invalidInput } from '../errors.ts'
import { taken } from '../given.ts'

/** A part of a list; iterating over it goes through all that follow as well. */
export interface Page<Item> extends AsyncIterable<Item> {
  readonly data: readonly Item[]
  /** Whether there is more after this page. */
  readonly has_more: boolean
  /** What to give as `cursor` for the next page; null on the last one. */
  readonly next_cursor: string | null
}

/** A page that is being fetched; it can be awaited, or iterated over at once. */
export type PagePromise<Item> = Promise<Page<Item>> & AsyncIterable<Item>

/** How to page. */
export interface PageOptions {
  /** How many items at most, 1 to 1000. @defaultValue 50 */
  readonly limit?: number
  /** The `next_cursor` of the page before. */
  readonly cursor?: string
  /** Oldest or newest first. @defaultValue 'desc'; for a history 'asc' */
  readonly order?: 'asc' | 'desc'
}

/** The names of the options above. */
export const PAGE_OPTIONS = ['limit', 'cursor', 'order'] as const

const DEFAULT_LIMIT = 50
const HIGHEST_LIMIT = 1000

/** The limit of a page, in force. */
export function limitOf(options: PageOptions | null): number {
  return options?.limit ?? DEFAULT_LIMIT
}

/** Says what is wrong with the options of a page. */
export function pageIssues({ limit, order, cursor }: PageOptions): Issue[] {
  const issues: Issue[] = []
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= HIGHEST_LIMIT)) {
    issues.push({
      path: ['limit'],
      code: 'invalid_limit',
      message: `has to be a whole number from 1 to ${HIGHEST_LIMIT}`,
    })
  }
  if (order !== undefined && order !== 'asc' && order !== 'desc') {
    issues.push({ path: ['order'], code: 'invalid_order', message: 'has to be "asc" or "desc"' })
  }
  if (cursor !== undefined && typeof cursor !== 'string') issues.push(cursorIssue())
  return issues
}

function cursorIssue(): Issue {
  return {
    path: ['cursor'],
    code: 'invalid_cursor',
    message: 'is not the next_cursor of a page of this list',
  }
}

// Bumped when cursors change their form.
const CURSOR_VERSION = 2

/** A list of one database: its cursors are good for nothing else. */
export interface List {
  /** The identity of the database. */
  readonly identity: string
  readonly name: string
}

/** Writes a place in a list down for the next page. */
export function toCursor({ identity, name }: List, place: readonly number[]): string {
  const parts = [CURSOR_VERSION, identity, name, ...place]
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/** Reads a place from a cursor of the same list; null without one. Throws `invalid_input` for any other text. */
export function fromCursor(
  { identity, name }: List,
  cursor: string | undefined,
  numbers = 1,
): readonly number[] | null {
  if (cursor === undefined) return null
  // A list in its place would be read item by item.
  if (typeof cursor !== 'string') throw invalidInput('the cursor', [cursorIssue()])
  const [version, database, list, ...place] = parsed(cursor)
  const isPlace = place.length === numbers && place.every((part) => Number.isSafeInteger(part))
  if (version !== CURSOR_VERSION || list !== name || !isPlace)
    throw invalidInput('the cursor', [cursorIssue()])
  if (database !== identity) throw invalidInput('the cursor', [strangeCursor()])
  return place as number[]
}

function strangeCursor(): Issue {
  const message = 'comes from another database'
  return { path: ['cursor'], code: 'strange_cursor', message }
}

function parsed(cursor: string): unknown[] {
  try {
    const text = Buffer.from(cursor, 'base64url')
    // Whatever is no base64, or too short to be a byte, is skipped in silence.
    if (text.toString('base64url') !== cursor) return []
    const value: unknown = JSON.parse(text.toString('utf8'))
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** What a page is made from. */
export interface PageSource<Row, Item> {
  /** Reads from a place on, one row more than the limit if there is one. */
  readonly read: (cursor: string | undefined) => Promise<readonly Row[]>
  readonly limit: number
  readonly cursorAfter: (row: Row) => string
  readonly toItem: (row: Row) => Item
}

/** Fetches a page. */
export function fetchPage<Row, Item>(
  source: PageSource<Row, Item>,
  cursor: string | undefined,
): PagePromise<Item> {
  const promise = buildPage(source, cursor)
  return withIterator(promise, async function* () {
    yield* await promise
  })
}

async function buildPage<Row, Item>(
  source: PageSource<Row, Item>,
  cursor: string | undefined,
): Promise<Page<Item>> {
  const rows = await source.read(cursor)
  const shown = rows.slice(0, source.limit)
  const last = shown.at(-1)
  const next = last !== undefined && rows.length > source.limit ? source.cursorAfter(last) : null
  const page = { data: shown.map(source.toItem), has_more: next !== null, next_cursor: next }
  return withIterator(page, () => itemsFrom(source, page))
}

async function* itemsFrom<Row, Item>(
  source: PageSource<Row, Item>,
  first: Omit<Page<Item>, typeof Symbol.asyncIterator>,
): AsyncGenerator<Item> {
  let page = first
  for (;;) {
    yield* page.data
    if (page.next_cursor === null) return
    page = await buildPage(source, page.next_cursor)
  }
}

/** Fetches a page by what a caller has given; what cannot be read is refused like everything else. */
export function paged<T, Item>(
  given: T,
  fetch: (options: T) => PagePromise<Item>,
): PagePromise<Item> {
  try {
    return fetch(taken(given))
  } catch (error) {
    const refused: Promise<Page<Item>> = Promise.reject(error)
    return withIterator(refused, async function* () {
      yield* await refused
    })
  }
}

// Not enumerable, so that a page prints and compares as the data that it is.
function withIterator<T extends object, Item>(
  target: T,
  iterate: () => AsyncIterator<Item>,
): T & AsyncIterable<Item> {
  return Object.defineProperty(target, Symbol.asyncIterator, { value: iterate }) as T &
    AsyncIterable<Item>
}
