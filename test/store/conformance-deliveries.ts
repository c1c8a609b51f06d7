import { describe, expect, test } from 'vitest'
import type { ClaimedRow } from '../../src/store/deliveries.ts'
import type { Store } from '../../src/store/store.ts'
import { first } from '../delivery/deliveries.ts'
import {
  cancelAll,
  change,
  claim,
  destinationIn,
  draftOf,
  ENDED,
  everythingIn,
  giveOut,
  LEASE,
  listAll,
  NOW,
  seqsOf,
  settle,
  settlementOf,
  setup,
  setupClaimed,
  statusesIn,
  TARGET,
  wishOf,
} from './delivery-rows.ts'
import { entryOf, type OpenStore, rowOf, write } from './rows.ts'

/** What any store has to do for deliveries, also when things come at a bad time. */
export function describeDeliveries(openStore: OpenStore): void {
  describe('that are settled', () => describeSettlements(openStore))
  describe('in order', () => describeOrder(openStore))
  describe('whose destination or dispatcher has moved on', () => describeMoved(openStore))
  describe('of a destination that has been deleted', () => describeDeleted(openStore))
  describe('that are wished for', () => describeGranting(openStore))
  describe('that are pruned', () => describePrunedDeliveries(openStore))
}

function describeSettlements(openStore: OpenStore): void {
  describe('a settlement that is written twice', () => {
    test.each(['succeeded', 'waiting', 'exhausted', 'pending'] as const)(
      'changes nothing more as %s',
      async (status) => {
        const { store, claimed } = await setupClaimed(openStore)
        const settlement = settlementOf(claimed, status)
        await settle(store, settlement)
        const before = await everythingIn(store, claimed)

        await settle(store, settlement)

        expect(await everythingIn(store, claimed)).toEqual(before)
      },
    )

    test.each(['succeeded', 'waiting', 'exhausted'] as const)(
      'changes nothing more as %s, though the delivery was canceled before',
      async (status) => {
        const { store, claimed } = await setupClaimed(openStore)
        const settlement = settlementOf(claimed, status)
        await cancelAll(store)
        await settle(store, settlement)
        const before = await everythingIn(store, claimed)

        await settle(store, settlement)

        expect(await everythingIn(store, claimed)).toEqual(before)
      },
    )

    test('changes nothing more, though the delivery was canceled in between', async () => {
      const { store, claimed } = await setupClaimed(openStore)
      const settlement = settlementOf(claimed, 'waiting')
      await settle(store, settlement)
      await cancelAll(store)
      const before = await everythingIn(store, claimed)

      await settle(store, settlement)

      expect(await everythingIn(store, claimed)).toEqual(before)
    })
  })

  describe('a delivery that is canceled while somebody is at it', () => {
    test('has succeeded when it arrives', async () => {
      const { store, claimed } = await setupClaimed(openStore)
      await cancelAll(store)

      await settle(store, settlementOf(claimed, 'succeeded'))

      expect(await store.findDelivery(claimed)).toMatchObject({
        ...{ status: 'succeeded', deliveredAt: NOW },
      })
    })

    test.each(['waiting', 'exhausted', 'pending'] as const)(
      'stays canceled when it comes to be %s',
      async (status) => {
        const { store, claimed } = await setupClaimed(openStore)
        await cancelAll(store)

        await settle(store, settlementOf(claimed, status))

        expect(await statusesIn(store)).toEqual(['canceled'])
      },
    )

    test('has its failed attempt logged', async () => {
      const { store, claimed } = await setupClaimed(openStore)
      await cancelAll(store)

      await settle(store, settlementOf(claimed, 'waiting'))

      expect(await store.listAttempts(claimed)).toMatchObject([{ number: 1, statusCode: 500 }])
    })

    test('is tried by nobody any more', async () => {
      const { store, claimed } = await setupClaimed(openStore)
      await cancelAll(store)

      await settle(store, settlementOf(claimed, 'waiting'))

      expect(await claim(store, NOW + 10 * LEASE)).toEqual([])
    })
  })
}

