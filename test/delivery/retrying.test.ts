/** Is a delivery tried as often as agreed, and what becomes of a destination that fails? @module */

import { describe, expect, onTestFinished, test } from 'vitest'
import { openEngine, publicLog, reopen, setupEngine } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import type { Received, Receiver } from '../support/receivers.ts'
import { temporaryFile } from '../support/temp.ts'
import { gate, until } from '../support/until.ts'
import { makeDestination } from '../support/world.ts'
import {
  activate,
  command,
  deliveredTo,
  deliveriesOf,
  deliveryOf,
  destinationNow,
  emit,
  idsAt,
  LOCAL,
  listed,
  msBetween,
  rename,
  setupDelivering,
  setupDelivery,
  setupReceiver,
  status,
} from './deliveries.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

const WAITS = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR]

/** The waits between the attempts of a delivery. */
function waitsOf(attempts: readonly { readonly at: string }[]): number[] {
  return attempts.slice(1).map(({ at }, n) => msBetween(attempts[n]?.at ?? '', at))
}

/** Whether a request is about an agent of that name. */
const isAbout = ({ body }: Received, name: string) => JSON.parse(body).data?.name === name

/** Refuses what is about the agents of a name. */
function refuse(receiver: Receiver, name: string): void {
  receiver.behave((request) => ({ status: isAbout(request, name) ? 400 : 200 }))
}

