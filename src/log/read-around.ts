/** How does a check go around the parts of a file that are damaged? @module */

import { isPawlError } from '../errors.ts'

/** What is read slice by slice, in the order of places. */
export interface Reading<Slice> {
  /** How much to read at once. */
  readonly limit: number
  /** Reads on after a place; `last` is the place to read on from, null at the end. */
  readonly read: (after: number, limit: number) => Promise<{ slice: Slice; last: number | null }>
  /** The last place that can be there. */
  readonly end: () => number
}

/** A slice, or a place that cannot be read. */
export type Around<Slice> = { readonly slice: Slice } | { readonly damaged: number }

// After so many places in a row that cannot be read, the rest is given up.
const MOST_DAMAGED = 2000

/** Reads from the first place on. Where the file is damaged, narrows down to the single places that cannot be read. */
export async function* readAround<Slice>({
  limit: most,
  read,
  end,
}: Reading<Slice>): AsyncGenerator<Around<Slice>> {
  let [after, limit, damaged] = [0, most, 0]
  while (damaged < MOST_DAMAGED) {
    const found = await undamaged(() => read(after, limit))
    if (found !== undefined) {
      yield { slice: found.slice }
      if (found.last === null) return
      ;[after, limit, damaged] = [found.last, Math.min(limit * 2, most), 0]
    } else if (limit > 1) {
      limit = Math.ceil(limit / 8)
    } else {
      ;[after, damaged] = [after + 1, damaged + 1]
      yield { damaged: after }
      if (after >= end()) return
    }
  }
}

async function undamaged<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isPawlError(error, 'storage_corrupt')) return undefined
    throw error
  }
}

/** Places in a row, the first and the last. */
export type Stretch = readonly [first: number, last: number]

/** Adds a place that follows all others. */
export function addPlace(stretches: Stretch[], place: number): void {
  const [first, last] = stretches.at(-1) ?? []
  if (first !== undefined && last === place - 1) stretches[stretches.length - 1] = [first, place]
  else stretches.push([place, place])
}

/** Names places in a row, such as `entries 3 to 5`. */
export function stretchText(
  [one, many]: readonly [string, string],
  [first, last]: Stretch,
): string {
  return first === last ? `${one} ${first}` : `${many} ${first} to ${last}`
}
