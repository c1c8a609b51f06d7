/** Do deliveries in PostgreSQL stay right while several processes are at them at once? @module */

import { describe, expect, onTestFinished, test } from 'vitest'
import type { ClaimedRow } from '../../src/store/deliveries.ts'
import type { Store } from '../../src/store/store.ts'
import { first } from '../delivery/deliveries.ts'
import { isServer, setupSchema } from '../support/postgres.ts'
import { isSoon } from '../support/until.ts'
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
  TARGET,
  wishOf,
} from './delivery-rows.ts'
import { entryOf, write } from './rows.ts'

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

  test('are not replayed where their events are being pruned', async () => {
    const { store, other } = await setupStores(2)
    const held = await within(other, pruneTo(2))

    const replaying = store.replayDeliveries([draftOf(2, 1), draftOf(3, 1)], NOW)
    await isSoon(replaying)
    await held.commit()
    await replaying

    expect(seqsOf(await listAll(store))).toEqual([3])
  })

  test('that are being replayed are seen by whoever prunes', async () => {
    const { store, other } = await setupStores(2)
    await giveOut(store, 3)
    const held = await within(other, (inner) => inner.replayDeliveries([draftOf(2, 1)], NOW))
    const seen: unknown[] = []

    const pruning = store.pruneLog(0, 10, ({ slowest }) => {
      seen.push(slowest)
      return { through: null, bases: [] }
    })
    await isSoon(pruning)
    await held.commit()
    await pruning

    expect(seen).toEqual([{ name: TARGET, place: 1 }])
  })

  test('that are being pruned are not sent again', async () => {
    const { store, other } = await setupStores(2)
    await giveOut(store, 2)
    const claimed = first(await claim(store))
    await settle(store, settlementOf(claimed, 'succeeded'))
    const held = await within(other, pruneTo(2))

    const resending = store.resendDelivery(claimed, NOW)
    await isSoon(resending)
    await held.commit()

    expect(await resending).toBeUndefined()
    expect(await listAll(store)).toEqual([])
  })

  test('are kept while they are replayed, and entries still appended', async () => {
    const { store, other } = await setupStores(2)
    const held = await within(other, (inner) => inner.replayDeliveries([draftOf(2, 1)], NOW))

    const pruning = pruneTo(2)(store)
    const isPruned = await isSoon(pruning)
    const isAppended = await isSoon(write(store, { entries: [entryOf(4, 'thg_1')] }))
    await held.commit()
    await pruning

    expect({ isPruned, isAppended }).toEqual({ isPruned: false, isAppended: true })
    expect((await store.log()).pruned).toBe(0)
  })

  test('have a destination that follows only once whoever prunes without it is done', async () => {
    const { store, other } = await setupStores(2, { phase: 'new' })
    const held = await within(other, pruneTo(2))

    const following = change(store, { phase: 'following' })
    const isFollowing = await isSoon(following)
    await held.commit()

    expect([isFollowing, await following]).toEqual([false, true])
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

const pruneTo = (through: number) => (store: Store) =>
  store.pruneLog(0, 10, () => ({ through, bases: [] }))

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