function describeOrder(openStore: OpenStore): void {
  describe('events of a resource that are in order from now on', () => {
    /** Two deliveries of the same resource, both of them under way. */
    async function setupBoth() {
      const { store } = await setup(openStore, { ordered: false })
      await giveOut(store, 2, 3)
      const [one, other] = await claim(store)
      if (one === undefined || other === undefined) throw new Error('both have to be under way')
      await change(store, { ordered: true })
      return { store, one, other }
    }

    test('wait for the one that is under way', async () => {
      const { store } = await setup(openStore, { ordered: false }, 3)
      await giveOut(store, 2)
      await claim(store)
      await giveOut(store, 3, 4)

      await change(store, { ordered: true })

      expect(await claim(store)).toEqual([])
    })

    test('wait for a later one that is under way', async () => {
      const { store } = await setup(openStore, { ordered: false })
      await giveOut(store, 2, 3)
      await settle(store, settlementOf(first(await claim(store)), 'waiting'))

      await change(store, { ordered: true })

      expect(await claim(store)).toEqual([])
    })

    test('go on once the one that was under way has arrived', async () => {
      const { store } = await setup(openStore, { ordered: false }, 3)
      await giveOut(store, 2)
      const claimed = first(await claim(store))
      await giveOut(store, 3, 4)
      await change(store, { ordered: true })

      await settle(store, settlementOf(claimed, 'succeeded'))

      expect(seqsOf(await claim(store))).toEqual([3])
    })

    test('are not tried again beside a later one that is still under way', async () => {
      const { store, one } = await setupBoth()

      await settle(store, settlementOf(one, 'waiting'))

      expect(await claim(store)).toEqual([])
    })

    test('are not tried again beside an earlier one that is still under way', async () => {
      const { store, other } = await setupBoth()

      await settle(store, settlementOf(other, 'waiting'))

      expect(await claim(store)).toEqual([])
    })

    test('go one at a time when all that was under way has failed', async () => {
      const { store, one, other } = await setupBoth()

      await settle(store, settlementOf(other, 'waiting'), settlementOf(one, 'waiting'))

      expect(seqsOf(await claim(store))).toEqual([2])
    })
  })

  test('events of a resource that need no order any more do not wait for one another', async () => {
    const { store } = await setup(openStore)
    await giveOut(store, 2, 3)

    await change(store, { ordered: false })

    expect(seqsOf(await claim(store))).toEqual([2, 3])
  })

  describe('after a change of the order, and a death', () => {
    test('one event of a resource is taken on at a time', async () => {
      const { store } = await setup(openStore, { ordered: false }, 3)
      await giveOut(store, 2, 3)
      await claim(store)
      await change(store, { ordered: true })

      const again = await claim(store, NOW + LEASE)
      expect(seqsOf(again)).toEqual([2])
      expect(await claim(store, NOW + LEASE)).toEqual([])
      await settle(store, settlementOf(first(again), 'succeeded'))
      expect(seqsOf(await claim(store, NOW + LEASE))).toEqual([3])
    })
  })

  test('what is canceled while somebody is at it, and asked for again, stays theirs', async () => {
    const { store, claimed } = await setupClaimed(openStore)
    await cancelAll(store)

    await store.replayDeliveries([draftOf(2, 1)], NOW)
    expect(await claim(store)).toEqual([])
    await settle(store, settlementOf(claimed, 'succeeded'))
    expect(await statusesIn(store)).toEqual(['succeeded'])
  })

  describe('what is canceled while somebody is at it, and asked for again when another has come', () => {
    const again = {
      'by hand': (store: Store, claimed: ClaimedRow) => store.resendDelivery(claimed, NOW),
      'by a replay': (store: Store) => store.replayDeliveries([draftOf(2, 1)], NOW),
    }

    test.each(Object.keys(again) as (keyof typeof again)[])('%s, holds that back', async (how) => {
      const { store, claimed } = await setupClaimed(openStore)
      await cancelAll(store)
      await giveOut(store, 3)

      await again[how](store, claimed)
      expect(await claim(store)).toEqual([])
      await settle(store, settlementOf(claimed, 'waiting'))

      expect((await claim(store)).length).toBe(1)
      expect(await claim(store)).toEqual([])
    })
  })
}

function describeMoved(openStore: OpenStore): void {
  describe('a change of a destination that has moved on since it was read', () => {
    /** The dispatcher has read a destination; another process has caught up with some events since. */
    async function setupMoved() {
      const { store, destination } = await setup(openStore, { phase: 'behind', place: 1 })
      const from = await store.dispatchRow()
      const deliveries = [draftOf(2, 1)]
      const moved = { place: 2, joins: false }
      expect(await store.catchUp({ destination, ...moved, deliveries, now: NOW })).toBe(true)
      const after = { ...destination, patterns: ['thing.*'] }
      const step = {
        ...{ from, to: { position: 3, within: 0 }, deliveries: [draftOf(3, 1)], now: NOW },
        changed: { before: destination, after },
      }
      return { store, step }
    }

    test('is refused', async () => {
      const { store, step } = await setupMoved()

      expect(await store.dispatch(step)).toBe(false)
    })

    test('writes nothing', async () => {
      const { store, step } = await setupMoved()
      const everything = async () => [
        ...[await store.dispatchRow(), await destinationIn(store), await listAll(store)],
      ]
      const before = await everything()

      await store.dispatch(step)

      expect(await everything()).toEqual(before)
    })
  })

  test('canceling writes nothing where the dispatcher has moved on since', async () => {
    const { store } = await setup(openStore)
    const from = await store.dispatchRow()
    await giveOut(store, 2)

    await store.cancelDeliveries(from, { destination: 1, seq: 1000 }, 250)

    expect(await statusesIn(store)).toEqual(['pending'])
  })

  test('a destination that wants something else by now catches up by that', async () => {
    const { store } = await setup(openStore)
    await change(store, { phase: 'behind', place: 1 })
    const destination = first(await store.destinationsBehind(1))
    await change(store, { patterns: ['thing.gone'] })

    const deliveries = [draftOf(2, destination.position)]
    const step = { destination, place: 2, joins: false, deliveries, now: NOW }
    expect(await store.catchUp(step)).toBe(false)
    expect(await listAll(store)).toEqual([])
  })
}

