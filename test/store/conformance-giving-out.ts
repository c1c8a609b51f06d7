import { describe, expect, test } from 'vitest'
import type { DeliveryQuery, DeliveryStatus, DestinationDraft } from '../../src/store/deliveries.ts'
import type { Store } from '../../src/store/store.ts'
import { first } from '../delivery/deliveries.ts'
import {
  cancelAll,
  change,
  claim,
  destinationIn,
  draftOf,
  ENDED,
  EVERY_DELIVERY,
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

/** What any store has to do to give out the log. */
export function describeGivingOut(openStore: OpenStore): void {
  describe('by a step', () => describeSteps(openStore))
  describe('to those that catch up', () => describeCatchingUp(openStore))
  describe('and taken on', () => describeClaims(openStore))
  describe('in turns', () => describeTurns(openStore))
  describe('when it is due', () => describeTimes(openStore))
  describe('once more', () => describeAgain(openStore))
  describe('and settled', () => describeSettling(openStore))
  describe('and listed', () => describeLists(openStore))
  describe('after a verification', () => describeVerifications(openStore))
}

const DELIVERY = { seq: 2, destination: 1 }

function describeSteps(openStore: OpenStore): void {
  const elsewhere = [{ position: 1 }, { within: 1 }, { revision: 0 }]

  test.each(elsewhere)('is refused where the dispatcher is not: %o', async (parts) => {
    const { store } = await setup(openStore)
    const before = await store.dispatchRow()
    const step = { to: { position: 2, within: 0 }, deliveries: [draftOf(2, 1)], now: NOW }

    expect(await store.dispatch({ ...step, from: { ...before, ...parts }, changed: null })).toBe(
      false,
    )

    expect([await store.dispatchRow(), await listAll(store)]).toEqual([before, []])
  })

  test('moves the dispatcher, within an event as well', async () => {
    const { store } = await setup(openStore)
    const from = await store.dispatchRow()
    const to = { position: 3, within: 7 }

    await store.dispatch({ from, to, deliveries: [], changed: null, now: NOW })

    expect(await store.dispatchRow()).toEqual({ ...from, ...to })
  })

  test('keeps a delivery as it is to be made', async () => {
    const { store } = await setup(openStore)

    await giveOut(store, 2)

    expect(await store.findDelivery(DELIVERY)).toEqual({
      ...draftOf(2, 1),
      ...{ destinationId: TARGET, isGoing: true, isOver: false, replay: false, status: 'pending' },
      ...{ ready: true, nextAt: NOW, fence: 0, attempts: 0, tries: 0, began: null },
      ...{ lastError: null, createdAt: NOW, deliveredAt: null },
    })
  })

  test('of a change counts, and keeps the destination as it is to be', async () => {
    const { store, destination } = await setup(openStore)
    const { revision } = await store.dispatchRow()
    const parts = { patterns: ['a.*', 'b'], ordered: false, verifyAt: 7 }
    const stopped: Partial<DestinationDraft> = { ...parts, phase: 'stopped', place: 0 }

    expect(await change(store, stopped)).toBe(true)

    expect(await destinationIn(store)).toEqual({ ...destination, ...stopped })
    expect((await store.dispatchRow()).revision).toBe(revision + 1)
    expect(await store.listDestinations()).toEqual([{ ...destination, ...stopped }])
  })

  test('ends a destination, which is not listed any more', async () => {
    const { store, destination } = await setup(openStore)

    await change(store, ENDED)

    expect(await store.listDestinations()).toEqual([])
    expect(await store.findDestination(TARGET)).toEqual({ ...destination, ...ENDED })
    expect(await store.findDestination('none')).toBe(undefined)
  })
}

function describeCatchingUp(openStore: OpenStore): void {
  /** A destination that has been given nothing yet, where the dispatcher is at 3. */
  async function setupBehind() {
    const { store } = await setup(openStore)
    await giveOut(store, 3)
    await cancelAll(store)
    await change(store, { phase: 'behind', place: 1 })
    const destination = first(await store.destinationsBehind(1))
    const step = { destination, deliveries: [draftOf(2, 1)], now: NOW }
    return { store, step }
  }

  test('goes on from where they are', async () => {
    const { store, step } = await setupBehind()
    const before = await store.dispatchRow()

    expect(await store.catchUp({ ...step, place: 2, joins: false })).toBe(true)

    expect(await destinationIn(store)).toMatchObject({ phase: 'behind', place: 2 })
    expect(await store.dispatchRow()).toEqual(before)
    expect(seqsOf(await claim(store))).toEqual([2])
  })

  test('is refused where they are not', async () => {
    const { store, step } = await setupBehind()
    await store.catchUp({ ...step, place: 2, joins: false })

    expect(await store.catchUp({ ...step, place: 3, joins: false })).toBe(false)
  })

  test('has them follow, which counts, where the dispatcher is', async () => {
    const { store, step } = await setupBehind()
    const before = await store.dispatchRow()

    expect(await store.catchUp({ ...step, place: 3, joins: true })).toBe(true)

    expect(await destinationIn(store)).toMatchObject({ phase: 'following', place: null })
    expect(await store.dispatchRow()).toEqual({ ...before, revision: before.revision + 1 })
    expect(await store.destinationsBehind(1)).toEqual([])
  })

  test('has them follow nowhere else', async () => {
    const { store, step } = await setupBehind()

    expect(await store.catchUp({ ...step, place: 2, joins: true })).toBe(false)

    expect(await destinationIn(store)).toMatchObject({ phase: 'behind', place: 1 })
    expect(await statusesIn(store)).toEqual(['canceled'])
  })
}

function describeClaims(openStore: OpenStore): void {
  test('comes with the event, and as somebody’s', async () => {
    const { store, claimed } = await setupClaimed(openStore)

    expect(claimed).toEqual({
      ...DELIVERY,
      ...{ eventId: 'evt_2', eventType: 'thing.went', resourceId: 'thg_1', replay: false },
      ...{ fence: 1, attempts: 0, tries: 0, began: 1, data: '{"n":1}', createdAt: 1002 },
    })
    expect(await store.findDelivery(claimed)).toMatchObject({
      ...{ status: 'delivering', nextAt: NOW + LEASE, fence: 1, began: 1 },
    })
  })

  test('is taken on by one at a time', async () => {
    const { store } = await setupClaimed(openStore)

    expect(await claim(store, NOW + LEASE - 1)).toEqual([])
  })

  test('is taken on once more when that time is over, and the attempt is noted', async () => {
    const { store, claimed } = await setupClaimed(openStore)

    const again = first(await claim(store, NOW + LEASE))

    expect(again).toMatchObject({ fence: 2, attempts: 1, tries: 0, began: claimed.began })
    const error = 'interrupted: the process that sent it ended before the answer was noted'
    expect(await store.listAttempts(claimed)).toEqual([
      { number: 1, at: NOW, statusCode: null, durationMs: 0, error, responseBody: null },
    ])
  })

  /** Three events that are replayed, and two that are new. */
  async function setupReplays() {
    const { store } = await setup(openStore, { ordered: false }, 5)
    await giveOut(store, 2, 3, 4)
    const claimed = await claim(store)
    await settle(store, ...claimed.map((one) => settlementOf(one, 'succeeded')))
    await store.replayDeliveries(
      [2, 3, 4].map((seq) => draftOf(seq, 1)),
      NOW - 1,
    )
    await giveOut(store, 5, 6)
    return store
  }

  test.each([
    { most: 1, replays: 1, seqs: [5] },
    { most: 2, replays: 2, seqs: [5, 6] },
    { most: 3, replays: 3, seqs: [5, 6, 2] },
    { most: 5, replays: 2, seqs: [5, 6, 2, 3] },
    { most: 9, replays: 0, seqs: [5, 6] },
    { most: 9, replays: 9, seqs: [5, 6, 2, 3, 4] },
  ])('is at most as wished for, what is new first: %o', async ({ seqs, ...parts }) => {
    const store = await setupReplays()

    const claimed = await claim(store, NOW, parts)

    expect(seqsOf(claimed)).toEqual(seqs)
    expect(claimed.map(({ replay }) => replay)).toEqual(seqs.map((seq) => seq < 5))
  })

  test('comes in the order in which it was due', async () => {
    const { store } = await setup(openStore, { ordered: false }, 3)
    await giveOut(store, 2, 3)
    const settlements = (await claim(store)).map((one) => settlementOf(one, 'waiting'))
    await settle(store, ...settlements.map((one) => ({ ...one, nextAt: NOW - one.seq })))
    await giveOut(store, 4)

    expect(seqsOf(await claim(store))).toEqual([3, 2, 4])
  })

  test('comes wish for wish, each with its own lease', async () => {
    const { store } = await setup(openStore)
    await addOther(store)
    const from = await store.dispatchRow()
    const deliveries = [draftOf(2, 1), draftOf(2, 2)]
    const to = { position: 2, within: 0 }
    await store.dispatch({ from, to, deliveries, changed: null, now: NOW })

    const wishes = [wishOf({ destination: 2, lease: 7 }), wishOf()]
    const { claimed, isStale } = await store.settleAndClaim([], wishes, () => NOW)

    expect(isStale).toBe(false)
    expect(claimed.map(({ destination }) => destination)).toEqual([2, 1])
    const ends = (await listAll(store)).map(({ nextAt }) => nextAt)
    expect(ends).toEqual([NOW + LEASE, NOW + 7])
  })
}

/** Adds another destination, that needs no order. */
async function addOther(store: Store): Promise<void> {
  const id = 'evtd_2'
  await write(store, { created: [rowOf(id)], entries: [entryOf(1000, id)] })
  const { position: _, ...same } = await destinationIn(store)
  const from = await store.dispatchRow()
  const changed = { before: undefined, after: { ...same, id, ordered: false } }
  await store.dispatch({ from, to: from, deliveries: [], changed, now: NOW })
}

function describeTurns(openStore: OpenStore): void {
  /** Goes through everything, one after the other. */
  async function inTurn(store: Store): Promise<readonly number[]> {
    const seqs: number[] = []
    for (;;) {
      const claimed = await claim(store)
      if (claimed.length === 0) return seqs
      seqs.push(...seqsOf(claimed))
      await settle(store, ...claimed.map((one) => settlementOf(one, 'succeeded')))
    }
  }

  test('is one event of a resource after the other', async () => {
    const { store } = await setup(openStore, {}, 3)
    await giveOut(store, 2, 3, 4)

    expect(seqsOf(await claim(store))).toEqual([2])
    expect(await claim(store)).toEqual([])
    expect((await listAll(store)).map(({ ready }) => ready)).toEqual([true, false, false])
  })

  test('comes to all of them', async () => {
    const { store } = await setup(openStore, {}, 3)
    await giveOut(store, 2, 3, 4)

    expect(await inTurn(store)).toEqual([2, 3, 4])
  })

  test('comes to what is new before what is replayed', async () => {
    const { store } = await setup(openStore, {}, 3)
    await store.replayDeliveries([draftOf(2, 1), draftOf(3, 1)], NOW)
    await giveOut(store, 4)

    expect(await inTurn(store)).toEqual([4, 2, 3])
  })

  test('comes to what is earlier first, whenever it comes', async () => {
    const { store } = await setup(openStore, {}, 3)
    await giveOut(store, 3, 4)
    await change(store, { phase: 'behind', place: 1 })
    const destination = await destinationIn(store)
    const deliveries = [draftOf(2, 1)]
    await store.catchUp({ destination, place: 4, joins: true, deliveries, now: NOW })

    expect(await inTurn(store)).toEqual([2, 3, 4])
  })

  test.each(['waiting', 'pending'] as const)('stays with what is %s', async (status) => {
    const { store } = await setup(openStore)
    await giveOut(store, 2, 3)

    await settle(store, settlementOf(first(await claim(store)), status))

    expect(seqsOf(await claim(store))).toEqual([2])
  })

  test('goes on where what is canceled was the first', async () => {
    const { store } = await setup(openStore)
    await giveOut(store, 2, 3)
    const from = await store.dispatchRow()

    expect(await store.cancelDeliveries(from, DELIVERY, 250)).toBe(1)

    expect(seqsOf(await claim(store))).toEqual([3])
  })

  test('is told by the one that the others wait for', async () => {
    const { store } = await setup(openStore)
    const queue = { destination: 1, resourceId: 'thg_1' }
    expect(await store.firstInQueue(queue)).toBe(undefined)
    await giveOut(store, 2, 3)

    expect(await store.firstInQueue(queue)).toMatchObject({ seq: 2, ready: true })
    expect(await store.firstInQueue({ ...queue, resourceId: 'none' })).toBe(undefined)
  })
}

function describeTimes(openStore: OpenStore): void {
  const due = (store: Store, now = NOW) => store.dueDestinations(now, null, 10)
  const target = { position: 1, id: TARGET }

  test('is there when it is given out', async () => {
    const { store } = await setup(openStore)
    expect(await due(store, NOW + LEASE)).toEqual([])
    expect(await store.nextDeliveryAt(0)).toBe(undefined)

    await giveOut(store, 2)

    expect(await due(store)).toEqual([{ ...target, at: NOW }])
    expect([await due(store, NOW - 1), await store.nextDeliveryAt(NOW - 1)]).toEqual([[], NOW])
    expect(await store.nextDeliveryAt(NOW)).toBe(undefined)
  })

  test('comes again when whoever is at it has had their time', async () => {
    const { store } = await setupClaimed(openStore)

    expect(await due(store)).toEqual([])
    expect(await store.nextDeliveryAt(NOW)).toBe(NOW + LEASE)
  })

  test('comes again when it is to be tried once more', async () => {
    const { store, claimed } = await setupClaimed(openStore)

    await settle(store, { ...settlementOf(claimed, 'waiting'), nextAt: NOW + 70 })

    expect(await store.nextDeliveryAt(NOW)).toBe(NOW + 70)
  })

  test('is over when it has arrived', async () => {
    const { store, claimed } = await setupClaimed(openStore)

    await settle(store, settlementOf(claimed, 'succeeded'))

    expect([await store.nextDeliveryAt(0), await due(store, NOW + LEASE)]).toEqual([undefined, []])
  })

  test('is now for what others have left', async () => {
    const { store } = await setup(openStore, { ordered: false })
    await giveOut(store, 2, 3)

    await claim(store, NOW + 5, { most: 1 })

    expect(await due(store, NOW + 5)).toEqual([{ ...target, at: NOW + 5 }])
  })

  test('comes to those first who have waited longest, page by page', async () => {
    const { store } = await setup(openStore)
    await addOther(store)
    await store.replayDeliveries([draftOf(2, 1)], NOW)
    await store.replayDeliveries([draftOf(2, 2)], NOW - 1)
    const [one, two] = await due(store)

    expect([one, two]).toEqual([
      { position: 2, id: 'evtd_2', at: NOW - 1 },
      { ...target, at: NOW },
    ])
    expect(await store.dueDestinations(NOW, null, 1)).toEqual([one])
    expect(await store.dueDestinations(NOW, one ?? null, 10)).toEqual([two])
    expect(await store.dueDestinations(NOW, two ?? null, 10)).toEqual([])
  })

  test('is never where nothing may be sent', async () => {
    const { store } = await setup(openStore)
    await giveOut(store, 2)

    await change(store, { phase: 'stopped', place: 2 })
    expect(await due(store)).toEqual([])
    await store.replayDeliveries([draftOf(3, 1)], NOW)

    expect([await due(store), await store.nextDeliveryAt(0)]).toEqual([[], undefined])
  })

  test('is at once where something may be sent again', async () => {
    const { store, claimed } = await setupClaimed(openStore)
    await settle(store, { ...settlementOf(claimed, 'waiting'), nextAt: NOW + 70 })
    await change(store, { phase: 'stopped', place: 2 })

    await change(store, { phase: 'behind' })

    expect(await due(store)).toEqual([{ ...target, at: NOW }])
    expect(seqsOf(await claim(store))).toEqual([2])
  })
}

function describeAgain(openStore: OpenStore): void {
  /** A delivery that has been given up. */
  async function setupExhausted() {
    const { store, claimed } = await setupClaimed(openStore)
    await settle(store, settlementOf(claimed, 'exhausted'))
    return { store, claimed }
  }

  test('has all its attempts again, and keeps those that it has had', async () => {
    const { store } = await setupExhausted()

    const sent = await store.resendDelivery(DELIVERY, NOW + 1)

    expect(sent).toMatchObject({
      ...{ status: 'pending', ready: true, replay: false, nextAt: NOW + 1 },
      ...{ attempts: 1, tries: 0, began: null, lastError: 'no: not now' },
    })
    expect(await store.findDelivery(DELIVERY)).toEqual(sent)
    expect(await store.dueDestinations(NOW + 1, null, 1)).toHaveLength(1)
  })

  test('is at once what waits for its next attempt, and keeps its tries', async () => {
    const { store, claimed } = await setupClaimed(openStore)
    await settle(store, { ...settlementOf(claimed, 'waiting'), nextAt: NOW + 70 })

    expect(await store.resendDelivery(DELIVERY, NOW)).toMatchObject({
      ...{ status: 'pending', nextAt: NOW, tries: 1, began: claimed.began },
    })
  })

  test('leaves what somebody is at to them', async () => {
    const { store } = await setupClaimed(openStore)
    const before = await store.findDelivery(DELIVERY)

    expect(await store.resendDelivery(DELIVERY, NOW + 1)).toEqual(before)

    expect(await store.findDelivery(DELIVERY)).toEqual(before)
  })

  test('finds nothing where there is nothing', async () => {
    const { store } = await setup(openStore)

    expect(await store.resendDelivery(DELIVERY, NOW)).toBe(undefined)
    expect(await store.resendDelivery({ ...DELIVERY, destination: 9 }, NOW)).toBe(undefined)
  })

  test('replays what has ended as anew', async () => {
    const { store } = await setupExhausted()

    await store.replayDeliveries([draftOf(2, 1)], NOW + 1)

    expect(await store.findDelivery(DELIVERY)).toMatchObject({
      ...{ status: 'pending', replay: true, nextAt: NOW + 1, attempts: 1, tries: 0, began: null },
    })
  })

  test('replays nothing that is open', async () => {
    const { store } = await setup(openStore)
    await giveOut(store, 2)
    const before = await store.findDelivery(DELIVERY)

    await store.replayDeliveries([draftOf(2, 1)], NOW + 1)

    expect(await store.findDelivery(DELIVERY)).toEqual(before)
  })
}

function describeSettling(openStore: OpenStore): void {
  test('is noted attempt by attempt', async () => {
    const { store, claimed } = await setupClaimed(openStore)
    const failed = settlementOf(claimed, 'waiting')
    await settle(store, failed)
    const succeeded = settlementOf(first(await claim(store)), 'succeeded')
    await settle(store, succeeded)

    expect(await store.listAttempts(claimed)).toEqual([failed.attempt, succeeded.attempt])
    expect(await store.findDelivery(claimed)).toMatchObject({
      ...{ status: 'succeeded', ready: false, attempts: 2, deliveredAt: NOW, lastError: null },
    })
  })

  test('keeps what went wrong before where nothing has been tried', async () => {
    const { store, claimed } = await setupClaimed(openStore)
    await settle(store, settlementOf(claimed, 'waiting'))
    const released = { ...settlementOf(first(await claim(store)), 'pending'), attempt: null }

    await settle(store, released)

    expect(await store.findDelivery(claimed)).toMatchObject({
      ...{ status: 'pending', attempts: 1, lastError: 'no: not now' },
    })
    expect(await store.listAttempts(claimed)).toHaveLength(1)
  })

  test('tells by the clock of the destination what it has accepted since', async () => {
    const { store } = await setup(openStore, { ordered: false })
    expect([await store.acceptedAt(1), await store.acceptedAt(9)]).toEqual([0, 0])
    await giveOut(store, 2, 3)
    const [one, other] = [first(await claim(store, NOW, { most: 1 })), first(await claim(store))]

    await settle(store, settlementOf(one, 'succeeded'))
    const accepted = await store.acceptedAt(1)
    await settle(store, settlementOf(other, 'exhausted'))

    expect([one.began < other.began, other.began < accepted]).toEqual([true, true])
    expect(await store.acceptedAt(1)).toBe(accepted)
  })

  test('goes before what is taken on in the same transaction', async () => {
    const { store, claimed } = await setupClaimed(openStore)
    await giveOut(store, 3)

    const settlements = [settlementOf(claimed, 'succeeded')]
    const next = await store.settleAndClaim(settlements, [wishOf()], () => NOW)

    expect(seqsOf(next.claimed)).toEqual([3])
    expect(first(next.claimed).began).toBeGreaterThan(await store.acceptedAt(1))
  })

  test.each(['a\0b', '"\\\n\u2028😀'])('keeps what was answered: %j', async (said) => {
    const { store, claimed } = await setupClaimed(openStore)
    const settlement = settlementOf(claimed, 'waiting')
    const attempt = settlement.attempt && { ...settlement.attempt, error: said, responseBody: said }

    await settle(store, { ...settlement, attempt })

    const [noted] = await store.listAttempts(claimed)
    // What a database cannot keep is replaced, and nothing else.
    const kept = [said, said.replaceAll('\0', '\uFFFD')]
    expect(kept).toContain(noted?.responseBody)
    expect(kept).toContain(noted?.error)
    expect((await store.findDelivery(claimed))?.lastError).toBe(noted?.error)
  })
}

function describeLists(openStore: OpenStore): void {
  /** Deliveries of six events, in each status one. */
  async function setupAll() {
    const { store } = await setup(openStore, { ordered: false }, 6)
    await giveOut(store, 2, 3, 4, 5)
    const [succeeded, exhausted, waiting, canceled] = await claim(store)
    if (!succeeded || !exhausted || !waiting || !canceled) throw new Error('all are to be taken on')
    await settle(
      store,
      settlementOf(succeeded, 'succeeded'),
      settlementOf(exhausted, 'exhausted'),
      settlementOf(canceled, 'canceled'),
      { ...settlementOf(waiting, 'waiting'), nextAt: NOW + 70 },
    )
    await giveOut(store, 6)
    await claim(store)
    await giveOut(store, 7)
    const list = async (parts: Partial<DeliveryQuery> = {}) =>
      seqsOf(await store.listDeliveries({ ...EVERY_DELIVERY, ...parts }))
    return { store, list }
  }

  const places: Readonly<Record<DeliveryStatus, number>> = {
    ...{ succeeded: 2, exhausted: 3, waiting: 4, canceled: 5, delivering: 6, pending: 7 },
  }
  const statuses = Object.keys(places) as DeliveryStatus[]

  test.each(statuses)('tells which are %s', async (status) => {
    const { list } = await setupAll()

    expect(await list({ statuses: [status] })).toEqual([places[status]])
    expect(await list({ statuses: [status], tenant: 'default' })).toEqual([places[status]])
    const others = statuses.filter((one) => one !== status)
    const rest = [2, 3, 4, 5, 6, 7].filter((seq) => seq !== places[status])
    expect(await list({ statuses: others, tenant: 'default' })).toEqual(rest)
  })

  test('comes page by page, in either direction', async () => {
    const { list } = await setupAll()
    const after = { seq: 4, destination: 1 }

    expect(await list({ limit: 2 })).toEqual([2, 3])
    expect(await list({ limit: 2, after })).toEqual([5, 6])
    expect(await list({ limit: 2, after, tenant: 'default' })).toEqual([5, 6])
    expect(await list({ limit: 2, after, order: 'desc' })).toEqual([3, 2])
    expect(await list({ limit: 2, order: 'desc', tenant: 'default' })).toEqual([7, 6])
  })

  test('is of a tenant, a destination, an event', async () => {
    const { store, list } = await setupAll()
    await addOther(store)
    await store.replayDeliveries([draftOf(3, 2), { ...draftOf(9, 2), tenant: 'other' }], NOW)

    expect(await list({ destination: 2 })).toEqual([3, 9])
    expect(await list({ destination: 2, tenant: 'default' })).toEqual([3])
    expect(await list({ tenant: 'other' })).toEqual([9])
    expect(await list({ seq: 3 })).toEqual([3, 3])
    expect(await list({ seq: 3, after: { seq: 3, destination: 1 } })).toEqual([3])
    expect(await list({ tenant: 'none' })).toEqual([])
  })

  test('knows the command that led to an event', async () => {
    const { store } = await setup(openStore)

    expect([await store.commandAt(2), await store.commandAt(99)]).toEqual(['{"type":"go"}', null])
  })
}

function describeVerifications(openStore: OpenStore): void {
  test('is taken on by one, and given up', async () => {
    const { store } = await setup(openStore, { phase: 'new', verifyAt: NOW })
    expect(await store.unverifiedDestinations(NOW - 1, 9)).toEqual([])
    expect(await store.nextDeliveryAt(NOW - 1)).toBe(NOW)
    expect(await store.unverifiedDestinations(NOW, 9)).toEqual([
      { position: 1, id: TARGET, at: NOW },
    ])

    expect(await store.moveVerification(1, NOW, NOW + 50)).toBe(true)
    expect(await store.moveVerification(1, NOW, NOW + 60)).toBe(false)
    expect(await destinationIn(store)).toMatchObject({ verifyAt: NOW + 50 })
    expect(await store.moveVerification(1, NOW + 50, null)).toBe(true)
    expect(await destinationIn(store)).toMatchObject({ verifyAt: null })
    expect(await store.moveVerification(1, NOW + 50, null)).toBe(false)
  })
}
