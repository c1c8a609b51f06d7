/** Which resources are there, and what do they accept? `get`, `find`, `list`, `accepts` @module */

import type { Context } from '../context.ts'
import type { ResourceView } from '../core/definition.ts'
import type { Kind } from '../core/kind.ts'
import { acceptedCommands } from '../core/legality.ts'
import type { ResourceRow } from '../core/rows.ts'
import { viewOf } from '../core/state.ts'
import { asMigrated } from '../core/versions.ts'
import { type Issue, notFound, refuseIssues, shown } from '../errors.ts'
import { checkId, idIssues, unknownKeys } from '../runtime/options.ts'
import type { Placed, ResourceQuery } from '../store/queries.ts'
import type { Reader } from './events.ts'
import { listOf, type Moment, momentOf, tenantOf } from './filters.ts'
import {
  fetchPage,
  fromCursor,
  type List,
  limitOf,
  PAGE_OPTIONS,
  type PageOptions,
  type PagePromise,
  pageIssues,
  toCursor,
} from './page.ts'

/** Which resources to list, newest first by default. Reference fields filter by the id they hold. */
export type ResourceFilter<
  Status extends string = string,
  Reference extends string = string,
> = PageOptions & {
  /** One or many; by default all but `deleted`. */
  readonly status?: Status | readonly Status[]
  /** Created after this moment. */
  readonly created_after?: Moment
  /** Created before this moment. */
  readonly created_before?: Moment
  /** On the root handle: another tenant, or `*` for all. */
  readonly tenant?: string
} & { readonly [Field in Reference]?: string }

const FILTERS = [...PAGE_OPTIONS, 'status', 'created_after', 'created_before', 'tenant']

// The status that lists leave out unless it is asked for.
const GONE = 'deleted'

/** Finds a row of this tenant and kind. */
async function findRow(
  { store }: Context,
  tenant: string,
  kind: Kind,
  id: string,
): Promise<Placed<ResourceRow> | undefined> {
  checkId(id)
  const row = await store.findResource(id)
  return row?.tenant === tenant && row.type === kind.type ? row : undefined
}

/** Finds a row of this tenant and kind. Throws `not_found`. */
export async function getRow(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
): Promise<Placed<ResourceRow>> {
  const row = await findRow(context, tenant, kind, id)
  if (row === undefined) throw notFound(id, kind.type)
  return row
}

/** Reads a resource. Throws `not_found`. */
export async function getResource(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
): Promise<ResourceView> {
  return viewOf(kind, await getRow(context, tenant, kind, id))
}

/** Reads a resource; undefined when there is none. */
export async function findResource(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
): Promise<ResourceView | undefined> {
  const row = await findRow(context, tenant, kind, id)
  return row && viewOf(kind, row)
}

/** Tells which commands are legal now. */
export async function acceptsOf(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
): Promise<readonly string[]> {
  return acceptedCommands(kind, asMigrated(kind, await getRow(context, tenant, kind, id)))
}

/** Lists resources of a kind. Throws `invalid_input` for filters that cannot match anything. */
export function listResources(
  context: Context,
  reader: Reader,
  kind: Kind,
  filter: ResourceFilter = {},
): PagePromise<ResourceView> {
  return fetchPage(
    {
      limit: limitOf(filter),
      read: async (cursor) =>
        context.store.listResources(toQuery(context, reader, kind, filter, cursor)),
      cursorAfter: ({ position }: Placed<ResourceRow>) =>
        toCursor(listOfKind(context, kind), [position]),
      toItem: (row) => viewOf(kind, row),
    },
    filter?.cursor,
  )
}

function toQuery(
  context: Context,
  reader: Reader,
  kind: Kind,
  filter: ResourceFilter,
  cursor: string | undefined,
): ResourceQuery {
  const fields = [...kind.references.keys()]
  const issues: Issue[] = [...unknownKeys(filter, [...FILTERS, ...fields]), ...pageIssues(filter)]
  const references = fields.flatMap((field) =>
    filter[field] === undefined ? [] : [[field, filter[field]] as const],
  )
  for (const [field, id] of references) issues.push(...idIssues(field, id))
  const query = {
    tenant: tenantOf(reader.tenant, reader.root, filter.tenant, issues),
    statuses: statusesOf(kind, filter.status, issues),
    createdAfter: momentOf('created_after', filter.created_after, issues),
    createdBefore: momentOf('created_before', filter.created_before, issues),
  }
  refuseIssues('the filter', issues)
  const [after = null] = fromCursor(listOfKind(context, kind), cursor) ?? []
  const range = { after, order: filter.order ?? 'desc', limit: limitOf(filter) + 1 } as const
  return { ...query, ...range, type: kind.type, references: Object.fromEntries(references) }
}

function listOfKind({ identity }: Context, { type }: Kind): List {
  return { identity, name: type }
}

function statusesOf(
  kind: Kind,
  asked: string | readonly string[] | undefined,
  issues: Issue[],
): readonly string[] | null {
  // A definition that names statuses itself has not said which there are.
  const open = kind.statuses.length === 0
  if (asked === undefined) return open ? null : kind.statuses.filter((status) => status !== GONE)
  const statuses = [...new Set(listOf(asked))]
  const unknown = statuses.filter(
    (status) => typeof status !== 'string' || !(open || kind.statuses.includes(status)),
  )
  if (unknown.length > 0 || statuses.length === 0) {
    const message = `${unknown.map(shown).join(', ')} is not among the statuses of ${kind.type}: ${kind.statuses.join(', ')}`
    issues.push({ path: ['status'], code: 'unknown_status', message })
  }
  return statuses
}
