/** What can be read of deliveries, and by whom? @module */

import { describe, expect, test } from 'vitest'
import {
  type AnyEngine,
  type AnyEvent,
  type AnyTestEngine,
  collect,
  fullLog,
  handleOf,
  publicLog,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { gate, until } from '../support/until.ts'
import { makeDestination } from '../support/world.ts'
import {
  type AnyDelivery,
  activate,
  command,
  deliveriesOf,
  deliveryOf,
  emit,
  first,
  listed,
  rename,
  setupDelivering,
  setupDelivery,
  setupReceiver,
  status,
} from './deliveries.ts'

const idsOf = (things: readonly { readonly id: string }[]) => things.map(({ id }) => id)

const explain = (engine: AnyEngine, event: AnyEvent, destination: { readonly id: string }) =>
  deliveriesOf(engine).explain({ event: event.id, destination: destination.id })

describe('explain', () => {
  test('says when an event has been delivered', async () => {
    const { engine, destination } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await explain(engine, event, destination)).toEqual({
      ...{ delivered: true, reason: null, message: expect.stringMatching(/./) },
    })
  })

  test.each([0, 3])('names an event that has not been given out after %i others', async (count) => {
    const { engine, destination } = await setupDelivery()
    for (let n = 0; n < count; n++) await emit(engine)
    await engine.clock.advance('1s')
    const event = await emit(engine)

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'not_dispatched' },
    })
  })

  test('names the attempt that is under way', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'delivering' },
    })
    open()
    await advanced
  })

  test('names one that waits for its turn', async () => {
    const { engine, receiver, destination } = await setupDelivery(
      {},
      { delivery: { concurrency: 1 } },
    )
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    await emit(engine)
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'pending' },
    })
    open()
    await advanced
  })

  test('names the error of one that is waiting, and when it is tried again', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const { delivered, reason, message } = await explain(engine, event, destination)
    expect({ delivered, reason }).toEqual({ delivered: false, reason: 'waiting' })
    expect(message).toContain('500')
    expect(message).toContain('2026-01-01T00:00:05.000Z')
  })

  test('names the event that comes before one that is blocked', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const before = await emit(engine)
    const event = await rename(engine, String(before.data.id), 'Bea')
    await engine.clock.advance('1s')

    const { delivered, reason, message } = await explain(engine, event, destination)
    expect({ delivered, reason }).toEqual({ delivered: false, reason: 'blocked' })
    expect(message).toContain(before.id)
  })

  test('names the error of one that is exhausted', async () => {
    const { engine, receiver, destination } = await setupDelivery({ retries: [] })
    receiver.behave(status(418))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const { delivered, reason, message } = await explain(engine, event, destination)
    expect({ delivered, reason }).toEqual({ delivered: false, reason: 'exhausted' })
    expect(message).toContain('418')
  })

  test('names one that was canceled', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')
    await command(engine, destination, 'delete')
    await engine.clock.advance('1s')

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'canceled' },
    })
  })

  test('names a destination that is inactive, for what is open and for what is new', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const open = await emit(engine)
    await engine.clock.advance('1s')
    await command(engine, destination, 'deactivate')
    const fresh = await emit(engine)
    await engine.clock.advance('1s')

    for (const event of [open, fresh])
      expect(await explain(engine, event, destination)).toMatchObject({
        ...{ delivered: false, reason: 'destination_inactive' },
      })
  })

  test.each([
    ['pending_verification', undefined],
    ['deleted', 'delete'],
  ])(
    'names a destination that is %s for what is new, also when it is the only one',
    async (state, type) => {
      const engine = await setupDelivering({ verification: 'manual' })
      const destination = await makeDestination(engine)
      if (type) await command(engine, destination, type)
      const event = await emit(engine)
      await engine.clock.advance('1h')

      const { delivered, reason, message } = await explain(engine, event, destination)
      expect({ delivered, reason }).not.toEqual({ delivered: false, reason: 'not_dispatched' })
      expect(message).toContain(state)
    },
  )

  test('does not promise a replay to a destination that is deleted', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    await activate(engine, receiver.url)
    await command(engine, destination, 'delete')
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect((await explain(engine, event, destination)).message).not.toContain('replay')
  })

  test('names an entry that is internal', async () => {
    const { engine, destination } = await setupDelivery()
    const internal = first((await fullLog(engine)).filter((event) => event.internal))

    expect(await explain(engine, internal, destination)).toMatchObject({
      ...{ delivered: false, reason: 'internal' },
    })
  })

  test('names an event that is about the destination', async () => {
    const { engine, destination } = await setupDelivery()
    const event = first(await publicLog(engine, { type: 'event_destination.activated' }))
    await engine.clock.advance('1s')

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'own_event' },
    })
  })

  test('names an event that is not wanted', async () => {
    const { engine, destination } = await setupDelivery({}, { events: ['session.*'] })
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'not_matched' },
    })
  })

  describe('names an event before the first activation', () => {
    test.each<[string, readonly (readonly [string, { readonly from: string }?])[]]>([
      ['and activated', [['activate']]],
      ['and not activated yet', []],
      ['and deactivated', [['deactivate']]],
      ['deactivated, and activated at last', [['deactivate'], ['reactivate'], ['activate']]],
      [
        'deactivated, and activated from then on',
        [['deactivate'], ['reactivate', { from: 'now' }], ['activate']],
      ],
      ['and deleted', [['delete']]],
      ['activated, and deactivated', [['activate'], ['deactivate']]],
    ])('of a destination that was created, %s', async (_, after) => {
      const engine = await setupDelivering({ verification: 'manual' })
      const destination = await makeDestination(engine, { events: ['session.*', 'agent.*'] })
      const event = await emit(engine)
      for (const [type, payload] of after) await command(engine, destination, type, payload)
      await engine.clock.advance('1s')

      const { delivered, reason, message } = await explain(engine, event, destination)
      expect({ delivered, reason }).toEqual({ delivered: false, reason: 'before_activation' })
      expect(message).toContain('pending_verification')
    })

    test('of a destination that had been deactivated instead', async () => {
      const engine = await setupDelivering({ verification: 'manual' })
      const destination = await makeDestination(engine)
      await command(engine, destination, 'deactivate')
      const event = await emit(engine)
      await command(engine, destination, 'reactivate')
      await command(engine, destination, 'activate')
      await engine.clock.advance('1s')

      const { reason, message } = await explain(engine, event, destination)
      expect(reason).toBe('before_activation')
      expect(message).toContain('inactive')
    })

    test('of a destination that did not exist yet', async () => {
      const engine = await setupDelivering()
      const receiver = await setupReceiver()
      const event = await emit(engine)
      const destination = await activate(engine, receiver.url)
      await engine.clock.advance('1s')

      const { delivered, reason, message } = await explain(engine, event, destination)
      expect({ delivered, reason }).toEqual({ delivered: false, reason: 'before_activation' })
      expect(message).toContain('did not exist yet')
    })

    test('of a destination that has not been given out itself', async () => {
      const { engine } = await setupDelivery()
      const event = await emit(engine)
      await engine.clock.advance('1s')
      const destination = await makeDestination(engine)
      const fresh = await emit(engine)

      expect((await explain(engine, event, destination)).reason).toBe('before_activation')
      expect((await explain(engine, fresh, destination)).reason).toBe('not_dispatched')
    })

    test('whether or not it is wanted', async () => {
      const engine = await setupDelivering({ verification: 'manual' })
      const destination = await makeDestination(engine, { events: ['session.*'] })
      const event = await emit(engine)
      await command(engine, destination, 'activate')
      await engine.clock.advance('1s')

      expect((await explain(engine, event, destination)).reason).toBe('before_activation')
    })

    test('only once it has been given out', async () => {
      const engine = await setupDelivering({ verification: 'manual' })
      const destination = await makeDestination(engine)
      const event = await emit(engine)
      await command(engine, destination, 'activate')

      expect((await explain(engine, event, destination)).reason).toBe('not_dispatched')
    })
  })

  test('knows what a destination was although its beginning has been pruned', async () => {
    const { engine, destination } = await setupDelivery({}, { events: ['session.*'] })
    await engine.clock.advance('60d')
    const before = await fullLog(engine)
    expect(await engine.prune({ events: '30d' })).toEqual({ events: before.length, held_by: null })
    const unwanted = await emit(engine)
    await command(engine, destination, 'deactivate')
    const [missed] = (await handleOf(engine, 'sessions').create({})).events
    await engine.clock.advance('1s')
    await command(engine, destination, 'reactivate', { from: 'now' })
    await engine.clock.advance('1s')

    expect((await explain(engine, unwanted, destination)).reason).toBe('not_matched')
    expect(missed && (await explain(engine, missed, destination)).reason).toBe('skipped')
  })

  test('names an event that was passed over', async () => {
    const { engine, destination } = await setupDelivery()
    await command(engine, destination, 'deactivate')
    await engine.clock.advance('1s')
    const event = await emit(engine)
    await engine.clock.advance('1s')
    await command(engine, destination, 'reactivate', { from: 'now' })
    await engine.clock.advance('1s')

    expect(await explain(engine, event, destination)).toMatchObject({
      ...{ delivered: false, reason: 'skipped' },
    })
  })

  test('says that it was delivered, also when its destination is gone', async () => {
    const { engine, destination } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')
    await command(engine, destination, 'delete')

    expect((await explain(engine, event, destination)).delivered).toBe(true)
  })

  test('always gives a reason in words', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const { data } = await emit(engine)
    await rename(engine, String(data.id), 'Bea')
    await engine.clock.advance('1s')
    await emit(engine)

    for (const event of await fullLog(engine)) {
      const { message } = await explain(engine, event, destination)
      expect(message.length).toBeGreaterThan(10)
    }
  })

  test('finds no event and no destination that is not there', async () => {
    const { engine, destination } = await setupDelivery()
    const event = await emit(engine)

    const nothing = await failureOf(explain(engine, { ...event, id: 'evt_nothing' }, destination))
    const nowhere = await failureOf(explain(engine, event, { id: 'evtd_nothing' }))

    expect(nothing).toMatchObject({ code: 'not_found', resource_id: 'evt_nothing' })
    expect(nowhere).toMatchObject({ code: 'not_found', resource_id: 'evtd_nothing' })
  })

  test.each([undefined, null, {}, { event: 'evt_1' }, { event: 1, destination: 2 }, { x: 1 }])(
    'cannot be asked %j',
    async (question) => {
      const { deliveries } = await setupDelivery()

      expect((await failureOf(() => deliveries.explain(question))).code).toBe('invalid_input')
    },
  )
})

