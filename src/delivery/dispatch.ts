/** How is the log given out to the destinations, once and in order? @module */

import type { Context } from '../context.ts'
import type { Kind } from '../core/kind.ts'
import { entryTypes } from '../log/events.ts'
import { nowOf } from '../runtime/consumer.ts'
import type { DeliveryDraft, DestinationRow, DispatchRow } from '../store/deliveries.ts'
import type { ReadEntry } from '../store/queries.ts'
import { DESTINATION, type Deliverer } from './deliverer.ts'
import { foldDestination } from './destination-fold.ts'
import { createFollowers, type Followers } from './patterns.ts'
import type { DeliverySettings } from './settings.ts'

/** Gives out the log. */
export interface Dispatcher {
  /** Goes some way on; tells whether there is more. */
  advance(): Promise<boolean>
  /** Whether anybody wants events, as far as it is known. */
  isFollowed(): boolean
}

// What one transaction writes: some milliseconds of work.
const MOST_DELIVERIES = 250
const ENTRIES_AT_ONCE = 256

// How far the place may fall behind where nobody wants anything: writing it costs more than to look again.
const MOST_BEHIND = 1000

/** Creates a dispatcher. Of several, in this process or in others, each step is made by one. */
export function createDispatcher({ context, settings }: Deliverer): Dispatcher {
  const known: Known = { revision: null, followers: createFollowers([]) }
  return {
    advance: async () => {
      const kind = context.registry.byType.get(DESTINATION)
      // Whoever does not know what destinations are leaves the log to those who do.
      if (kind === undefined) return false
      const row = await context.store.dispatchRow()
      if (known.revision !== row.revision) {
        known.followers = createFollowers(await context.store.listDestinations())
        known.revision = row.revision
      }
      const more = await step({ context, settings, kind }, row, known)
      return (await catchUp(context)) || more
    },
    isFollowed: () => known.followers.count() > 0,
  }
}

/** The destinations, as they were at a revision. */
interface Known {
  revision: number | null
  followers: Followers
}

interface Surroundings {
  readonly context: Context
  readonly settings: DeliverySettings
  readonly kind: Kind
}

async function step(
  { context, settings, kind }: Surroundings,
  from: DispatchRow,
  known: Known,
): Promise<boolean> {
  const { store } = context
  const { followers } = known
  const { head } = await store.log()
  if (from.position >= head) return false
  const entries = await nextEntries(context, kind, from, followers)
  if (entries.length === 0) return skip(context, from, head)
  const { about, ...given } = giveOut(entries, from, followers)
  const changed = about && (await foldDestination(context, settings, from, about))
  const isDone = await store.dispatch({ ...given, from, changed, now: nowOf(context) })
  const destination = isDone && changed && (await store.findDestination(changed.after.id))
  if (destination) {
    followers.put(destination)
    known.revision = from.revision + 1
  }
  return true
}

/** What comes next: everything where somebody follows, otherwise what destinations themselves go through. */
function nextEntries(
  { store }: Context,
  kind: Kind,
  { position }: DispatchRow,
  followers: Followers,
): Promise<readonly ReadEntry[]> {
  const all = { tenant: null, resourceId: null, internal: true, since: null, until: null }
  const isFollowed = followers.count() > 0
  const types = isFollowed ? null : entryTypes(kind, true)
  const limit = isFollowed ? ENTRIES_AT_ONCE : 1
  return store.listEntries({ ...all, types, after: position, upTo: null, order: 'asc', limit })
}

/** The last place of the log that has been given out: all of it where nobody wants anything of what comes after. */
export async function givenOutTo(context: Context): Promise<number> {
  const row = await context.store.dispatchRow()
  const followers = createFollowers(await context.store.listDestinations())
  const { head } = await context.store.log()
  const kind = context.registry.byType.get(DESTINATION)
  if (followers.count() > 0 || kind === undefined) return row.position
  const [next] = await nextEntries(context, kind, row, followers)
  return next === undefined ? head : row.position
}

async function skip(context: Context, row: DispatchRow, head: number): Promise<boolean> {
  if (head - row.position < MOST_BEHIND) return false
  const to = { position: head, within: 0 }
  await context.store.dispatch({
    from: row,
    to,
    deliveries: [],
    changed: null,
    now: nowOf(context),
  })
  return false
}

function isOfDestination({ type }: ReadEntry): boolean {
  return type.startsWith(`${DESTINATION}.`)
}

/** What is given out at once. */
interface GivenOut {
  readonly deliveries: readonly DeliveryDraft[]
  readonly to: Pick<DispatchRow, 'position' | 'within'>
  /** The entry at its end, where that is about a destination. */
  readonly about: ReadEntry | null
}

/** Gives out entries, as many as go at once, up to one after which destinations are not what they were. */
function giveOut(
  entries: readonly ReadEntry[],
  { position, within }: DispatchRow,
  followers: Followers,
): GivenOut {
  const deliveries: DeliveryDraft[] = []
  let to = { position, within }
  for (const entry of entries) {
    const wanting = followers.of(entry).filter((one) => one.position > to.within)
    const now = wanting.slice(0, MOST_DELIVERIES - deliveries.length)
    deliveries.push(...now.map((destination) => draftOf(entry, destination)))
    if (now.length < wanting.length) {
      const last = now.at(-1)?.position ?? to.within
      return { deliveries, to: { position: entry.seq - 1, within: last }, about: null }
    }
    to = { position: entry.seq, within: 0 }
    if (isOfDestination(entry)) return { deliveries, to, about: entry }
  }
  return { deliveries, to, about: null }
}

/** The delivery of an entry to a destination. */
export function draftOf(
  { seq, id: eventId, type: eventType, resourceId, tenant }: ReadEntry,
  { position: destination }: DestinationRow,
): DeliveryDraft {
  return { seq, eventId, eventType, resourceId, tenant, destination }
}

// Destinations that catch up at the same time; further ones wait for their turn.
const CATCHING_UP = 16

/** Moves the destinations that catch up on, up to where all others are; tells whether there is more. */
async function catchUp(context: Context): Promise<boolean> {
  const behind = await context.store.destinationsBehind(CATCHING_UP)
  for (const destination of behind) await catchUpOne(context, destination)
  return behind.length > 0
}

async function catchUpOne(context: Context, destination: DestinationRow): Promise<void> {
  const { store } = context
  const { position, within } = await store.dispatchRow()
  const { place: after, tenant, patterns } = destination
  const found = await store.listEntries({
    ...{ tenant, after, resourceId: null, types: null, internal: false, since: null, until: null },
    ...{ upTo: position, order: 'asc', limit: ENTRIES_AT_ONCE },
  })
  const followers = createFollowers([{ ...destination, patterns, phase: 'following' }])
  const entries = found.filter((entry) => followers.of(entry).length > 0)
  const last = found.length === ENTRIES_AT_ONCE ? found.at(-1) : undefined
  await store.catchUp({
    destination,
    place: last?.seq ?? position,
    joins: last === undefined && within === 0,
    deliveries: entries.map((entry) => draftOf(entry, destination)),
    now: nowOf(context),
  })
}
