/** What has a resource been through? @module */

import type { Context } from '../context.ts'
import type { Kind } from '../core/kind.ts'
import { refuseIssues } from '../errors.ts'
import { unknownKeys } from '../runtime/options.ts'
import type { ReadEntry } from '../store/queries.ts'
import { type Event, toEvent } from './event.ts'
import {
  fetchPage,
  fromCursor,
  limitOf,
  PAGE_OPTIONS,
  type PageOptions,
  type PagePromise,
  pageIssues,
  toCursor,
} from './page.ts'
import { getRow } from './resources.ts'

/** An entry of a resource's history. */
export type HistoryEntry<AnyEvent = Event> = AnyEvent & {
  /** The status that the resource had then. */
  readonly status: string
  /** The status that this entry ended; null when it changed none. */
  readonly previous_status: string | null
  /** How long that status had lasted, in milliseconds. */
  readonly time_in_previous_ms: number | null
}

/** Lists everything that a resource has been through, internal entries included, oldest first. Throws `not_found`. */
export function historyOf(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
  options: PageOptions = {},
): PagePromise<HistoryEntry> {
  const list = { identity: context.identity, name: `history:${typeof id === 'string' ? id : ''}` }
  return fetchPage(
    {
      limit: limitOf(options),
      read: async (cursor) => {
        await getRow(context, tenant, kind, id)
        refuseIssues('the options', [...unknownKeys(options, PAGE_OPTIONS), ...pageIssues(options)])
        const [after = null] = fromCursor(list, cursor) ?? []
        return context.store.listEntries({
          ...EVERYTHING,
          resourceId: id,
          after,
          order: options.order ?? 'asc',
          limit: limitOf(options) + 1,
        })
      },
      cursorAfter: ({ seq }: ReadEntry) => toCursor(list, [seq]),
      toItem: toHistoryEntry,
    },
    options?.cursor,
  )
}

const EVERYTHING = {
  ...{ tenant: null, types: null, internal: true, since: null, until: null, upTo: null },
}

function toHistoryEntry(entry: ReadEntry): HistoryEntry {
  const { status } = JSON.parse(entry.data) as { readonly status: string }
  return {
    ...toEvent(entry),
    status,
    previous_status: entry.previousStatus,
    time_in_previous_ms: entry.previousMs,
  }
}
