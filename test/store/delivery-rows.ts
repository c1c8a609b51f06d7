import { expect } from 'vitest'
import type {
  ClaimedRow,
  DeliveryDraft,
  DeliveryQuery,
  DestinationDraft,
  DestinationRow,
  Settlement,
  Wish,
} from '../../src/store/deliveries.ts'
import type { Phase } from '../../src/store/delivery-schema.ts'
import type { Store } from '../../src/store/store.ts'
import { first } from '../delivery/deliveries.ts'
import { entryOf, type OpenStore, rowOf, write } from './rows.ts'

/** The time at which everything happens. */
export const NOW = 10_000

/** How long whoever takes something on may be at it. */
export const LEASE = 5000

/** The destination there is. */
export const TARGET = 'evtd_1'

const DESTINATION: DestinationDraft = {
  ...{ id: TARGET, tenant: 'default', patterns: ['*'], ordered: true },
  ...{ phase: 'following', place: null, verifyAt: null },
}

/** How a destination is that has been deleted. */
export const ENDED = { phase: 'ended' satisfies Phase, place: null } as const

/** A store with a destination, and some events about one thing that nothing has been made of yet. */
export async function setup(
  openStore: OpenStore,
  parts: Partial<DestinationDraft> = {},
  events = 2,
) {
  const store = await openStore()
  const entries = Array.from({ length: events }, (_, index) => entryOf(index + 2, 'thg_1'))
  await write(store, {
    created: [rowOf(TARGET, { type: 'event_destination' }), rowOf('thg_1')],
    entries: [entryOf(1, TARGET), ...entries],
  })
  await change(store, parts)
  return { store, destination: await destinationIn(store) }
}

/** The destination as it is. */
export async function destinationIn(store: Store): Promise<DestinationRow> {
  return (await store.findDestination(TARGET)) ?? expect.fail('there is no destination')
}

/** Has the dispatcher change the destination. */
export async function change(store: Store, parts: Partial<DestinationDraft>): Promise<boolean> {
  const from = await store.dispatchRow()
  const before = await store.findDestination(TARGET)
  const after = { ...DESTINATION, ...before, ...parts }
  const changed = { before, after }
  return store.dispatch({ from, to: { ...from, within: 0 }, deliveries: [], changed, now: NOW })
}

/** An event that is to be delivered. */
export const draftOf = (seq: number, destination: number): DeliveryDraft => ({
  ...{ seq, destination, tenant: 'default', eventId: `evt_${seq}`, eventType: 'thing.went' },
  resourceId: 'thg_1',
})

/** Gives events out. */
export async function giveOut(store: Store, ...seqs: readonly number[]): Promise<void> {
  const { position } = await destinationIn(store)
  const from = await store.dispatchRow()
  const to = { position: Math.max(...seqs), within: 0 }
  const deliveries = seqs.map((seq) => draftOf(seq, position))
  expect(await store.dispatch({ from, to, deliveries, changed: null, now: NOW })).toBe(true)
}

/** A wish for all there may be. */
export const wishOf = (parts: Partial<Wish> = {}): Wish => ({
  ...{ destination: 1, most: 10, replays: 10, version: 1, lease: LEASE },
  ...parts,
})

/** Takes on what is due. */
export async function claim(
  store: Store,
  now = NOW,
  parts: Partial<Wish> = {},
): Promise<readonly ClaimedRow[]> {
  return (await store.settleAndClaim([], [wishOf(parts)], () => now)).claimed
}

/** Writes how attempts have gone. */
export const settle = (store: Store, ...settlements: readonly Settlement[]) =>
  store.settleAndClaim(settlements, [], () => NOW)

/** How an attempt has gone. */
export function settlementOf(
  { seq, destination, resourceId, fence, attempts }: ClaimedRow,
  status: Settlement['status'],
): Settlement {
  const [statusCode, error] = status === 'succeeded' ? [200, null] : [500, 'no: not now']
  return {
    ...{ seq, destination, resourceId, fence, status, tries: 1, nextAt: NOW },
    attempt: {
      ...{ number: attempts + 1, at: NOW, statusCode, durationMs: 1, error, responseBody: null },
    },
  }
}

/** Cancels what is open. */
export async function cancelAll(store: Store): Promise<void> {
  await store.cancelDeliveries(await store.dispatchRow(), { destination: 1, seq: 1000 }, 250)
}

/** All deliveries there are. */
export const EVERY_DELIVERY: DeliveryQuery = {
  ...{ tenant: null, destination: null, seq: null, statuses: null, after: null },
  ...{ order: 'asc', limit: 100 },
}

export const listAll = (store: Store) => store.listDeliveries(EVERY_DELIVERY)
export const statusesIn = async (store: Store) => (await listAll(store)).map(({ status }) => status)
export const seqsOf = (rows: readonly { readonly seq: number }[]) => rows.map(({ seq }) => seq)

/** A delivery that somebody is at. */
export async function setupClaimed(openStore: OpenStore) {
  const { store } = await setup(openStore)
  await giveOut(store, 2)
  return { store, claimed: first(await claim(store)) }
}

/** All that is known of a delivery. */
export async function everythingIn(store: Store, place: ClaimedRow): Promise<unknown> {
  return [await store.findDelivery(place), await store.listAttempts(place)]
}
