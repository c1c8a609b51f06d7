import { describe, expect, test } from 'vitest'
import type { Lease } from '../../src/store/consumers.ts'
import type { Store } from '../../src/store/store.ts'
import type { OpenStore } from './rows.ts'

const MAILER = { tenant: 'default', name: 'mailer' }

/** What any store has to do for consumers. */
export function describeConsumers(openStore: OpenStore): void {
  describe('that are taken', () => describeTaking(openStore))
  describe('with a lease', () => describeLeases(openStore))
  describe('whose lease another one has', () => describeStaleLeases(openStore))
  describe('that are listed', () => describeLists(openStore))
  describe('that are removed', () => describeRemoval(openStore))
  describe('with parked events', () => describeParked(openStore))
}

type Taken = Parameters<Store['takeConsumer']>[0]

/** Takes a consumer for a runner from a time on, for 100 ms. */
function take(
  store: Store,
  owner: string,
  now: number,
  parts: Partial<Taken> = {},
): ReturnType<Store['takeConsumer']> {
  return store.takeConsumer({ ...MAILER, position: 5, owner, ...parts }, now, now + 100)
}

/** The same, where it has to succeed; gives the lease. */
async function leaseOf(
  store: Store,
  owner = 'one',
  now = 1000,
  parts: Partial<Taken> = {},
): Promise<Lease> {
  const row = (await take(store, owner, now, parts)) ?? expect.fail('it was not free')
  return { ...row, until: row.leasedUntil }
}

const failure = { attempts: 3, error: 'no such address', nextAt: 1700 }

const parked = (seq: number, parts: object = {}) => ({
  ...{ seq, eventId: `evt_${seq}`, error: `error ${seq}`, attempts: 2, parkedAt: 1000 + seq },
  ...parts,
})

function describeTaking(openStore: OpenStore): void {
  test('are noted when they are new, where they begin', async () => {
    const store = await openStore()

    const row = await take(store, 'one', 1000)

    expect(row).toEqual({
      ...{ ...MAILER, position: 5, owner: 'one', fence: expect.any(Number), leasedUntil: 1100 },
      ...{ attempts: 0, nextAt: 0, lastError: null },
    })
    expect(await store.findConsumer(MAILER)).toEqual(row)
  })

  test.each([1000, 1099])('stay with their runner until the lease runs out: at %i', async (now) => {
    const store = await openStore()
    const row = await take(store, 'one', 1000)

    expect(await take(store, 'two', now)).toBe(undefined)
    expect(await store.findConsumer(MAILER)).toEqual(row)
  })

  test('come back at once to the runner who could not give them up, with another fence', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)

    const row = await take(store, lease.owner, 1010)

    expect(row).toMatchObject({ owner: lease.owner, fence: lease.fence + 1, leasedUntil: 1110 })
    expect(await store.extendLease(lease)).toBe(false)
  })

  test('go to the next one when the lease has run out, as they are', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)
    await store.failConsumer({ ...lease, until: 1200 }, failure)

    const row = await take(store, 'two', 1200, { position: 99 })

    expect(row).toEqual({
      ...{ ...MAILER, position: 5, owner: 'two', fence: lease.fence + 1, leasedUntil: 1300 },
      ...{ attempts: 3, nextAt: 1700, lastError: 'no such address' },
    })
  })

  test('go to the next one at once when they have been given up', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)
    await store.advanceConsumer(lease, 8)

    await store.releaseConsumer(lease)

    expect(await store.findConsumer(MAILER)).toMatchObject({ owner: null, position: 8 })
    expect(await take(store, 'two', 1000)).toMatchObject({ fence: lease.fence + 1, position: 8 })
  })

  test('are one for each tenant and name', async () => {
    const store = await openStore()
    await leaseOf(store)

    const others = [
      await take(store, 'two', 1000, { tenant: 'other', position: 7 }),
      await take(store, 'two', 1000, { name: 'other', position: 9 }),
    ]

    expect(others).toMatchObject([{ position: 7 }, { position: 9 }])
    expect(await store.findConsumer(MAILER)).toMatchObject({ owner: 'one', position: 5 })
    expect(await store.findConsumer({ tenant: 'none', name: 'mailer' })).toBe(undefined)
  })
}