/** Two destinations, and deliveries of them in all statuses that do not need an attempt under way. */
async function setupListed() {
  const { engine, receiver, destination } = await setupDelivery({ retries: ['10m', '1h'] })
  const other = await setupReceiver()
  const second = await activate(engine, other.url, { events: ['agent.*'] })
  await engine.clock.advance('1s')
  const good = await emit(engine)
  await engine.clock.advance('1s')
  receiver.behave(status(500))
  const bad = await emit(engine)
  const blocked = await rename(engine, String(bad.data.id), 'Bea')
  await engine.clock.advance('1s')
  return { engine, receiver, destination, second, good, bad, blocked }
}

describe('deliveries.list', () => {
  test('gives the deliveries of the newest events first', async () => {
    const { engine, bad, blocked, good } = await setupListed()

    const { data, has_more, next_cursor } = await deliveriesOf(engine).list()

    const events = data.map(({ event_id }) => event_id)
    expect(events.filter((id) => [bad.id, blocked.id, good.id].includes(id))).toEqual([
      ...[blocked.id, blocked.id, bad.id, bad.id, good.id, good.id],
    ])
    expect({ has_more, next_cursor }).toEqual({ has_more: false, next_cursor: null })
  })

  test('filters by destination', async () => {
    const { engine, second, bad, blocked, good } = await setupListed()

    const found = await listed(engine, { destination: second.id })

    expect(new Set(found.map(({ destination_id }) => destination_id))).toEqual(new Set([second.id]))
    expect(found.map(({ event_id }) => event_id)).toEqual(idsOf([good, bad, blocked]))
  })

  test('filters by event', async () => {
    const { engine, destination, second, bad } = await setupListed()

    const found = await listed(engine, { event: bad.id })

    expect(found.map(({ destination_id }) => destination_id).sort()).toEqual(
      [destination.id, second.id].sort(),
    )
  })

  test('filters by one status and by many', async () => {
    const { engine, destination, bad, blocked } = await setupListed()
    const find = async (filter: object) =>
      (await listed(engine, { destination: destination.id, ...filter })).map(
        (each) => each.event_id,
      )

    expect(await find({ status: 'waiting' })).toEqual([bad.id])
    expect(await find({ status: 'pending' })).toEqual([blocked.id])
    expect(await find({ status: ['waiting', 'pending'] })).toEqual([bad.id, blocked.id])
    expect(await find({ status: ['exhausted', 'canceled', 'delivering'] })).toEqual([])
  })

  test('filters by all at once', async () => {
    const { engine, destination, second, bad } = await setupListed()
    const filter = { event: bad.id, status: 'succeeded' }

    expect(await listed(engine, { ...filter, destination: destination.id })).toEqual([])
    expect(await listed(engine, { ...filter, destination: second.id })).toHaveLength(1)
  })

  test('gives nothing for what does not exist', async () => {
    const { engine } = await setupListed()

    for (const filter of [{ event: 'evt_nothing' }, { destination: 'evtd_nothing' }])
      expect(await listed(engine, filter)).toEqual([])
  })

  test.each([{}, { order: 'asc' }, { order: 'desc' }, 'destination', 'event'])(
    'shows what is under way: %j',
    async (filter) => {
      const { engine, receiver, destination } = await setupDelivery()
      const { opened, open } = gate()
      receiver.behave(() => opened.then(() => ({})))
      const event = await emit(engine)
      const advanced = engine.clock.advance(0)
      await until(() => receiver.inFlight === 1)

      const by = filter === 'event' ? { event: event.id } : { destination: destination.id }
      const given = typeof filter === 'string' ? by : filter
      const found = await collect<AnyDelivery>(deliveriesOf(engine).list(given))

      open()
      await advanced
      expect(found.map((each) => [each.event_id, each.status])).toEqual([[event.id, 'delivering']])
    },
  )

  test.each([
    ['status', 'lost'],
    ['status', []],
    ['status', ['waiting', 'lost']],
    ['status', 7],
    ['event', 7],
    ['destination', {}],
    ['limit', 0],
    ['limit', 1001],
    ['limit', 1.5],
    ['order', 'up'],
    ['cursor', 'nonsense'],
    ['cursor', 7],
    ['type', 'agent.*'],
  ])('cannot have %s %j', async (name, value) => {
    const { deliveries } = await setupDelivery()

    const error = await failureOf(() => deliveries.list({ [name]: value }))

    expect(error.code).toBe('invalid_input')
    expect(String(first(error.issues ?? []).path)).toContain(name)
  })

  test.each([null, 7, 'x'])('cannot have the filter %j', async (filter) => {
    const { deliveries } = await setupDelivery()

    expect((await failureOf(() => deliveries.list(filter))).code).toBe('invalid_input')
  })

  describe('in pages', () => {
    /** All deliveries, page by page. */
    async function paged(engine: AnyTestEngine, filter: object) {
      const pages: (readonly AnyDelivery[])[] = []
      let cursor: string | null = null
      do {
        const options = cursor === null ? filter : { ...filter, cursor }
        const page: Awaited<ReturnType<ReturnType<typeof deliveriesOf>['list']>> =
          await deliveriesOf(engine).list(options)
        expect(page.has_more).toBe(page.next_cursor !== null)
        pages.push(page.data)
        cursor = page.next_cursor
      } while (cursor !== null)
      return pages
    }

    async function setupMany(count = 23) {
      const { engine, receiver, destination } = await setupDelivery()
      const other = await setupReceiver()
      await activate(engine, other.url, { events: ['agent.*'] })
      await engine.clock.advance('1s')
      receiver.behave(({ body }) => ({ status: body.includes('bad') ? 500 : 200 }))
      for (let n = 0; n < count; n++) await emit(engine, n % 3 ? 'good' : 'bad')
      await engine.clock.advance('1s')
      return { engine, destination }
    }

    test.each([
      ...(['asc', 'desc'] as const).flatMap((order) =>
        [1, 2, 7, 46, 1000].map((limit) => ({ order, limit })),
      ),
    ])('%j gives each once', async ({ order, limit }) => {
      const { engine } = await setupMany()
      const all = await listed(engine)
      const expected = order === 'asc' ? idsOf(all) : idsOf(all).reverse()

      const pages = await paged(engine, { order, limit })

      expect(all).toHaveLength(47)
      expect(pages.flatMap(idsOf)).toEqual(expected)
      for (const page of pages) expect(page.length).toBeLessThanOrEqual(limit)
    })

    test.each([
      ...(['asc', 'desc'] as const).flatMap((order) =>
        ['status', 'statuses', 'destination', 'both'].map((name) => ({ order, name })),
      ),
    ])('%j gives each that is looked for', async ({ order, name }) => {
      const { engine, destination } = await setupMany()
      const byDestination = { destination: destination.id }
      const filters: Record<string, object> = {
        status: { status: 'succeeded' },
        statuses: { status: ['waiting', 'succeeded'] },
        destination: byDestination,
        both: { ...byDestination, status: 'waiting' },
      }
      const filter = filters[name] ?? expect.fail()
      const isWanted = (each: AnyDelivery) =>
        (!/both|destination/.test(name) || each.destination_id === destination.id) &&
        (name !== 'status' || each.status === 'succeeded') &&
        (name !== 'both' || each.status === 'waiting')
      const expected = idsOf((await listed(engine)).filter(isWanted))

      const pages = await paged(engine, { ...filter, order, limit: 4 })

      expect(expected.length).toBeGreaterThan(4)
      expect(pages.flatMap(idsOf)).toEqual(order === 'asc' ? expected : expected.reverse())
    })

    test('goes on where it was when deliveries have come meanwhile', async () => {
      const { engine } = await setupMany()
      const before = idsOf(await listed(engine, { order: 'desc' }))
      const page = await deliveriesOf(engine).list({ limit: 10 })
      await emit(engine)
      await engine.clock.advance('1s')

      const rest = await listed(engine, { order: 'desc', cursor: page.next_cursor, limit: 10 })

      expect([...idsOf(page.data), ...idsOf(rest)]).toEqual(before)
    })

    test('of 50 unless asked for others', async () => {
      const { engine } = await setupMany(60)

      expect((await deliveriesOf(engine).list()).data).toHaveLength(50)
    })

    test('does not take the cursor of another list', async () => {
      const { engine } = await setupMany()
      const { next_cursor: ofEvents } = await engine.events.list({ limit: 1 })
      const { next_cursor: ofAgents } = await handleOf(engine, 'agents').list({ limit: 1 })

      for (const cursor of [ofEvents, ofAgents])
        expect((await failureOf(() => deliveriesOf(engine).list({ cursor }))).code).toBe(
          'invalid_input',
        )
    })

    test('does not take a cursor that was tampered with', async () => {
      const { engine } = await setupMany()
      const { next_cursor } = await deliveriesOf(engine).list({ limit: 1 })
      const cursor = String(next_cursor)

      for (const each of [`${cursor}x`, cursor.slice(0, -2), `${cursor}'--`, ''])
        expect((await failureOf(() => deliveriesOf(engine).list({ cursor: each }))).code).toBe(
          'invalid_input',
        )
    })

    test('shows nothing of a tenant to another one that has its cursor', async () => {
      const { engine } = await setupMany()
      const { next_cursor: cursor } = await deliveriesOf(engine).list({ limit: 3 })
      const other = deliveriesOf(engine.tenant('other'))

      const found = await collect(other.list({ cursor })).catch(() => [])

      expect(found).toEqual([])
    })

    test('can be gone through at once', async () => {
      const { engine } = await setupMany()

      expect(await collect(deliveriesOf(engine).list({ limit: 5 }))).toHaveLength(47)
    })
  })
})