describe('a delivery that fails', () => {
  test('is tried eight times in 27 h 35 m 5 s', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('100h')

    const { attempt_log, ...delivery } = await deliveryOf(engine, event)
    expect(waitsOf(attempt_log)).toEqual(WAITS)
    expect(attempt_log.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(delivery).toMatchObject({ status: 'exhausted', attempts: 8, next_attempt_at: null })
    expect(deliveredTo(receiver)).toHaveLength(8)
  })

  test('is tried at the very millisecond, and not one before', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    await emit(engine)
    await engine.clock.advance(0)
    for (const [n, wait] of WAITS.entries()) {
      await engine.clock.advance(wait - 1)
      expect(deliveredTo(receiver)).toHaveLength(n + 1)
      await engine.clock.advance(1)
      expect(deliveredTo(receiver)).toHaveLength(n + 2)
    }
  })

  test('says when it is tried next', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('5s')

    const { next_attempt_at } = await deliveryOf(engine, event)
    expect(next_attempt_at).toBe('2026-01-01T00:05:05.000Z')
  })

  test('is tried by whatever the engine says', async () => {
    const { engine, receiver } = await setupDelivery({ retries: ['1s', 3000] })
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1h')

    expect(waitsOf((await deliveryOf(engine, event)).attempt_log)).toEqual([1000, 3000])
  })

  test('is tried by what its destination says before all', async () => {
    const { engine, receiver } = await setupDelivery(
      { retries: ['1s'] },
      { delivery: { retries: ['2s', '4s'] } },
    )
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1h')

    expect(waitsOf((await deliveryOf(engine, event)).attempt_log)).toEqual([2000, 4000])
  })

  test('is tried by what its destination says since', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('5s')

    await command(engine, destination, 'update', { delivery: { retries: ['1s', '1s', '7s'] } })
    await engine.clock.advance('100h')

    expect(waitsOf((await deliveryOf(engine, event)).attempt_log).slice(2)).toEqual([7000])
  })

  test('is tried once where there are no retries', async () => {
    const { engine, receiver } = await setupDelivery({ retries: [] })
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'exhausted', attempts: 1 })
  })

  test('is tried once when it is long overdue, and not for every wait that has passed', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    await activate(before, receiver.url)
    receiver.behave(status(500))
    const event = await emit(before)
    await before.clock.advance(0)
    await before.close()

    const after = await setupEngine({ ...options, now: new Date('2026-01-20T00:00:00Z') })
    await after.clock.advance(0)

    expect(await deliveryOf(after, event)).toMatchObject({
      ...{ status: 'waiting', attempts: 2, next_attempt_at: '2026-01-20T00:05:00.000Z' },
    })
  })

  test('counts what its restart interrupted among its attempts', async () => {
    const options = { database: temporaryFile(), delivery: { ...LOCAL, retries: ['1s', '1s'] } }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    const destination = await activate(before, receiver.url)
    receiver.behave(status(500))
    const event = await emit(before)
    await before.clock.advance('1s')
    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    await after.clock.advance('1h')

    expect(await deliveryOf(after, event)).toMatchObject({ status: 'exhausted', attempts: 3 })
    expect(await destinationNow(after, destination)).toMatchObject({ status: 'inactive' })
  })

  describe('with jitter', () => {
    /** The first waits of 40 deliveries, by what they should be. */
    async function waitsWith(delivery: object) {
      const receiver = await setupReceiver()
      const engine = await setupEngine({
        delivery: { allowPrivate: ['127.0.0.0/8'], retries: ['100s'], ...delivery },
      })
      await activate(engine, receiver.url)
      receiver.behave(status(500))
      for (let n = 0; n < 40; n++) await emit(engine)
      await engine.clock.advance(0)
      const all = await listed(engine)
      return all.map(({ created_at, next_attempt_at }) =>
        msBetween(created_at, next_attempt_at ?? ''),
      )
    }

    test.each([
      [{}, 0.2],
      [{ jitter: 0.5 }, 0.5],
      [{ jitter: 1 }, 1],
    ])('%j waits that much longer or shorter', async (delivery, jitter) => {
      const waits = await waitsWith(delivery)

      expect(Math.min(...waits)).toBeGreaterThanOrEqual(100_000 * (1 - jitter))
      expect(Math.max(...waits)).toBeLessThanOrEqual(100_000 * (1 + jitter))
      expect(Math.min(...waits)).toBeLessThan(100_000 * (1 - jitter / 3))
      expect(Math.max(...waits)).toBeGreaterThan(100_000 * (1 + jitter / 3))
    })

    test('of 0 waits exactly', async () => {
      expect(new Set(await waitsWith({ jitter: 0 }))).toEqual(new Set([100_000]))
    })
  })

  test.each([
    ['retries', [-1]],
    ['retries', ['soon']],
    ['retries', '5s'],
    ['retries', [Number.NaN]],
    ['retries', Array.from({ length: 101 }, () => '1s')],
    ['timeout', 0],
    ['timeout', '6m'],
    ['timeout', 'x'],
    ['concurrency', 0],
    ['concurrency', 1.5],
    ['order', 'global'],
    ['verification', 'trust'],
    ['unheard_of', 1],
  ])('cannot have %s %j', async (name, value) => {
    const engine = await setupDelivering()

    const global = await failureOf(() => openEngine({ delivery: { [name]: value } }))
    const own = await failureOf(() => makeDestination(engine, { delivery: { [name]: value } }))

    expect(global).toMatchObject({ code: 'invalid_input', issues: [{}] })
    expect(own).toMatchObject({ code: 'invalid_input', issues: [{}] })
    expect(String(own.issues?.map(({ path }) => path))).toContain('delivery')
  })

  test.each([
    ['retries', ['5 s']],
    ['retries', ['1w']],
    ['retries', [-1]],
    ['timeout', 'soon'],
    ['timeout', true],
  ])('says in words what a duration looks like where %s are %j', async (name, value) => {
    const engine = await setupDelivering()

    const global = await failureOf(() => openEngine({ delivery: { [name]: value } }))
    const own = await failureOf(() => makeDestination(engine, { delivery: { [name]: value } }))

    for (const { message } of [global, own])
      expect(message).toContain(
        'a number and its unit (ms, s, m, h or d) without a space, such as "5s", "30m" or "1.5h", or a number of milliseconds',
      )
  })

  test.each([
    ['jitter', -0.1],
    ['jitter', 1.1],
    ['jitter', '0.2'],
    ['allowPrivate', ['localhost']],
    ['allowPrivate', ['127.0.0.0/33']],
    ['allowPrivate', '127.0.0.0/8'],
    ['lookup', 'dns'],
    ['preset', 'deck'],
  ])('cannot have an engine with %s %j', async (name, value) => {
    const error = await failureOf(() => openEngine({ delivery: { [name]: value } }))

    expect(error.code).toBe('invalid_input')
  })

  test('cannot make its destination reach what the engine does not allow', async () => {
    const engine = await setupEngine({ delivery: { verification: 'manual' } })

    for (const delivery of [{ allowPrivate: ['127.0.0.0/8'] }, { lookup: 'x' }]) {
      const webhook = { url: 'http://127.0.0.1/' }
      const error = await failureOf(() => makeDestination(engine, { webhook, delivery }))
      expect(error.code).toBe('invalid_input')
    }
  })
})