function describeLeases(openStore: OpenStore): void {
  test('move on: that extends the lease and forgets failures', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)
    await store.failConsumer(lease, failure)

    expect(await store.advanceConsumer({ ...lease, until: 1500 }, 6)).toBe(true)

    expect(await store.findConsumer(MAILER)).toMatchObject({
      ...{ position: 6, leasedUntil: 1500, attempts: 0, nextAt: 0, lastError: null },
    })
  })

  test('extend it, and nothing else', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)
    await store.failConsumer(lease, failure)
    const before = await store.findConsumer(MAILER)

    expect(await store.extendLease({ ...lease, until: 1500 })).toBe(true)

    expect(await store.findConsumer(MAILER)).toEqual({ ...before, leasedUntil: 1500 })
  })

  test('note a failure where they are', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)

    expect(await store.failConsumer({ ...lease, until: 1500 }, failure)).toBe(true)

    expect(await store.findConsumer(MAILER)).toMatchObject({
      ...{ position: 5, owner: 'one', fence: lease.fence, leasedUntil: 1500 },
      ...{ attempts: 3, nextAt: 1700, lastError: 'no such address' },
    })
  })

  test('may go on when it has run out and nobody has taken over', async () => {
    const store = await openStore()
    const lease = await leaseOf(store)

    expect(await store.advanceConsumer({ ...lease, until: 9100 }, 6)).toBe(true)
    expect(await take(store, 'two', 9000)).toBe(undefined)
  })
}

function describeStaleLeases(openStore: OpenStore): void {
  /** A consumer that was taken over, with an event parked by each runner. */
  async function setup() {
    const store = await openStore()
    const stale = await leaseOf(store)
    await store.parkEvent(stale, parked(3))
    const lease = await leaseOf(store, 'two', 1100)
    await store.parkEvent(lease, parked(4))
    const all = async () => [await store.listConsumers(null), await store.listParked(MAILER)]
    return { store, stale: { ...stale, until: 9000 }, lease, all }
  }

  test.each<[string, (store: Store, stale: Lease) => Promise<unknown>]>([
    ['moved on', (store, stale) => store.advanceConsumer(stale, 6)],
    ['kept', (store, stale) => store.extendLease(stale)],
    ['noted as failing', (store, stale) => store.failConsumer(stale, failure)],
    ['given a parked event', (store, stale) => store.parkEvent(stale, parked(6))],
    ['given another error', (store, stale) => store.parkEvent(stale, parked(3, { error: 'new' }))],
    ['relieved of a parked event', (store, stale) => store.unparkEvent(stale, 3)],
  ])('cannot be %s', async (_, change) => {
    const { store, stale, all } = await setup()
    const before = await all()

    expect(await change(store, stale)).toBe(false)

    expect(await all()).toEqual(before)
  })

  test('cannot be given up', async () => {
    const { store, stale, all } = await setup()
    const before = await all()

    await store.releaseConsumer(stale)

    expect(await all()).toEqual(before)
  })

  test('and was given up once more cannot be moved on either', async () => {
    const { store, stale, lease, all } = await setup()
    await store.releaseConsumer(lease)
    const before = await all()

    expect(await store.advanceConsumer(stale, 6)).toBe(false)
    expect(await all()).toEqual(before)
  })

  test('since it was removed and began anew cannot be moved on either', async () => {
    const store = await openStore()
    const stale = await leaseOf(store)
    await store.removeConsumer(MAILER, 1100)
    const lease = await leaseOf(store, 'two', 1100)

    expect(await store.advanceConsumer({ ...stale, until: 9000 }, 6)).toBe(false)
    expect(await store.parkEvent(stale, parked(6))).toBe(false)
    expect(await store.advanceConsumer(lease, 7)).toBe(true)
    expect(await store.findConsumer(MAILER)).toMatchObject({ owner: 'two', position: 7 })
  })
}

function describeLists(openStore: OpenStore): void {
  test('come by name, of a tenant or of all', async () => {
    const store = await openStore()
    for (const [tenant, name] of [
      ['default', 'b'],
      ['other', 'a'],
      ['default', 'a'],
      ['default', 'B'],
    ] as const) {
      await leaseOf(store, 'one', 1000, { tenant, name })
    }
    const namesOf = async (tenant: string | null) =>
      (await store.listConsumers(tenant)).map((row) => `${row.tenant} ${row.name}`)

    expect(await namesOf('default')).toEqual(['default B', 'default a', 'default b'])
    expect(await namesOf(null)).toEqual(['default B', 'default a', 'default b', 'other a'])
    expect(await namesOf('none')).toEqual([])
  })
}

