/** Do deliveries in PostgreSQL stay right while several processes are at them at once? @module */

import { describe, expect, onTestFinished, test } from 'vitest'
import type { ClaimedRow } from '../../src/store/deliveries.ts'
import type { Store } from '../../src/store/store.ts'
import { first } from '../delivery/deliveries.ts'
import { isServer, setupSchema } from '../support/postgres.ts'
import {
  cancelAll,
  change,
  claim,
  draftOf,
  giveOut,
  listAll,
  NOW,
  seqsOf,
  settle,
  settlementOf,
  setup,
  statusesIn,
  wishOf,
} from './delivery-rows.ts'

/** Several stores on one schema, each as of a process of its own; the first with a destination and events. */
async function setupStores(count: number, ...parts: [parts?: object, events?: number]) {
  const { database } = await setupSchema()
  const open = async () => {
    const store = await database.open({ durability: 'relaxed', busyTimeout: 5000 })
    onTestFinished(() => store.close())
    return store
  }
  const { store } = await setup(open, ...parts)
  const others = await Promise.all(Array.from({ length: count - 1 }, open))
  return { store, other: others[0] ?? store, stores: [store, ...others] }
}

/** Does something in a transaction, and keeps that open. */
async function within(store: Store, work: (inner: Store) => Promise<unknown>) {
  const transaction = store.transaction()
  await transaction.begin()
  await work(transaction.store)
  return transaction
}

// A process has one connection where there is no server.
describe.runIf(await isServer())('deliveries', () => {
  test('that are only wished for are not waited for where somebody has their destination', async () => {
    const { store, other } = await setupStores(2)
    await giveOut(store, 2)
    const held = await within(other, (inner) => giveOut(inner, 3))

    const meanwhile = await store.settleAndClaim([], [wishOf()], () => NOW)
    await held.commit()

    expect(meanwhile).toEqual({ claimed: [], isStale: true })
    expect(seqsOf(await claim(store))).toEqual([2])
  })

  test('that are canceled while their settlement waits stay so', async () => {
    const { store, other } = await setupStores(2)
    await giveOut(store, 2)
    const claimed = first(await claim(store))
    const held = await within(other, cancelAll)

    const settling = settle(store, settlementOf(claimed, 'waiting'))
    await held.commit()
    await settling

    expect(await statusesIn(store)).toEqual(['canceled'])
    expect(await store.listAttempts(claimed)).toHaveLength(1)
  })

  test('that are given out while a settlement waits are lined up', async () => {
    const { store, other } = await setupStores(2)
    await giveOut(store, 2)
    const claimed = first(await claim(store))
    const held = await within(other, (inner) => giveOut(inner, 3))

    const settling = settle(store, settlementOf(claimed, 'succeeded'))
    await held.commit()
    await settling

    expect(seqsOf(await claim(store))).toEqual([3])
  })

  test('are given out by one of those who do at the same time', async () => {
    const { store, other } = await setupStores(2)
    const from = await store.dispatchRow()
    const step = { from, to: { position: 3, within: 0 }, changed: null, now: NOW }
    const deliveries = [draftOf(2, 1), draftOf(3, 1)]

    const done = await Promise.all(
      [store, other].map((one) => one.dispatch({ ...step, deliveries })),
    )

    expect(done.toSorted()).toEqual([false, true])
    expect((await listAll(store)).map(({ ready }) => ready)).toEqual([true, false])
  })

  test('are not given out by what a destination was before another one has changed it', async () => {
    const { store, other } = await setupStores(2)
    const from = await store.dispatchRow()
    const held = await within(other, (inner) => change(inner, { ordered: false }))

    const deliveries = [draftOf(2, 1)]
    const step = { from, to: { position: 2, within: 0 }, deliveries, changed: null, now: NOW }
    const dispatching = store.dispatch(step)
    await held.commit()

    expect(await dispatching).toBe(false)
    expect(await listAll(store)).toEqual([])
  })

  test.each([true, false])('arrive once each, whoever is at them; ordered: %s', async (ordered) => {
    const events = 60
    const { store, stores } = await setupStores(4, { ordered }, events)
    const arrived: number[] = []

    await Promise.all(stores.map((one) => work(one, events, arrived)))

    expect(new Set(await statusesIn(store))).toEqual(new Set(['succeeded']))
    const all = Array.from({ length: events }, (_, index) => index + 2)
    expect(ordered ? arrived : arrived.toSorted((one, another) => one - another)).toEqual(all)
  })
})

/** Gives out, takes on and settles until everything has arrived. */
async function work(store: Store, events: number, arrived: number[]): Promise<void> {
  let taken: readonly ClaimedRow[] = []
  while (arrived.length < events) {
    const from = await store.dispatchRow()
    const rest = Math.min(4, events + 1 - from.position)
    const deliveries = Array.from({ length: rest }, (_, index) =>
      draftOf(Math.max(1, from.position) + 1 + index, 1),
    ).filter(({ seq }) => seq <= events + 1)
    const to = { position: deliveries.at(-1)?.seq ?? from.position, within: 0 }
    if (deliveries.length > 0)
      await store.dispatch({ from, to, deliveries, changed: null, now: NOW })
    arrived.push(...seqsOf(taken))
    const settlements = taken.map((one) => settlementOf(one, 'succeeded'))
    taken = (await store.settleAndClaim(settlements, [wishOf({ most: 3 })], () => NOW)).claimed
  }
  await settle(store, ...taken.map((one) => settlementOf(one, 'succeeded')))
}
