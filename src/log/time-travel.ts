/** What was a resource at some time? `at` @module */

import { toIso } from '../clock.ts'
import type { Context } from '../context.ts'
import type { ResourceView } from '../core/definition.ts'
import type { Kind } from '../core/kind.ts'
import type { Replayed } from '../core/replay.ts'
import { viewOf } from '../core/state.ts'
import { type Issue, notFound, PawlError, refuseIssues } from '../errors.ts'
import { replayUntil, type Standing } from './changes.ts'
import { type Moment, momentOf } from './filters.ts'
import { getRow } from './resources.ts'

/**
 * Reads a resource as it was after the last change that had begun at a place of the log, or by a time.
 *
 * Throws `not_found` for what had not been created yet, and where the log no longer reaches back so far.
 */
export async function resourceAt(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
  moment: number | Moment,
): Promise<ResourceView> {
  const asked = toAsked(moment)
  const { position } = await getRow(context, tenant, kind, id)
  const { state, earliest } = await replayUntil(context, position, (standing) =>
    isLater(asked, standing),
  )
  if (state !== null) return viewOf(kind, state.row)
  throw earliest === null ? notFound(id, kind.type) : tooEarly(kind, id, asked, earliest)
}

/** A place in the log, or milliseconds since 1970. */
type Asked = { readonly place: number } | { readonly time: number }

function toAsked(moment: unknown): Asked {
  const issues: Issue[] = []
  const asked = typeof moment === 'number' ? placeOf(moment, issues) : timeOf(moment, issues)
  refuseIssues('the moment', issues)
  return asked
}

function placeOf(place: number, issues: Issue[]): Asked {
  if (!Number.isSafeInteger(place) || place < 0) {
    const message = 'has to be the seq of an event, a Date or a text in ISO 8601 with a time zone'
    issues.push({ path: [], code: 'invalid_place', message })
  }
  return { place }
}

function timeOf(moment: unknown, issues: Issue[]): Asked {
  // A moment that is left out is none either.
  const time = momentOf('moment', (moment ?? Number.NaN) as Moment, issues)
  return { time: time ?? 0 }
}

function isLater(asked: Asked, { place, time }: Standing): boolean {
  return 'place' in asked ? place > asked.place : time > asked.time
}

function tooEarly(kind: Kind, id: string, asked: Asked, { born, row }: Replayed): Error {
  const isUnborn = 'place' in asked ? asked.place < born : asked.time < row.createdAt
  if (isUnborn) return notFound(id, kind.type)
  const moment = 'place' in asked ? `place ${asked.place}` : toIso(asked.time)
  const message = `the log of ${kind.type} ${id} no longer reaches back to ${moment}: it has been pruned`
  return new PawlError('not_found', message, { resource_id: id })
}
