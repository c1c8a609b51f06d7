/** From which place on is the log to be read? @module */

import type { Context } from '../context.ts'
import { type Issue, invalidInput, isPawlError } from '../errors.ts'
import { placeOf, type Reader } from './events.ts'

/** Where to begin: the oldest entry there is, after all there are now, after an event or a page, a `seq`, or at a moment. */
export type From = 'start' | 'now' | Date | number | (string & {})

/** Notes where the log ends at this moment: what `'now'` means, even if the beginning takes a while. */
export function momentOfCall({ store }: Context): Promise<number> {
  const head = store.headNow()
  // Where something else is wrong, nobody asks.
  head.catch(() => {})
  return head
}

/** The place after which to begin. Throws `invalid_input` for what is no place in this log. */
export async function placeFrom(
  context: Context,
  reader: Reader,
  from: From,
  now: Promise<number>,
): Promise<number> {
  if (from === 'now') return now
  const { head, pruned } = await context.store.log()
  if (from === 'start') return pruned
  if (from instanceof Date) {
    const place = await context.store.placeAt(from.getTime())
    return place === undefined ? head : place - 1
  }
  const place = typeof from === 'number' ? from : await placeOfText(context, reader, from)
  if (place > head) {
    throw badPlace('it is ahead of the log: has the database been restored from an older copy?')
  }
  if (place < pruned) throw badPlace('the log after it has been pruned')
  return place
}

async function placeOfText(context: Context, reader: Reader, from: string): Promise<number> {
  try {
    return (await placeOf(context, reader, from)) ?? 0
  } catch (error) {
    if (!isPawlError(error, 'invalid_input')) throw error
    const [issue] = error.details.issues
    throw issue?.code === 'strange_cursor'
      ? badPlace(issue.message)
      : badPlace(
          'it is no event that this log has (prune may have removed it), nor the next_cursor of one of its pages',
        )
  }
}

/** Says what is wrong with a beginning, as far as that can be said without looking at the log. */
export function fromIssues(from: unknown): Issue[] {
  const isDate = from instanceof Date && !Number.isNaN(from.getTime())
  const isPlace = Number.isSafeInteger(from) && (from as number) >= 0
  if (isDate || isPlace || (typeof from === 'string' && from !== '')) return []
  const message = `has to be 'start', 'now', a Date, an event's id or seq, or the next_cursor of a page`
  return [{ path: ['from'], code: 'invalid_from', message }]
}

/** The error for a place from which the log cannot be read on. */
export function badPlace(message: string): Error {
  return invalidInput('the place to go on from', [
    { path: ['from'], code: 'invalid_from', message },
  ])
}
