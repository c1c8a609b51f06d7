/** Which events are there? `events.list` and `events.get` @module */

import type { Context } from '../context.ts'
import type { Kind } from '../core/kind.ts'
import { type Issue, notFound, refuseIssues, shown } from '../errors.ts'
import { idIssues, unknownKeys } from '../runtime/options.ts'
import type { EntryQuery, ReadEntry } from '../store/queries.ts'
import { type Event, toEvent } from './event.ts'
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

/** Which events of the log. */
export interface EventSelection<Type extends string = string> {
  /** One or many event types; `session.*` stands for all of a resource, `*` for all. */
  readonly type?: EventPattern<Type> | readonly EventPattern<Type>[]
  /** The id of a resource. */
  readonly resource?: string
  /** On the root handle: another tenant, or `*` for all. */
  readonly tenant?: string
  /** Whether to include internal entries. @defaultValue false */
  readonly internal?: boolean
}

/** The names of the options above. */
export const SELECTION = ['type', 'resource', 'tenant', 'internal'] as const

/** Which events to list, newest first by default. */
export interface EventFilter<Type extends string = string>
  extends EventSelection<Type>,
    PageOptions {
  /** From this moment on. */
  readonly since?: Moment
  /** Before this moment. */
  readonly until?: Moment
}

/** An event type, or a pattern for several. */
export type EventPattern<Type extends string> = Type | '*' | `${ObjectOf<Type>}.*` | (string & {})

type ObjectOf<Type extends string> = Type extends `${infer Name}.${string}` ? Name : never

const FILTERS = [...PAGE_OPTIONS, ...SELECTION, 'since', 'until']

/** Whose log is read. */
export interface Reader {
  readonly tenant: string
  /** Whether other tenants may be read too. */
  readonly root: boolean
}

/** Lists events. Throws `invalid_input` for filters that cannot match anything. */
export function listEvents(
  context: Context,
  reader: Reader,
  filter: EventFilter = {},
): PagePromise<Event> {
  const limit = limitOf(filter)
  return fetchPage(
    {
      limit,
      read: (cursor) => readEntries(context, reader, filter, cursor),
      cursorAfter: ({ seq }: ReadEntry) => toCursor(eventList(context), [seq]),
      toItem: toEvent,
    },
    filter?.cursor,
  )
}

async function readEntries(
  context: Context,
  reader: Reader,
  filter: EventFilter,
  cursor: string | undefined,
): Promise<readonly ReadEntry[]> {
  const after = await placeOf(context, reader, cursor)
  const query = { ...(await toQuery(context, reader, filter)), after }
  if (query.resourceId !== null && !(await isVisible(context, query.resourceId, query.tenant)))
    return []
  return context.store.listEntries(query)
}

/** The place in the log after which to read on: that of a cursor, or of an event. */
export async function placeOf(
  context: Context,
  { tenant, root }: Reader,
  cursor: string | undefined,
): Promise<number | null> {
  const entry =
    typeof cursor === 'string' && cursor.startsWith('evt_')
      ? await context.store.findEntry(cursor)
      : undefined
  if (entry !== undefined && (root || entry.tenant === tenant)) return entry.seq
  const [after = null] = fromCursor(eventList(context), cursor) ?? []
  return after
}

function eventList({ identity }: Context): List {
  return { identity, name: 'events' }
}

/** Whether a resource exists for those who may see this tenant; all for null. */
export async function isVisible(
  { store }: Context,
  resourceId: string,
  tenant: string | null,
): Promise<boolean> {
  const row = await store.findResource(resourceId)
  return row !== undefined && (tenant === null || row.tenant === tenant)
}

