/** What does the log say of a destination: since when is it to be given what? @module */

import { parseTime } from '../clock.ts'
import type { Context } from '../context.ts'
import type {
  DestinationChange,
  DestinationDraft,
  DestinationRow,
  DispatchRow,
} from '../store/deliveries.ts'
import { isGoing } from '../store/delivery-schema.ts'
import type { ReadEntry } from '../store/queries.ts'
import { DESTINATION } from './deliverer.ts'
import { type DeliverySettings, settingsOf } from './settings.ts'

/** What an entry shows of a destination. */
interface Shown {
  readonly status: string
  readonly events: readonly string[]
}

/**
 * How a destination is to be given the log after an entry about it; null where it is none. What is not to be
 * delivered any more is canceled before.
 */
export async function foldDestination(
  context: Context,
  settings: DeliverySettings,
  from: DispatchRow,
  entry: ReadEntry,
): Promise<DestinationChange | null> {
  const { store } = context
  const resource = await store.findResource(entry.resourceId)
  if (resource?.type !== DESTINATION) return null
  const stored = await store.findDestination(resource.id)
  const before = stored ?? created(entry)
  const { status, events }: Shown = JSON.parse(entry.data)
  const { delivery = null } = JSON.parse(resource.context)
  const wished = await wishedPlace(context, entry)
  const passed = status === 'deleted' ? Number.MAX_SAFE_INTEGER : wished
  if (passed !== null) await cancelUpTo(context, from, stored, passed)
  const whereabouts: Whereabouts = wished === null ? before : { phase: 'stopped', place: wished }
  const after = {
    ...{ ...before, ...next(whereabouts, status, entry), patterns: events },
    ordered: settingsOf(settings, delivery).order === 'resource',
    verifyAt: verifyAt(before, status, entry),
  }
  return { before: stored, after }
}

function created({ resourceId: id, tenant }: ReadEntry): DestinationDraft {
  return { id, tenant, patterns: [], ordered: true, phase: 'new', place: null, verifyAt: null }
}

/** After which place a destination wants to go on, where it says so when it is reactivated; null for where it stopped. */
async function wishedPlace({ store }: Context, { cause, seq }: ReadEntry): Promise<number | null> {
  if (cause !== 'reactivate') return null
  const { from = 'resume' }: { readonly from?: string } = JSON.parse(
    (await store.commandAt(seq)) ?? '{}',
  )
  if (from === 'resume') return null
  const place = from === 'now' ? undefined : await store.placeAt(parseTime(from))
  return place === undefined ? seq : Math.min(seq, place - 1)
}

// Deliveries that are canceled in one transaction.
const CANCELED_AT_ONCE = 250

/** Cancels what a destination passes over; what somebody is at may arrive yet. */
async function cancelUpTo(
  { store }: Context,
  from: DispatchRow,
  destination: DestinationRow | undefined,
  through: number,
): Promise<void> {
  if (destination === undefined) return
  const upTo = { destination: destination.position, seq: through }
  for (let more = true; more; ) {
    const canceled = await store.cancelDeliveries(from, upTo, CANCELED_AT_ONCE)
    more = canceled === CANCELED_AT_ONCE
  }
}

type Whereabouts = Pick<DestinationDraft, 'phase' | 'place'>

/** Since when a destination that has this status is given what. */
function next({ phase, place }: Whereabouts, status: string, { seq }: ReadEntry): Whereabouts {
  if (status === 'deleted') return { phase: 'ended', place: null }
  if (status === 'active') {
    if (isGoing(phase)) return { phase, place }
    return place === null ? { phase: 'following', place } : { phase: 'behind', place }
  }
  return isGoing(phase) ? { phase: 'stopped', place: place ?? seq } : { phase, place }
}

// What makes a destination be verified; it is asked for anything else later, on request.
const VERIFIED_AFTER = new Set(['create', 'reactivate', 'update'])

function verifyAt(
  { verifyAt: at }: DestinationDraft,
  status: string,
  { cause, createdAt }: ReadEntry,
): number | null {
  if (status !== 'pending_verification') return null
  return VERIFIED_AFTER.has(cause) ? createdAt : at
}
