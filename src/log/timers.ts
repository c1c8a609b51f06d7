/** What is going to happen by itself? `timers.list` @module */

import { toIso } from '../clock.ts'
import type { Context } from '../context.ts'
import type { TimerRow } from '../core/rows.ts'
import { causeOf } from '../core/structure.ts'
import { refuseIssues } from '../errors.ts'
import { idIssues, unknownKeys } from '../runtime/options.ts'
import type { Reader } from './events.ts'
import { tenantOf } from './filters.ts'
import {
  fetchPage,
  fromCursor,
  limitOf,
  type PageOptions,
  type PagePromise,
  pageIssues,
  toCursor,
} from './page.ts'

/** A future command. */
export interface Timer {
  readonly resource_id: string
  /** The name of its delay in the machine, or the command that it sends. */
  readonly name: string
  /** ISO 8601, UTC. */
  readonly due_at: string
  /** How often it has failed. */
  readonly attempts: number
  /** Why it failed last; null as long as it has not. */
  readonly last_error: string | null
}

/** Which timers to list, those due first first. */
export interface TimerFilter extends Omit<PageOptions, 'order'> {
  /** The id of a resource. */
  readonly resource?: string
  /** On the root handle: another tenant, or `*` for all. */
  readonly tenant?: string
}

/** Lists the timers that are set. */
export function listTimers(
  context: Context,
  reader: Reader,
  filter: TimerFilter = {},
): PagePromise<Timer> {
  const list = { identity: context.identity, name: 'timers' }
  return fetchPage(
    {
      limit: limitOf(filter),
      read: async (cursor) => {
        const issues = [
          ...unknownKeys(filter, ['limit', 'cursor', 'resource', 'tenant']),
          ...pageIssues(filter),
        ]
        if (filter.resource !== undefined) issues.push(...idIssues('resource', filter.resource))
        const tenant = tenantOf(reader.tenant, reader.root, filter.tenant, issues)
        refuseIssues('the filter', issues)
        const [dueAt = 0, position = 0] = fromCursor(list, cursor, 2) ?? []
        const after = cursor === undefined ? null : { dueAt, position }
        return context.store.listTimers({
          tenant,
          resourceId: filter.resource ?? null,
          after,
          limit: limitOf(filter) + 1,
        })
      },
      cursorAfter: ({ dueAt, position }: TimerRow) => toCursor(list, [dueAt, position]),
      toItem: (row) => toTimer(context, row),
    },
    filter?.cursor,
  )
}

function toTimer({ registry }: Context, row: TimerRow): Timer {
  const { type } = JSON.parse(row.event) as { readonly type: string }
  const [prefix] = /^.*(?=_)/.exec(row.resourceId) ?? []
  const kind = [...registry.byType.values()].find((candidate) => candidate.prefix === prefix)
  return {
    resource_id: row.resourceId,
    name: causeOf(kind?.nodes ?? new Map(), type),
    due_at: toIso(row.dueAt),
    attempts: row.attempts,
    last_error: row.lastError,
  }
}