async function toQuery(
  context: Context,
  reader: Reader,
  filter: EventFilter,
): Promise<Omit<EntryQuery, 'after'>> {
  const issues: Issue[] = [...unknownKeys(filter, FILTERS), ...pageIssues(filter)]
  const query = {
    ...(await toFilter(context, reader, filter, issues)),
    since: momentOf('since', filter.since, issues),
    until: momentOf('until', filter.until, issues),
  }
  refuseIssues('the filter', issues)
  const order = filter.order ?? 'desc'
  return { ...query, order, limit: limitOf(filter) + 1, upTo: null }
}

/** A selection of entries, as the store takes it. */
export type EntryFilter = Pick<EntryQuery, 'tenant' | 'resourceId' | 'types' | 'internal'>

/** Turns a selection into a filter. Adds an issue for each part that can match nothing. */
export async function toFilter(
  context: Context,
  reader: Reader,
  selection: EventSelection,
  issues: Issue[],
): Promise<EntryFilter> {
  const { resource, internal = false } = selection
  if (resource !== undefined) issues.push(...idIssues('resource', resource))
  if (typeof internal !== 'boolean') {
    issues.push({ path: ['internal'], code: 'invalid_type', message: 'has to be true or false' })
  }
  const tenant = tenantOf(reader.tenant, reader.root, selection.tenant, issues)
  const types = await typesOf(context, selection, { tenant, internal }, issues)
  return { tenant, types, internal, resourceId: resource ?? null }
}

async function typesOf(
  context: Context,
  { type }: EventSelection,
  scope: Pick<EntryFilter, 'tenant' | 'internal'>,
  issues: Issue[],
): Promise<readonly string[] | null> {
  if (type === undefined) return null
  const patterns: readonly string[] = listOf(type)
  if (patterns.includes('*')) return null
  if (patterns.length === 0)
    issues.push({ path: ['type'], code: 'empty', message: 'has to name at least one type' })
  const known = await knownTypes(context, patterns, scope)
  const types = new Set<string>()
  for (const pattern of patterns) {
    const matching = known.filter((name) => matches(pattern, name))
    for (const name of matching) types.add(name)
    if (matching.length === 0) issues.push(unknownType(pattern))
  }
  return [...types]
}

/** The types that there can be: those of today's machines and, where it matters, those that earlier ones have left in the log. */
async function knownTypes(
  { registry, store }: Context,
  patterns: readonly string[],
  { tenant, internal }: Pick<EntryFilter, 'tenant' | 'internal'>,
): Promise<readonly string[]> {
  const kinds = [...registry.byType.values()]
  const known = kinds.flatMap((kind) => entryTypes(kind, internal))
  if (patterns.every((pattern) => known.includes(pattern))) return known
  const strange = new Set(kinds.flatMap((kind) => (internal ? [] : internalTypes(kind))))
  const logged = await store.entryTypes(tenant)
  return [...new Set([...known, ...logged.filter((name) => !strange.has(name))])]
}

function unknownType(pattern: unknown): Issue {
  const message = `${shown(pattern)} matches no event type; use a type, "object.*" or "*"`
  return { path: ['type'], code: 'unknown_type', message }
}

/** Whether a type is meant by a pattern: itself, or `object.*`. */
export function matches(pattern: string, type: string): boolean {
  return (
    typeof pattern === 'string' &&
    (pattern === type || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))))
  )
}

/** The types that the entries of a kind can have. */
export function entryTypes(kind: Kind, internal: boolean): string[] {
  return internal ? [...kind.events, ...internalTypes(kind)] : [...kind.events]
}

function internalTypes(kind: Kind): string[] {
  return kind.causes
    .map((cause) => `${kind.type}.${cause}`)
    .filter((name) => !kind.events.has(name))
}

/** Reads one event, or one internal entry. Throws `not_found`, also for another tenant's. */
export async function getEvent({ store }: Context, { tenant }: Reader, id: string): Promise<Event> {
  const issues = idIssues('id', id)
  refuseIssues('the id', issues)
  const entry = await store.findEntry(id)
  if (entry === undefined || entry.tenant !== tenant) throw notFound(id, 'event')
  return toEvent(entry)
}
