/** How is the log followed live? `events.subscribe` @module */

import type { Context } from '../context.ts'
import { type Issue, notFound, refuseIssues } from '../errors.ts'
import { taken } from '../given.ts'
import { type Event, toEvent } from '../log/event.ts'
import {
  type EntryFilter,
  type EventSelection,
  isVisible,
  type Reader,
  SELECTION,
  toFilter,
} from '../log/events.ts'
import { type From, fromIssues, momentOfCall, placeFrom } from '../log/place.ts'
import type { ReadEntry } from '../store/queries.ts'
import { readOn } from './follow.ts'
import { unknownKeys } from './options.ts'
import { beginLife, type Life } from './running.ts'
import { aborted, firstOf } from './wait.ts'

/** What to follow. */
export interface Subscription<Type extends string = string> extends EventSelection<Type> {
  /** Where to begin. @defaultValue 'now', the moment of the call */
  readonly from?: From
  /** Ends the iteration when it is aborted. */
  readonly signal?: AbortSignal
}

/**
 * Follows the log: what there is, then what comes, in order, each event once.
 *
 * Holds a page in memory, however slowly it is iterated over. Ends quietly with its signal and with
 * the engine; the first step throws `invalid_input` or `not_found` for what can match nothing.
 */
export function subscribe(
  context: Context,
  reader: Reader,
  given: Subscription = {},
): AsyncIterableIterator<Event> {
  const options = takenOrRefused(given)
  // Asked for at once: 'now' is the moment of the call, not of the first step.
  const start = begin(context, reader, options)
  start.catch(() => {})
  let life: Life | null = null
  let feed: Feed | null = null
  let last: Promise<unknown> | null = null
  let isOver = false

  const finish = (): IteratorResult<Event, undefined> => {
    isOver = true
    life?.end()
    return { done: true, value: undefined }
  }
  const step = async (): Promise<IteratorResult<Event, undefined>> => {
    if (isOver) return finish()
    life ??= beginReading(context, toSignal(options))
    try {
      feed ??= { ...(await start), life }
      const entry = takeEntry(feed) ?? (await awaitEntry(context, feed))
      return entry === undefined ? finish() : { done: false, value: toEvent(entry) }
    } catch (error) {
      if (life.signal.aborted) return finish()
      finish()
      throw error
    }
  }
  const inTurn = (): Promise<IteratorResult<Event, undefined>> => {
    const result = last === null ? step() : last.then(step, step)
    const settled = result
      .catch(() => {})
      .then(() => {
        if (last === settled) last = null
      })
    last = settled
    return result
  }
  return {
    next: () => {
      // What is in memory needs no turn of its own.
      const entry = last === null && feed !== null ? takeEntry(feed) : undefined
      return entry === undefined
        ? inTurn()
        : Promise.resolve({ done: false, value: toEvent(entry) })
    },
    return: async () => finish(),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

interface Start {
  readonly filter: EntryFilter
  position: number
  page: readonly ReadEntry[]
  index: number
}

interface Feed extends Start {
  readonly life: Life
}

function beginReading(context: Context, signal: AbortSignal | undefined): Life {
  const life = beginLife(context, signal)
  // Nobody may be waiting for a next event who could see that there is none.
  aborted(life.signal)(life.end)
  return life
}

type Options = Subscription | { readonly refused: unknown }

/** Takes the options over; why they cannot be read is for the first step to say. */
function takenOrRefused(given: Subscription): Options {
  try {
    return taken(given)
  } catch (refused) {
    return { refused }
  }
}

/** The signal of options that have not been checked yet. */
function toSignal(options: Options): AbortSignal | undefined {
  const isThere = options !== null && typeof options === 'object' && 'signal' in options
  return isThere && options.signal instanceof AbortSignal ? options.signal : undefined
}

async function begin(context: Context, reader: Reader, options: Options): Promise<Start> {
  if (options !== null && typeof options === 'object' && 'refused' in options) throw options.refused
  const now = momentOfCall(context)
  const issues: Issue[] = unknownKeys(options, [...SELECTION, 'from', 'signal'])
  const { from = 'now', signal } = options
  issues.push(...fromIssues(from), ...signalIssues(signal))
  const filter = await toFilter(context, reader, options, issues)
  refuseIssues('the subscription', issues)
  const position = await placeFrom(context, reader, from, now)
  const { resourceId, tenant } = filter
  if (resourceId !== null && !(await isVisible(context, resourceId, tenant))) {
    throw notFound(resourceId)
  }
  return { filter, position, page: [], index: 0 }
}

/** Says what is wrong with a signal. */
export function signalIssues(signal: unknown): Issue[] {
  if (signal === undefined || signal instanceof AbortSignal) return []
  return [{ path: ['signal'], code: 'invalid_type', message: 'has to be an AbortSignal' }]
}

/** The next entry of the page in memory, unless the subscription has to end. */
function takeEntry(feed: Feed): ReadEntry | undefined {
  return feed.life.signal.aborted ? undefined : feed.page[feed.index++]
}

/** The first entry of the next page, once there is one; undefined when the subscription has to end. */
async function awaitEntry(context: Context, feed: Feed): Promise<ReadEntry | undefined> {
  const { signal } = feed.life
  while (!signal.aborted) {
    const seen = context.arrivals.count()
    const { entries, position, isEnd } = await readOn(context, feed.filter, feed.position)
    Object.assign(feed, { position, page: entries, index: 0 })
    if (entries.length > 0) return takeEntry(feed)
    if (isEnd) await firstOf(aborted(signal), (ring) => context.arrivals.next(seen, ring))
  }
  return undefined
}
