/** Which different values does an index have, without reading all of it? @module */

import type { Database } from 'better-sqlite3'
import { prepare, queries } from './statement.ts'

/**
 * Goes from one value to the next, passing over all that are alike: their number does not matter. Stops after so
 * many.
 */
export function following(
  next: (after: string) => string | null | undefined,
  most = Number.POSITIVE_INFINITY,
): string[] {
  const found: string[] = []
  for (let one = next(''); typeof one === 'string' && found.length < most; one = next(one))
    found.push(one)
  return found
}

/** Prepares naming the statuses in which resources of a type were when the log was listed last. */
export function notedStatuses(
  database: Database,
): (tenant: string, type: string, most: number) => string[] {
  const statement = prepare(database, (slot) =>
    queries
      .selectFrom('pawl_statuses')
      .select(({ fn }) => fn.min<string | null>('status').as('status'))
      .where('tenant', '=', slot('tenant'))
      .where('type', '=', slot('type'))
      .where('status', '>', slot('after')),
  )
  return (tenant, type, most) =>
    following((after) => statement.get({ tenant, type, after })?.status, most)
}