function describeDeleted(openStore: OpenStore): void {
  describe('a destination that has been deleted', () => {
    test('has nothing open that has come since its deliveries were canceled', async () => {
      const { store } = await setup(openStore)
      await giveOut(store, 2, 3)

      await change(store, ENDED)

      expect(await statusesIn(store)).toEqual(['canceled', 'canceled'])
    })

    test('is replayed nothing', async () => {
      const { store } = await setup(openStore)
      await giveOut(store, 2)
      await change(store, ENDED)

      await store.replayDeliveries([draftOf(2, 1), draftOf(3, 1)], NOW)

      expect(await statusesIn(store)).toEqual(['canceled'])
    })

    test('is resent nothing', async () => {
      const { store } = await setup(openStore)
      await giveOut(store, 2)
      await change(store, ENDED)

      await store.resendDelivery({ seq: 2, destination: 1 }, NOW)

      expect(await statusesIn(store)).toEqual(['canceled'])
    })
  })
}

function describeGranting(openStore: OpenStore): void {
  describe('a wish for deliveries', () => {
    test('of the version that the destination has is granted', async () => {
      const { store } = await setup(openStore)
      await giveOut(store, 2)

      expect(seqsOf(await claim(store, NOW, { version: 1 }))).toEqual([2])
    })

    test('of a version that the destination no longer has takes nothing on', async () => {
      const { store } = await setup(openStore)
      await giveOut(store, 2)
      const changed = [rowOf(TARGET, { type: 'event_destination', version: 2 })]
      await write(store, { changed, entries: [entryOf(4, TARGET, { resourceVersion: 2 })] })

      expect(await claim(store, NOW, { version: 1 })).toEqual([])
    })
  })

  test('wishes for another version of a destination are reported', async () => {
    const { store } = await setup(openStore)
    await giveOut(store, 2)
    const wish = wishOf({ version: 9 })

    expect(await store.settleAndClaim([], [wish], () => NOW)).toEqual({
      claimed: [],
      isStale: true,
    })
  })
}

function describePrunedDeliveries(openStore: OpenStore): void {
  test('are not asked for again: who read the events before that replays only those that are left', async () => {
    const { store, destination } = await setup(openStore, {}, 3)
    const drafts = [2, 3, 4].map((seq) => draftOf(seq, destination.position))
    await store.pruneLog(0, 10, () => ({ through: 3, bases: [] }))

    await store.replayDeliveries(drafts, NOW)

    expect(seqsOf(await listAll(store))).toEqual([4])
  })

  describe('pruning events with more deliveries than go at once', () => {
    const [THOUSAND, EVENTS] = [1000, 1002]

    async function setupMany() {
      const { store } = await setup(openStore, { ordered: false }, EVENTS)
      await giveOut(store, ...Array.from({ length: EVENTS }, (_, index) => index + 2))
      // Nobody prunes what is still to be delivered.
      await change(store, ENDED)
      const plan = () => ({ through: EVENTS + 1, bases: [] })
      return { store, prune: () => store.pruneLog(0, 10, plan) }
    }

    const leftIn = async (store: Store) => (await listAll(store)).length

    test('takes some of them first', async () => {
      const { store, prune } = await setupMany()

      expect(await prune()).toBe(false)

      expect(await leftIn(store)).toBe(EVENTS - THOUSAND)
    })

    test('leaves the events at first', async () => {
      const { store, prune } = await setupMany()

      await prune()

      expect((await store.log()).pruned).toBe(0)
    })

    test('takes the others with the events', async () => {
      const { store, prune } = await setupMany()
      await prune()

      expect(await prune()).toBe(true)

      expect([await leftIn(store), (await store.log()).pruned]).toEqual([0, EVENTS + 1])
    })
  })
}
