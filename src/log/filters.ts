/** Are the filters of a list what they can be? @module */

import type { Issue } from '../errors.ts'
import { idIssues } from '../runtime/options.ts'

/** A moment: a `Date`, or a text in ISO 8601 with a time zone. */
export type Moment = Date | string

const ISO = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/

/** Milliseconds since 1970; null without a moment. Adds an issue for what is none. */
export function momentOf(name: string, moment: Moment | undefined, issues: Issue[]): number | null {
  if (moment === undefined) return null
  const isText = typeof moment === 'string' && ISO.test(moment)
  const time = isText ? Date.parse(moment) : moment instanceof Date ? moment.getTime() : Number.NaN
  if (!Number.isNaN(time)) return time
  const message =
    'has to be a Date or a text in ISO 8601 with a time zone, such as 2026-01-31T12:00:00Z'
  issues.push({ path: [name], code: 'invalid_time', message })
  return null
}

/** The tenant to list: the caller's own, or on the root handle any other, `*` for all. Null for all. */
export function tenantOf(
  own: string,
  root: boolean,
  asked: string | undefined,
  issues: Issue[],
): string | null {
  if (asked === undefined || asked === own) return own
  if (root && asked === '*') return null
  if (root && typeof asked === 'string') {
    issues.push(...idIssues('tenant', asked))
    return asked
  }
  issues.push({
    path: ['tenant'],
    code: 'invalid_tenant',
    message: 'can only be given on the root handle',
  })
  return own
}

/** One or many values as a list. */
export function listOf<T extends string>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T]
}