describe('a destination', () => {
  async function setupFailing(delivery: object = {}) {
    const made = await setupDelivery({ retries: ['10s', '10s'], ...delivery })
    made.receiver.behave(status(500))
    return made
  }

  test('is deactivated when a delivery is exhausted', async () => {
    const { engine, destination } = await setupFailing()
    const event = await emit(engine)
    await engine.clock.advance('19s')
    expect((await destinationNow(engine, destination)).status).toBe('active')
    await engine.clock.advance('1s')

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'inactive',
      deactivation: { reason: 'failures', message: expect.stringContaining(event.id) },
    })
  })

  test('tells the others that it is deactivated, and why', async () => {
    const { engine, destination } = await setupFailing()
    const observer = await setupReceiver()
    await activate(engine, observer.url, { events: ['event_destination.*'] })
    await emit(engine)
    await engine.clock.advance('20s')

    const told = observer.events.filter(({ type }) => type === 'event_destination.deactivated')
    const { deactivation } = await destinationNow(engine, destination)
    expect(told.map(({ data }) => [data.id, data.deactivation])).toEqual([
      [destination.id, deactivation],
    ])
  })

  test('is sent nothing more when it is deactivated', async () => {
    const { engine, receiver } = await setupFailing()
    await emit(engine)
    await engine.clock.advance('20s')
    const { length } = receiver.requests

    await emit(engine)
    await engine.clock.advance('100h')

    expect(receiver.requests).toHaveLength(length)
  })

  test('stays active when it has accepted another event since the first attempt', async () => {
    const { engine, receiver, destination } = await setupFailing()
    refuse(receiver, 'poison')
    const poison = await emit(engine, 'poison')
    await engine.clock.advance('5s')
    await emit(engine, 'healthy')
    await engine.clock.advance('1h')

    expect(await deliveryOf(engine, poison)).toMatchObject({ status: 'exhausted' })
    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ status: 'active', deactivation: null },
    })
  })

  test('is deactivated when it has accepted another event only before the first attempt', async () => {
    const { engine, receiver, destination } = await setupFailing()
    refuse(receiver, 'poison')
    await emit(engine, 'healthy')
    await engine.clock.advance('5s')
    await emit(engine, 'poison')
    await engine.clock.advance('1h')

    expect((await destinationNow(engine, destination)).status).toBe('inactive')
  })

  test('is deactivated although another one has accepted the event', async () => {
    const { engine, destination } = await setupFailing()
    const healthy = await setupReceiver()
    await activate(engine, healthy.url)
    const event = await emit(engine)
    await engine.clock.advance('1h')

    expect(healthy.events.map(({ id }) => id)).toContain(event.id)
    expect((await destinationNow(engine, destination)).status).toBe('inactive')
  })

  test('survives a poison event among healthy ones', async () => {
    const { engine, receiver, destination } = await setupFailing()
    refuse(receiver, 'poison')
    const healthy = []
    for (let n = 0; n < 30; n++) {
      if (n % 10 === 5) await emit(engine, 'poison')
      else healthy.push((await emit(engine, 'healthy')).id)
      await engine.clock.advance('1s')
    }
    await engine.clock.advance('1h')

    expect(receiver.events.map(({ id }) => id)).toEqual(healthy)
    expect(await listed(engine, { status: 'exhausted' })).toHaveLength(3)
    // The last one was followed by an event that was accepted.
    expect((await destinationNow(engine, destination)).status).toBe('active')
  })

  test('is deactivated once, however many deliveries are exhausted at once', async () => {
    const { engine, destination } = await setupFailing()
    for (let n = 0; n < 5; n++) await emit(engine, `agent ${n}`)
    await engine.clock.advance('1h')

    const told = await publicLog(engine, { type: 'event_destination.deactivated' })
    expect(told.map(({ resource_id }) => resource_id)).toEqual([destination.id])
  })

  test('keeps the first reason when it is deactivated again', async () => {
    const { engine, destination } = await setupFailing()
    await emit(engine)
    await engine.clock.advance('1h')
    const before = await destinationNow(engine, destination)

    const outcome = await command(engine, destination, 'deactivate', { message: 'mine' })

    expect(outcome).toMatchObject({ changed: false, events: [] })
    expect(await destinationNow(engine, destination)).toEqual(before)
  })

  test('keeps the reason of its user when a delivery is exhausted after that', async () => {
    const { engine, receiver, destination } = await setupFailing({ retries: [] })
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({ status: 500 })))
    await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await command(engine, destination, 'deactivate', { message: 'mine' })
    open()
    await advanced
    await engine.clock.advance('1h')

    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ status: 'inactive', deactivation: { reason: 'user', message: 'mine' } },
    })
  })

  test('forgets the deactivation when it is active again', async () => {
    const { engine, receiver, destination } = await setupFailing()
    await emit(engine)
    await engine.clock.advance('1h')
    receiver.behave(status(200))
    await command(engine, destination, 'reactivate')
    await engine.clock.advance('1s')

    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ status: 'active', deactivation: null },
    })
  })

  test('is not deactivated again for what was exhausted before it came back', async () => {
    const { engine, receiver, destination } = await setupFailing()
    await emit(engine)
    await engine.clock.advance('1h')
    await command(engine, destination, 'reactivate')
    receiver.behave(status(200))
    await engine.clock.advance('100h')

    expect((await destinationNow(engine, destination)).status).toBe('active')
  })

  describe('by the reference preset', () => {
    test('has four attempts, each after a longer wait', async () => {
      const receiver = await setupReceiver()
      const engine = await setupDelivering({ preset: 'reference' })
      await activate(engine, receiver.url)
      receiver.behave(status(500))
      const event = await emit(engine)
      await engine.clock.advance('100h')

      const { attempt_log, ...delivery } = await deliveryOf(engine, event)
      const waits = waitsOf(attempt_log)
      expect(delivery).toMatchObject({ status: 'exhausted', attempts: 4 })
      expect(waits).toEqual([...waits].sort((a, b) => a - b))
      expect(new Set(waits).size).toBe(3)
    })

    test('is deactivated by the first exhausted delivery, although it accepts others', async () => {
      const { engine, receiver, destination } = await setupDelivery({ preset: 'reference' })
      refuse(receiver, 'poison')
      await emit(engine, 'poison')
      await engine.clock.advance('1s')
      await emit(engine, 'healthy')
      await engine.clock.advance('100h')

      expect(await destinationNow(engine, destination)).toMatchObject({
        ...{ status: 'inactive', deactivation: { reason: 'failures' } },
      })
    })

    test('may have other retries', async () => {
      const { engine, receiver } = await setupDelivery({ preset: 'reference', retries: ['1s'] })
      receiver.behave(status(500))
      const event = await emit(engine)
      await engine.clock.advance('1h')

      expect(await deliveryOf(engine, event)).toMatchObject({ status: 'exhausted', attempts: 2 })
    })
  })
})

