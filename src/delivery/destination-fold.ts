/** What does the log say of a destination: since when is it to be given what? @module */

import { parseTime } from '../clock.ts'
import type { Context } from '../context.ts'
import type { DestinationDraft, DestinationRow } from '../store/deliveries.ts'
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
  entry: ReadEntry,
): Promise<DestinationDraft | null> {
  const { store } = context
  const resource = await store.findResource(entry.resourceId)
  if (resource?.type !== DESTINATION) return null
  const before = (await store.findDestination(resource.id)) ?? created(entry)
  const { status, events }: Shown = JSON.parse(entry.data)
  const { delivery = null } = JSON.parse(resource.context)
  const wishing = { ...before, resumeFrom: await wishOf(context, before, entry) }
  const phase = await phaseAfter(context, wishing, status, entry)
  await cancel(context, wishing, phase, entry)
  return {
    ...{ ...wishing, ...phase, patterns: events },
    ordered: settingsOf(settings, delivery).order === 'resource',
    verifyAt: verifyAt(before, status, entry),
  }
}

type Before = DestinationDraft & Partial<Pick<DestinationRow, 'position'>>

function created({ resourceId: id, tenant }: ReadEntry): Before {
  const nothing = { place: null, resumeFrom: null, verifyAt: null }
  return { id, tenant, patterns: [], ordered: true, phase: 'new', ...nothing }
}

/** From where a destination wants to go on: it says so when it is reactivated, and until it is active again. */
async function wishOf(
  { store }: Context,
  { resumeFrom }: Before,
  { cause, seq }: ReadEntry,
): Promise<string | null> {
  if (cause !== 'reactivate') return resumeFrom
  const { from }: { readonly from?: string } = JSON.parse((await store.commandAt(seq)) ?? '{}')
  return from === undefined || from === 'resume' ? null : from
}

type PhaseAndPlace = Pick<DestinationDraft, 'phase' | 'place' | 'resumeFrom'>

async function phaseAfter(
  context: Context,
  { phase, place, resumeFrom }: Before,
  status: string,
  { seq }: ReadEntry,
): Promise<PhaseAndPlace> {
  const isGoing = phase === 'following' || phase === 'behind'
  if (status === 'deleted') return { phase: 'ended', place: null, resumeFrom: null }
  if (status !== 'active')
    return isGoing
      ? { phase: 'stopped', place: place ?? seq, resumeFrom }
      : { phase, place, resumeFrom }
  if (isGoing) return { phase, place, resumeFrom }
  if (phase === 'new' || place === null || resumeFrom === 'now')
    return { phase: 'following', place: null, resumeFrom: null }
  const from = resumeFrom === null ? place : await placeBefore(context, resumeFrom, seq)
  return { phase: 'behind', place: from, resumeFrom: null }
}

/** The last place of the log before a time, but none after the entry that it is asked for by. */
async function placeBefore({ store }: Context, time: string, seq: number): Promise<number> {
  const place = await store.placeAt(parseTime(time))
  return Math.min(seq, place === undefined ? seq : place - 1)
}

// Deliveries that are canceled in one transaction.
const CANCELED_AT_ONCE = 250

/** Cancels what a destination passes over: everything when it is deleted, what came before where it begins anew. */
async function cancel(
  { store }: Context,
  { position, phase: before, resumeFrom }: Before,
  { phase, place }: PhaseAndPlace,
  { seq }: ReadEntry,
): Promise<void> {
  const beginsAnew = before === 'stopped' && phase !== 'stopped' && resumeFrom !== null
  if (position === undefined || !(beginsAnew || phase === 'ended')) return
  const through = phase === 'ended' ? Number.MAX_SAFE_INTEGER : (place ?? seq)
  while (
    (await store.cancelDeliveries(position, through, CANCELED_AT_ONCE)) === CANCELED_AT_ONCE
  ) {}
}

// What makes a destination be verified; it is asked for anything else later, on request.
const VERIFIED_AFTER = new Set(['create', 'reactivate', 'update'])

function verifyAt(
  { verifyAt: at }: Before,
  status: string,
  { cause, createdAt }: ReadEntry,
): number | null {
  if (status !== 'pending_verification') return null
  return VERIFIED_AFTER.has(cause) ? createdAt : at
}