describe('deliveries.get', () => {
  test.each(['edlv_nothing', 'evt_1', 'edlv_'])('finds no %s', async (id) => {
    const { deliveries } = await setupDelivery()

    expect(await failureOf(() => deliveries.get(id))).toMatchObject({
      ...{ code: 'not_found', resource_id: id },
    })
  })

  test.each([undefined, null, 7, {}, '', 'x'.repeat(300)])('cannot find %j', async (id) => {
    const { deliveries } = await setupDelivery()

    const { code } = await failureOf(() => deliveries.get(id as string))
    expect(['invalid_input', 'not_found']).toContain(code)
  })

  test('does not let anybody change what was tried', async () => {
    const { engine } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')
    const before = structuredClone(await deliveryOf(engine, event))

    const got = await deliveryOf(engine, event)
    try {
      Object.assign(got, { status: 'waiting' })
      Object.assign(first(got.attempt_log), { number: 7 })
    } catch {}

    expect(await deliveryOf(engine, event)).toEqual(before)
  })
})

describe('a tenant', () => {
  async function setupTenants() {
    const engine = await setupDelivering()
    const receiver = await setupReceiver()
    const acme = engine.tenant('acme')
    const other = engine.tenant('other')
    const mine = await activate(acme, receiver.url)
    const theirs = await activate(other, receiver.url)
    const event = await emit(acme)
    await emit(other)
    await engine.clock.advance('1s')
    return { engine, acme, other, mine, theirs, event }
  }

  test('sees its own deliveries alone', async () => {
    const { engine, acme, other, mine, theirs } = await setupTenants()

    for (const [scope, destination] of [
      [acme, mine],
      [other, theirs],
    ] as const)
      expect((await listed(scope)).map((each) => each.destination_id)).toEqual([destination.id])
    expect(await listed(engine)).toEqual([])
  })

  test('finds nothing of another one', async () => {
    const { engine, acme, other, mine, event } = await setupTenants()
    const { id } = await deliveryOf(acme, event)

    for (const scope of [engine, other]) {
      const { get, resend, explain: why, replay, verify } = deliveriesOf(scope)
      const calls = [
        () => get(id),
        () => resend(id),
        () => why({ event: event.id, destination: mine.id }),
        () => replay({ destination: mine.id }),
        () => verify(mine.id),
      ]
      for (const call of calls) expect((await failureOf(call)).code).toBe('not_found')
      expect(await listed(scope, { destination: mine.id })).toEqual([])
      expect(await listed(scope, { event: event.id })).toEqual([])
    }
  })

  test('is told nothing of an event of another one by explain', async () => {
    const { acme, other, theirs, event } = await setupTenants()
    expect(acme).not.toBe(other)

    const error = await failureOf(
      deliveriesOf(other).explain({ event: event.id, destination: theirs.id }),
    )

    expect(error).toMatchObject({ code: 'not_found', resource_id: event.id })
  })

  test('is chosen by the operator, or all of them', async () => {
    const { engine, mine, theirs } = await setupTenants()
    const find = async (tenant: string) =>
      (await listed(engine, { tenant })).map((each) => each.destination_id).sort()

    expect(await find('acme')).toEqual([mine.id])
    expect(await find('*')).toEqual([mine.id, theirs.id].sort())
    expect(await find('nobody')).toEqual([])
  })

  test.each(['other', '*'])('cannot ask for tenant %s', async (tenant) => {
    const { acme } = await setupTenants()

    expect((await failureOf(() => deliveriesOf(acme).list({ tenant }))).code).toBe('invalid_input')
  })

  test('has its deliveries to itself when another one fails', async () => {
    const engine = await setupDelivering({ retries: ['1s'] })
    const bad = await setupReceiver()
    const good = await setupReceiver()
    const acme = engine.tenant('acme')
    const failing = await activate(acme, bad.url)
    const mine = await activate(engine, good.url)
    bad.behave(status(500))
    await emit(acme)
    await engine.clock.advance('1m')
    await emit(engine)
    await engine.clock.advance('1m')

    expect(
      (
        await deliveriesOf(engine).explain({
          event: first(await publicLog(engine, { type: 'agent.created' })).id,
          destination: mine.id,
        })
      ).delivered,
    ).toBe(true)
    expect(good.events).toHaveLength(1)
    expect((await listed(acme)).map((each) => [each.destination_id, each.status])).toEqual([
      [failing.id, 'exhausted'],
    ])
  })

  test('cannot have a destination of another one as it is verified', async () => {
    const engine = await setupDelivering()
    const receiver = await setupReceiver()
    const destination = await makeDestination(engine.tenant('acme'), {
      webhook: { url: receiver.url },
    })

    expect((await failureOf(() => deliveriesOf(engine).verify(destination.id))).code).toBe(
      'not_found',
    )
    expect(receiver.requests).toEqual([])
  })
})