describe('resend', () => {
  test('delivers an exhausted delivery once more, as the same event', async () => {
    const { engine, receiver, deliveries } = await setupDelivery({ retries: ['1s'] })
    refuse(receiver, 'poison')
    const event = await emit(engine, 'poison')
    await engine.clock.advance(500)
    await emit(engine, 'healthy')
    await engine.clock.advance('1m')
    const { id } = await deliveryOf(engine, event)
    receiver.behave(status(200))

    const resent = await deliveries.resend(id)
    await engine.clock.advance(0)

    expect(resent).toMatchObject({ id, event_id: event.id })
    expect(await deliveries.get(id)).toMatchObject({
      ...{ status: 'succeeded', attempts: 3, last_error: null },
      attempt_log: [{ number: 1 }, { number: 2 }, { number: 3, status_code: 200, error: null }],
    })
    expect(idsAt(receiver).filter((each) => each === event.id)).toHaveLength(3)
  })

  test('gives all retries again', async () => {
    const { engine, receiver, deliveries } = await setupDelivery({ retries: ['1s', '2s'] })
    refuse(receiver, 'poison')
    const event = await emit(engine, 'poison')
    await engine.clock.advance(500)
    await emit(engine, 'healthy')
    await engine.clock.advance('1m')
    const { id } = await deliveryOf(engine, event)

    await deliveries.resend(id)
    await engine.clock.advance(500)
    await emit(engine, 'healthy')
    await engine.clock.advance('1m')

    const { attempt_log, ...delivery } = await deliveries.get(id)
    expect(delivery).toMatchObject({ status: 'exhausted', attempts: 6 })
    expect(attempt_log.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
    expect(waitsOf(attempt_log).slice(3)).toEqual([1000, 2000])
  })

  test('sends what has succeeded once more', async () => {
    const { engine, receiver, deliveries } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')
    const { id } = await deliveryOf(engine, event)

    await deliveries.resend(id)
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id, event.id])
    expect(await deliveries.get(id)).toMatchObject({ status: 'succeeded', attempts: 2 })
  })

  test('does not wait for what a delivery waits for', async () => {
    const { engine, receiver, deliveries } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('10s')
    receiver.behave(status(200))

    await deliveries.resend((await deliveryOf(engine, event)).id)
    await engine.clock.advance(0)

    expect(receiver.events.map(({ id }) => id)).toEqual([event.id])
    await engine.clock.advance('100h')
    expect(receiver.events).toHaveLength(1)
  })

  test('of a delivery under way does not make a second one beside it', async () => {
    const { engine, receiver, deliveries } = await setupDelivery()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await deliveries.resend((await deliveryOf(engine, event)).id).catch(() => {})
    open()
    await advanced
    await engine.clock.advance('1h')

    expect(receiver.mostInFlight).toBe(1)
    const { attempt_log, attempts, status: state } = await deliveryOf(engine, event)
    expect(state).toBe('succeeded')
    expect(attempt_log.map(({ number }) => number)).toEqual(
      Array.from({ length: attempts }, (_, n) => n + 1),
    )
  })

  test('keeps at most one delivery of a resource in flight', async () => {
    const { engine, receiver, deliveries } = await setupDelivery()
    const created = await emit(engine)
    const changed = await rename(engine, String(created.data.id), 'Bea')
    await engine.clock.advance('1s')
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    for (const event of [created, changed])
      await deliveries.resend((await deliveryOf(engine, event)).id)

    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight > 0)
    open()
    await advanced

    expect(receiver.mostInFlightPerResource).toBe(1)
    expect(receiver.events).toHaveLength(4)
  })

  test.each([
    ['deactivated', 'deactivate', 'inactive'],
    ['deleted', 'delete', 'deleted'],
  ])('is refused for a destination that is %s', async (_, type, state) => {
    const { engine, destination, deliveries, receiver } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')
    const { id } = await deliveryOf(engine, event)
    await command(engine, destination, type)

    const error = await failureOf(() => deliveries.resend(id))
    await engine.clock.advance('1h')

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reference' })
    expect(error.blockers).toMatchObject([{ resource_id: destination.id }])
    expect((await deliveriesOf(engine).get(id)).status).toBe('succeeded')
    expect(idsAt(receiver)).toEqual([event.id])
    expect((await destinationNow(engine, destination)).status).toBe(state)
  })

  test('is refused for a destination that has to be verified', async () => {
    const { engine, destination, deliveries, receiver } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')
    const { id } = await deliveryOf(engine, event)
    const webhook = { url: `${receiver.url}other` }
    await command(engine, destination, 'update', { webhook })

    const error = await failureOf(() => deliveries.resend(id))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reference' })
  })

  test('finds nothing for an id that does not exist', async () => {
    const { deliveries } = await setupDelivery()

    expect((await failureOf(() => deliveries.resend('edlv_nothing'))).code).toBe('not_found')
  })

  test.each([undefined, null, 7, {}, 'x'.repeat(300), '', 'a\u0000'])(
    'refuses the id %j with an error of the engine',
    async (id) => {
      const { deliveries } = await setupDelivery()

      const error = await failureOf(() => deliveries.resend(id as string))

      expect(['invalid_input', 'not_found']).toContain(error.code)
    },
  )
})