function describeRemoval(openStore: OpenStore): void {
  test('are not, while somebody runs them', async () => {
    const store = await openStore()
    await leaseOf(store)

    expect(await store.removeConsumer(MAILER, 1099)).toBe(false)
    expect(await store.findConsumer(MAILER)).toBeDefined()
  })

  test.each(['given up', 'run out'])('are gone with what they parked, once %s', async (how) => {
    const store = await openStore()
    const lease = await leaseOf(store)
    const other = await leaseOf(store, 'one', 1000, { name: 'other' })
    await store.parkEvent(lease, parked(3))
    await store.parkEvent(other, parked(3))
    if (how === 'given up') await store.releaseConsumer(lease)

    expect(await store.removeConsumer(MAILER, how === 'given up' ? 1000 : 1100)).toBe(true)

    expect(await store.removeConsumer(MAILER, 9000)).toBe(false)
    expect(await store.findConsumer(MAILER)).toBe(undefined)
    expect(await store.listParked(MAILER)).toEqual([])
    expect(await store.listParked(other)).toHaveLength(1)
    expect(await take(store, 'two', 1000, { position: 1 })).toMatchObject({ position: 1 })
    expect(await store.listParked(MAILER)).toEqual([])
  })
}

function describeParked(openStore: OpenStore): void {
  async function setup() {
    const store = await openStore()
    const lease = await leaseOf(store)
    for (const seq of [7, 3, 5]) await store.parkEvent({ ...lease, until: 1500 }, parked(seq))
    return { store, lease }
  }
  const placesOf = async (store: Store) => (await store.listParked(MAILER)).map(({ seq }) => seq)

  test('list them in the order of the log, and keep their lease on the way', async () => {
    const { store } = await setup()

    expect(await store.listParked(MAILER)).toEqual(
      [3, 5, 7].map((seq) => ({ ...parked(seq), retry: false })),
    )
    expect(await store.findConsumer(MAILER)).toMatchObject({ leasedUntil: 1500, position: 5 })
    expect(await store.listParked({ ...MAILER, tenant: 'other' })).toEqual([])
    expect(await store.nextRetry(MAILER)).toBe(undefined)
  })

  test('retry the first one that was asked for', async () => {
    const { store } = await setup()

    expect(await store.retryParked(MAILER, 'evt_7')).toBe(true)
    expect(await store.retryParked(MAILER, 'evt_5')).toBe(true)

    expect(await store.nextRetry(MAILER)).toEqual({ ...parked(5), retry: true })
    expect((await store.listParked(MAILER)).map(({ retry }) => retry)).toEqual([false, true, true])
  })

  test.each([
    [MAILER, 'evt_4'],
    [{ ...MAILER, name: 'other' }, 'evt_5'],
    [{ ...MAILER, tenant: 'other' }, 'evt_5'],
  ])('retry nothing that is not parked: %j %s', async (consumer, eventId) => {
    const { store } = await setup()

    expect(await store.retryParked(consumer, eventId)).toBe(false)
    expect(await store.nextRetry(MAILER)).toBe(undefined)
  })

  test('forget one that was handled, and no other', async () => {
    const { store, lease } = await setup()
    await store.retryParked(MAILER, 'evt_5')

    expect(await store.unparkEvent(lease, 5)).toBe(true)

    expect(await placesOf(store)).toEqual([3, 7])
    expect(await store.nextRetry(MAILER)).toBe(undefined)
    expect(await store.retryParked(MAILER, 'evt_5')).toBe(false)
  })

  test('have one that failed again with its new error, to be retried no more', async () => {
    const { store, lease } = await setup()
    await store.retryParked(MAILER, 'evt_5')

    const again = parked(5, { error: 'still not', attempts: 3, parkedAt: 3000 })
    expect(await store.parkEvent(lease, again)).toBe(true)

    expect(await store.nextRetry(MAILER)).toBe(undefined)
    expect((await store.listParked(MAILER))[1]).toEqual({ ...again, retry: false })
    expect(await placesOf(store)).toEqual([3, 5, 7])
  })
}
