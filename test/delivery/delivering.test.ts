/** Do events reach those who want them, as Standard Webhooks asks for it? @module */

import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { describe, expect, onTestFinished, test } from 'vitest'
import { verifyWebhook } from '../../src/webhooks.ts'
import {
  expectVerified,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
  reopen,
  setupEngine,
  setupRealEngine,
} from '../support/engine.ts'
import { caught } from '../support/errors.ts'
import { hostileReceivers } from '../support/receivers.ts'
import { temporaryFile } from '../support/temp.ts'
import { gate, until } from '../support/until.ts'
import { make, makeCredential, makeDestination, makeRun } from '../support/world.ts'
import {
  activate,
  activateSigned,
  command,
  deliveredTo,
  deliveriesOf,
  deliveryOf,
  destinationNow,
  emit,
  first,
  idsAt,
  isSignedWith,
  LOCAL,
  listed,
  msBetween,
  rename,
  rotate,
  setupDelivering,
  setupDelivery,
  setupReceiver,
  status,
} from './deliveries.ts'

describe('an event', () => {
  test('is delivered to all destinations that want it, and to no other', async () => {
    const engine = await setupDelivering()
    const [all, agents, exact, others] = await Promise.all([1, 2, 3, 4].map(() => setupReceiver()))
    for (const [receiver, events] of [
      [all, ['*']],
      [agents, ['agent.*']],
      [exact, ['session.queued', 'agent.created']],
      [others, ['agent.updated', 'session.*']],
    ] as const)
      await activate(engine, receiver?.url ?? '', { events })

    const { id } = await emit(engine)
    await engine.clock.advance('1s')

    const got = [all, agents, exact, others].map((receiver) =>
      receiver?.events.some((event) => event.id === id),
    )
    expect(got).toEqual([true, true, true, false])
  })

  test.each([
    [['task.*'], []],
    [['task_run.*'], ['task_run.queued']],
    [['session.*'], ['session.queued']],
    [
      ['session.queued', 'task_run.*'],
      ['session.queued', 'task_run.queued'],
    ],
    [['session.idle'], []],
  ])('is wanted by %j for its whole object', async (events, expected) => {
    const { engine, receiver } = await setupDelivery({}, { events: ['event_destination.*'] })
    const task = await make(engine, 'task', {
      ...{ name: 'Fetch', agent_id: (await emit(engine)).data.id },
    })
    const credential = await makeCredential(engine)
    await activate(engine, receiver.url, { events })

    await makeRun(engine, { task_id: task.id, credential_id: credential.id })
    await engine.clock.advance(0)

    const types = receiver.events.map(({ type }) => type).filter((type) => !/^event_/.test(type))
    expect(types).toEqual(expected)
  })

  test('has no delivery before the log has been given out', async () => {
    const { engine, destination, deliveries } = await setupDelivery()

    const event = await emit(engine)

    expect(await listed(engine)).toEqual([])
    const question = { event: event.id, destination: destination.id }
    expect(await deliveries.explain(question)).toMatchObject({
      delivered: false,
      reason: 'not_dispatched',
    })
  })

  test('is delivered by tick as well', async () => {
    const { engine, receiver } = await setupDelivery()
    const event = await emit(engine)

    await engine.tick()

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('is not delivered in the background after stop', async () => {
    const receiver = await setupReceiver()
    const engine = await setupRealEngine({
      ...{ delivery: LOCAL, encryptionKeys: [randomBytes(32).toString('base64')] },
    })
    await activate(engine, receiver.url)
    await engine.start()
    await engine.stop()
    const event = await emit(engine)
    expect(await listed(engine)).toEqual([])

    await engine.start()
    await receiver.arrived(1)

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('is delivered in the background after start', async () => {
    const receiver = await setupReceiver()
    const engine = await setupRealEngine({
      ...{ delivery: LOCAL, encryptionKeys: [randomBytes(32).toString('base64')] },
    })
    await activate(engine, receiver.url)
    await engine.start()

    const event = await emit(engine)
    await receiver.arrived(1)

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('verifies and delivers in the background what came before start', async () => {
    const receiver = await setupReceiver()
    const engine = await setupRealEngine({
      ...{ delivery: LOCAL, encryptionKeys: [randomBytes(32).toString('base64')] },
    })
    const destination = await makeDestination(engine, { webhook: { url: receiver.url } })
    await engine.start()
    await until(async () => (await destinationNow(engine, destination)).status === 'active')

    const event = await emit(engine)
    await receiver.arrived(1)

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('of a transaction is delivered after its commit', async () => {
    const { engine, receiver } = await setupDelivery()

    const event = await engine.transaction(async (tx) => {
      const { events } = await handleOf(tx, 'agents').create({ name: 'Ada' })
      return first(events)
    })
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('is delivered beside many others without a warning of Node', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    onTestFinished(() => void process.off('warning', listen))
    const { engine } = await setupDelivery()
    for (let n = 0; n < 40; n++) await emit(engine)
    await engine.clock.advance('1s')
    await setImmediate()

    expect(warnings).toEqual([])
  })

  test('of a transaction that is rolled back is never delivered', async () => {
    const { engine, receiver } = await setupDelivery()

    await caught(() =>
      engine.transaction(async (tx) => {
        await handleOf(tx, 'agents').create({ name: 'Ada' })
        throw new Error('no')
      }),
    )
    await engine.clock.advance('1h')

    expect(deliveredTo(receiver)).toEqual([])
  })

  test('that is internal is never delivered', async () => {
    const { engine, receiver, deliveries, destination } = await setupDelivery()
    const credential = await makeCredential(engine)
    await handleOf(engine, 'credentials').reveal(credential.id)
    await engine.clock.advance('1s')

    const internal = (await fullLog(engine)).filter(({ internal }) => internal)
    const got = new Set(idsAt(receiver))

    expect(internal.length).toBeGreaterThan(0)
    for (const { id } of internal) {
      expect(got).not.toContain(id)
      const { delivered } = await deliveries.explain({ event: id, destination: destination.id })
      expect(delivered).toBe(false)
    }
  })

  test('is never delivered to the destination that it is about, but to the others', async () => {
    const engine = await setupDelivering()
    const mine = await setupReceiver()
    const yours = await setupReceiver()
    const me = await activate(engine, mine.url)
    const you = await activate(engine, yours.url)
    for (const each of [me, you]) {
      await command(engine, each, 'deactivate')
      await engine.clock.advance('1s')
      await command(engine, each, 'reactivate')
      await engine.clock.advance('1s')
    }

    expect(new Set(mine.events.map(({ data }) => data.id))).toEqual(new Set([you.id]))
    expect(new Set(yours.events.map(({ data }) => data.id))).toEqual(new Set([me.id]))
  })

  test('stays within its tenant', async () => {
    const engine = await setupDelivering()
    const received = await setupReceiver()
    const acme = engine.tenant('acme')
    await activate(acme, received.url)

    await emit(engine)
    await emit(engine.tenant('other'))
    const { id } = await emit(acme)
    await engine.clock.advance('1s')

    expect(idsAt(received)).toEqual([id])
  })

  test('follows what its destination wants now', async () => {
    const { engine, receiver, destination } = await setupDelivery({}, { events: ['session.*'] })
    await emit(engine, 'unwanted')
    await engine.clock.advance('1s')

    await command(engine, destination, 'update', { events: ['agent.*'] })
    const wanted = await emit(engine, 'wanted')
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([wanted.id])
  })

  test('is delivered once among thousands', async () => {
    const { engine, receiver } = await setupDelivery({ order: 'none' })
    await Promise.all(Array.from({ length: 600 }, (_, n) => emit(engine, `agent ${n}`)))
    const events = await publicLog(engine, { type: 'agent.created' })

    await engine.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(events.map(({ id }) => id).sort())
  })
})

describe('a delivery', () => {
  test('that succeeds says so', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(() => ({ status: 201, body: 'thanks' }))
    await engine.clock.advance('10s')
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toEqual({
      id: expect.stringMatching(/^edlv_/),
      object: 'event_delivery',
      status: 'succeeded',
      event_id: event.id,
      event_type: 'agent.created',
      destination_id: destination.id,
      attempts: 1,
      next_attempt_at: null,
      last_error: null,
      created_at: '2026-01-01T00:00:10.000Z',
      delivered_at: '2026-01-01T00:00:10.000Z',
      attempt_log: [
        {
          number: 1,
          at: '2026-01-01T00:00:10.000Z',
          status_code: 201,
          duration_ms: expect.any(Number),
          error: null,
          response_body: 'thanks',
        },
      ],
    })
  })

  test('is listed without its attempts', async () => {
    const { engine } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const [delivery] = await listed(engine)
    const { attempt_log: _, ...rest } = await deliveryOf(engine, event)

    expect(delivery).toEqual(rest)
  })

  test('is delivering while its attempt is under way', async () => {
    const { engine, receiver } = await setupDelivery()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    const event = await emit(engine)
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight === 1)

    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'delivering' })

    open()
    await advanced
    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'succeeded' })
  })

  test('is pending while another event of its resource comes first', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const { data } = await emit(engine)
    const event = await rename(engine, String(data.id), 'Bea')
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'pending', attempts: 0, next_attempt_at: null, last_error: null },
      ...{ delivered_at: null, attempt_log: [] },
    })
  })

  test('that fails waits, and says why and until when', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(() => ({ status: 503, body: 'later' }))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'waiting', attempts: 1, delivered_at: null },
      next_attempt_at: '2026-01-01T00:00:05.000Z',
      last_error: expect.stringMatching(/^http_503: /),
      attempt_log: [
        { number: 1, status_code: 503, error: expect.any(String), response_body: 'later' },
      ],
    })
  })

  test('forgets its error when it succeeds, and its log does not', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')
    receiver.behave(status(200))
    await engine.clock.advance('5s')

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'succeeded', attempts: 2, last_error: null },
      delivered_at: '2026-01-01T00:00:05.000Z',
      attempt_log: [
        { number: 1, status_code: 500, error: expect.stringMatching(/^http_500/) },
        { number: 2, status_code: 200, error: null },
      ],
    })
  })

  test('has the same id, type and body at every attempt', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    await emit(engine)
    await engine.clock.advance('3h')

    const requests = deliveredTo(receiver)

    expect(requests.length).toBeGreaterThan(3)
    expect(new Set(requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(new Set(requests.map(({ body }) => body)).size).toBe(1)
  })

  test('names the time of the attempt, not of the event', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    await emit(engine)
    await engine.clock.advance('5s')

    const times = deliveredTo(receiver).map(({ headers }) => Number(headers['webhook-timestamp']))

    expect(times).toEqual([1767225600, 1767225605])
  })

  test('is made by the engine that comes after a restart', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await setupEngine(options)
    await activate(before, receiver.url)
    const event = await emit(before)

    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    await after.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('keeps its wait over a restart', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await setupEngine(options)
    await activate(before, receiver.url)
    receiver.behave(status(500))
    const event = await emit(before)
    await before.clock.advance('5s')

    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    await after.clock.advance('299s')
    expect(deliveredTo(after && receiver)).toHaveLength(2)
    await after.clock.advance('1s')

    const { attempt_log } = await deliveryOf(after, event)
    expect(attempt_log.map(({ number }) => number)).toEqual([1, 2, 3])
  })

  test('that was under way when the engine closed is made again', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    await activate(before, receiver.url)
    receiver.behave(() => 'hang')
    const event = await emit(before)
    const advanced = before.clock.advance('1s').catch(() => {})
    await until(() => receiver.inFlight === 1)
    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    await advanced

    receiver.behave(status(200))
    await after.clock.advance('30m')

    expect(receiver.events.map(({ id }) => id)).toEqual([event.id])
    const { status: state, attempt_log, attempts } = await deliveryOf(after, event)
    expect(state).toBe('succeeded')
    expect(attempt_log.map(({ number }) => number)).toEqual(
      Array.from({ length: attempts }, (_, n) => n + 1),
    )
  })

  test('is made once by two engines on one file', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const one = await setupEngine(options)
    const two = await setupEngine(options)
    await activate(one, receiver.url)
    const agents = await Promise.all(Array.from({ length: 20 }, () => emit(one)))
    for (const [n, { data }] of agents.entries())
      await rename(n % 2 ? one : two, String(data.id), 'Bea')

    await Promise.all([one.clock.advance('1s'), two.clock.advance('1s')])
    await Promise.all([one.clock.advance('1s'), two.clock.advance('1s')])

    expect(idsAt(receiver)).toHaveLength(40)
    expect(new Set(idsAt(receiver)).size).toBe(40)
    expect(receiver.mostInFlightPerResource).toBe(1)
    for (const { data } of agents) {
      const types = receiver.events.filter((event) => event.data.id === data.id)
      expect(types.map(({ type }) => type)).toEqual(['agent.created', 'agent.updated'])
    }
  })

  test('is made once by two engines that run on one file', async () => {
    const options = {
      ...{ database: temporaryFile(), delivery: LOCAL },
      encryptionKeys: [randomBytes(32).toString('base64')],
    }
    const receiver = await setupReceiver()
    const engines = await Promise.all([setupRealEngine(options), setupRealEngine(options)])
    await activate(first(engines), receiver.url)
    for (const engine of engines) await engine.start()

    await Promise.all(
      Array.from({ length: 200 }, (_, n) => emit(engines[n % 2] ?? first(engines), `agent ${n}`)),
    )
    await receiver.arrived(200)
    await until(async () => (await listed(first(engines), { status: 'succeeded' })).length === 200)

    expect(new Set(idsAt(receiver)).size).toBe(200)
    expect(idsAt(receiver)).toHaveLength(200)
  })

  test('is taken over from an engine that died with it under way', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const one = await setupEngine(options)
    const two = await setupEngine(options)
    await activate(one, receiver.url)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({ status: 500 })))
    const event = await emit(one)
    const advanced = one.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    receiver.behave(status(200))

    await two.clock.advance('15s')
    expect(deliveredTo(receiver)).toHaveLength(1)
    await two.clock.advance('1m')
    const taken = await deliveryOf(two, event)
    open()
    await advanced

    expect(taken).toMatchObject({
      ...{ status: 'succeeded', attempts: 2, last_error: null },
      attempt_log: [
        {
          number: 1,
          at: '2026-01-01T00:00:00.000Z',
          error: expect.stringMatching(/^interrupted: /),
        },
        { number: 2, status_code: 200, error: null },
      ],
    })
    expect(await deliveryOf(two, event)).toEqual(taken)
  })

  test('waits for an engine that can read its secret, and holds up no other one', async () => {
    const database = temporaryFile()
    const [one, other] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'))
    const receiver = await setupReceiver()
    const before = await openEngine({ database, delivery: LOCAL, encryptionKeys: [one] })
    const destination = await activate(before, receiver.url, { events: ['agent.*'] })
    const errors: unknown[] = []
    const onError = (error: unknown) => void errors.push(error)
    const after = await reopen(before, {
      ...{ database, delivery: LOCAL, encryptionKeys: [other], onError },
    })
    await activate(after, receiver.url, { events: ['session.*'] })
    const event = await emit(after)
    await make(after, 'session')
    await after.clock.advance('30d')

    expect(receiver.events.map(({ type }) => type)).toEqual(['session.queued', 'session.failed'])
    expect(await deliveryOf(after, event)).toMatchObject({ status: 'pending', attempts: 0 })
    const question = { event: event.id, destination: destination.id }
    expect(await deliveriesOf(after).explain(question)).toMatchObject({
      ...{ delivered: false, reason: 'not_sendable' },
      message: expect.stringContaining('was encrypted with a key that is not among encryptionKeys'),
    })
    expect(errors).toEqual([expect.objectContaining({ code: 'decryption_failed' })])

    const again = await reopen(after, { database, delivery: LOCAL, encryptionKeys: [one, other] })
    onTestFinished(() => again.close())
    await again.clock.advance('1s')
    expect(await deliveryOf(again, event)).toMatchObject({ status: 'succeeded', attempts: 1 })
  })

  test('goes to the new URL of its destination', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const other = await setupReceiver()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    await command(engine, destination, 'update', { webhook: { url: other.url } })
    await engine.clock.advance('1h')

    expect(idsAt(receiver)).toEqual([event.id])
    expect(idsAt(other)).toEqual([event.id])
  })

  test('is canceled when its destination is deleted', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const waiting = await emit(engine)
    const pending = await rename(engine, String(waiting.data.id), 'Bea')
    await engine.clock.advance('1s')

    await command(engine, destination, 'delete')
    await engine.clock.advance('100h')

    for (const event of [waiting, pending])
      expect(await deliveryOf(engine, event)).toMatchObject({
        ...{ status: 'canceled', next_attempt_at: null, delivered_at: null },
      })
    expect(idsAt(receiver)).toEqual([waiting.id])
  })

  test('keeps the attempt that was under way when its destination was deleted', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({ status: 202 })))
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await command(engine, destination, 'delete')
    open()
    await advanced

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ attempts: 1, attempt_log: [{ number: 1, status_code: 202, error: null }] },
    })
  })

  test('that succeeded stays so when its destination is deleted', async () => {
    const { engine, destination } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')

    await command(engine, destination, 'delete')
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'succeeded' })
  })

  test('is no part of what verify proves, and harms it not', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const { data } = await emit(engine)
    await rename(engine, String(data.id), 'Bea')
    await engine.clock.advance('1m')

    await expectVerified(engine)
  })

  test('keeps its event from being pruned as long as it is open', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('20h')

    await engine.prune({ events: '1h' })
    receiver.behave(status(200))
    await engine.clock.advance('20h')

    expect(receiver.events.map(({ id }) => id)).toEqual([event.id])
  })

  test('can be read after its event has been pruned', async () => {
    const { engine } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('20h')
    const delivery = await deliveryOf(engine, event)

    await engine.prune({ events: '1h' })

    const found = await listed(engine, { status: 'succeeded' })
    expect(found.map(({ id }) => id).filter((id) => id !== delivery.id)).toEqual([])
    await expect(engine.verify()).resolves.toMatchObject({ differences: [] })
  })

  test('of an event that waits to be given out holds the log', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    await command(engine, destination, 'deactivate')
    const event = await emit(engine)
    await engine.clock.advance('30d')

    await engine.prune({ events: '1h' })
    await command(engine, destination, 'reactivate')
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id])
  })
})

describe('a webhook', () => {
  test('is verified by Standard Webhooks, by Svix and by pawl', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering({}, { now: new Date() })
    const { secret } = await activateSigned(engine, receiver.url)
    await emit(engine)
    await engine.clock.advance(0)
    const { headers, body } = first(deliveredTo(receiver))

    const seen = headers as Record<string, string>
    const parsed = JSON.parse(body)
    expect(new StandardWebhook(secret).verify(body, seen)).toEqual(parsed)
    expect(new SvixWebhook(secret).verify(body, seen)).toEqual(parsed)
    expect(verifyWebhook({ body, headers, secrets: secret })).toEqual(parsed)
  })

  test('is not verified with another secret', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    await activateSigned(engine, receiver.url)
    await emit(engine)
    await engine.clock.advance(0)

    const other = `whsec_${Buffer.alloc(32).toString('base64')}`

    expect(isSignedWith(first(deliveredTo(receiver)), other)).toBe(false)
  })

  test('carries the event as it is stored', async () => {
    const { engine, receiver } = await setupDelivery()
    const { id, object, type, data, created_at } = await emit(engine)
    await engine.clock.advance('1s')

    const { method, body, headers } = first(deliveredTo(receiver))

    expect(method).toBe('POST')
    expect(body).toBe(JSON.stringify({ id, object, type, data, created_at }))
    expect(headers['webhook-id']).toBe(id)
    expect(headers['content-type']).toMatch(/^application\/json/)
  })

  test('carries the summary of the time of the event, however late it comes', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(500))
    const { data } = await emit(engine, 'Ada')
    await engine.clock.advance('1s')
    await rename(engine, String(data.id), 'Bea')
    receiver.behave(status(200))
    await engine.clock.advance('1m')

    expect(receiver.events.map((event) => event.data.name)).toEqual(['Ada', 'Bea'])
  })

  test.each([
    ['emoji', '👩‍👩‍👧 🏴‍☠️'],
    ['right to left', '\u202Eאבג'],
    ['line separators', 'a\u2028b\u2029c'],
    ['controls', 'a\u0000b\u0007\u001F\u007F'],
    ['quotes', '"\\</script>\'`'],
    ['no character', '\uFFFE\uFFFF'],
    ['what composes', 'e\u0301 \u00E9'],
  ])('carries %s unharmed', async (_, name) => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    const { secret } = await activateSigned(engine, receiver.url)
    await emit(engine, name)
    await engine.clock.advance('1s')

    const request = first(deliveredTo(receiver))

    expect(JSON.parse(request.body).data.name).toBe(name)
    expect(Number(request.headers['content-length'])).toBe(Buffer.byteLength(request.body))
    expect(isSignedWith(request, secret)).toBe(true)
  })

  test('carries custom headers', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    const custom_headers = { authorization: 'Bearer 1', 'X-Team': 'blue' }
    await activate(engine, receiver.url, { webhook: { url: receiver.url, custom_headers } })
    await emit(engine)
    await engine.clock.advance('1s')

    expect(first(deliveredTo(receiver)).headers).toMatchObject({
      ...{ authorization: 'Bearer 1', 'x-team': 'blue' },
    })
  })

  test.each([
    'webhook-id',
    'Webhook-Signature',
    'WEBHOOK-TIMESTAMP',
    'content-length',
    'Host',
    'transfer-encoding',
    'content-type',
    'connection',
  ])('does not let a custom header %s break it', async (name) => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    const webhook = { url: receiver.url, custom_headers: { [name]: 'chunked' } }
    const created = activateSigned(engine, receiver.url, { webhook })
    const made = await created.catch(({ code }) => code)
    if (made === 'invalid_input') return
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const request = first(deliveredTo(receiver))
    expect(request.headers['webhook-id']).toBe(event.id)
    expect(request.headers.host).toBe(new URL(receiver.url).host)
    expect(isSignedWith(request, made.secret)).toBe(true)
    expect(receiver.events).toHaveLength(1)
  })

  test.each(['a\r\nx-evil: 1', 'a\nb', 'a\u0000', '\u2603', 'x'.repeat(100_000)])(
    'cannot be poisoned by the custom header value %j',
    async (value) => {
      const { engine, receiver } = await setupDelivery()
      const evil = await setupReceiver()
      const webhook = { url: evil.url, custom_headers: { 'x-own': value } }
      const made = await activate(engine, evil.url, { webhook }).catch(({ code }) => code)
      const event = await emit(engine)
      await engine.clock.advance('1s')

      expect(typeof made === 'string' ? made : 'invalid_input').toBe('invalid_input')
      for (const { headers } of evil.requests) expect(headers).not.toHaveProperty('x-evil')
      expect(receiver.events.map(({ id }) => id)).toContain(event.id)
    },
  )

  describe('whose secret has been rotated', () => {
    async function setupRotated() {
      const receiver = await setupReceiver()
      const engine = await setupDelivering()
      const { destination, secret } = await activateSigned(engine, receiver.url)
      const fresh = await rotate(engine, destination)
      const deliver = async () => {
        await emit(engine)
        await engine.clock.advance(0)
        return deliveredTo(receiver).at(-1) ?? expect.fail('nothing came')
      }
      return { engine, receiver, destination, old: secret, fresh, deliver }
    }

    test('is signed with both', async () => {
      const { old, fresh, deliver } = await setupRotated()

      const request = await deliver()

      expect(fresh).toMatch(/^whsec_/)
      expect(fresh).not.toBe(old)
      expect(isSignedWith(request, fresh)).toBe(true)
      expect(isSignedWith(request, old)).toBe(true)
    })

    test('is signed with both until 24 hours have passed', async () => {
      const { engine, old, deliver } = await setupRotated()
      await engine.clock.advance(24 * 3_600_000 - 1)

      expect(isSignedWith(await deliver(), old)).toBe(true)
    })

    test('is signed with the new one alone after 24 hours', async () => {
      const { engine, old, fresh, deliver } = await setupRotated()
      await engine.clock.advance('24h')
      await engine.clock.advance(1)

      const request = await deliver()

      expect(isSignedWith(request, old)).toBe(false)
      expect(isSignedWith(request, fresh)).toBe(true)
      expect(String(request.headers['webhook-signature']).split(' ')).toHaveLength(1)
    })

    test('is signed with the last one when it is rotated again', async () => {
      const { engine, destination, fresh, deliver } = await setupRotated()
      await engine.clock.advance('1h')
      const last = await rotate(engine, destination)

      const request = await deliver()

      expect(isSignedWith(request, last)).toBe(true)
      expect(isSignedWith(request, fresh)).toBe(true)
    })

    test('is signed with the new one when it is tried again', async () => {
      const { engine, receiver, destination } = await setupRotated()
      receiver.behave(status(500))
      await emit(engine)
      await engine.clock.advance('1s')
      const last = await rotate(engine, destination)
      await engine.clock.advance('5s')

      const [before, after] = deliveredTo(receiver)

      expect(before && isSignedWith(before, last)).toBe(false)
      expect(after && isSignedWith(after, last)).toBe(true)
    })

    test('is signed with both after a restart', async () => {
      const options = { database: temporaryFile(), delivery: LOCAL }
      const receiver = await setupReceiver()
      const before = await setupEngine(options)
      const { destination, secret } = await activateSigned(before, receiver.url)
      const fresh = await rotate(before, destination)
      await emit(before)
      const after = await reopen(before, options)
      onTestFinished(() => after.close())
      await after.clock.advance('1s')

      const request = first(deliveredTo(receiver))

      expect([secret, fresh].map((each) => isSignedWith(request, each))).toEqual([true, true])
    })

    test('does not show a secret anywhere', async () => {
      const { engine, receiver, destination, old, fresh, deliver } = await setupRotated()
      receiver.behave(({ headers }) => ({ status: 500, body: JSON.stringify(headers) }))
      await deliver()

      const seen = JSON.stringify([
        await destinationNow(engine, destination),
        await fullLog(engine),
        await Promise.all((await listed(engine)).map(({ id }) => deliveriesOf(engine).get(id))),
      ])

      for (const secret of [old, fresh]) expect(seen).not.toContain(secret.slice('whsec_'.length))
    })
  })
})

describe('an answer', () => {
  test.each([200, 201, 202, 204, 206, 299])('of %i is a success', async (code) => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(code))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'succeeded', attempt_log: [{ status_code: code, error: null }] },
    })
  })

  test.each([300, 301, 302, 303, 304, 307, 308, 400, 401, 404, 409, 418, 422, 429, 500, 502, 599])(
    'of %i is a failure',
    async (code) => {
      const { engine, receiver } = await setupDelivery()
      receiver.behave(status(code))
      const event = await emit(engine)
      await engine.clock.advance('1s')

      expect(await deliveryOf(engine, event)).toMatchObject({
        ...{ status: 'waiting', last_error: expect.stringContaining(String(code)) },
        attempt_log: [{ status_code: code, error: expect.stringContaining(String(code)) }],
      })
    },
  )

  test.each([301, 302, 303, 307, 308])('of %i leads nowhere', async (code) => {
    const { engine, receiver } = await setupDelivery()
    const target = await setupReceiver()
    receiver.behave(status(code, { location: target.url }))
    await emit(engine)
    await engine.clock.advance('1m')

    expect(target.requests).toEqual([])
  })

  test.each([
    ['hang', /^timed_out: /],
    ['reset', /^connection_failed: /],
  ] as const)('that does not come (%s) is a failure', async (answer, error) => {
    const { engine, receiver } = await setupDelivery({ timeout: '200ms' })
    receiver.behave(() => answer)
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({
      status: 'waiting',
      last_error: expect.stringMatching(error),
      attempt_log: [{ status_code: null, response_body: null, duration_ms: expect.any(Number) }],
    })
  })

  test('of 410 deactivates the destination at once', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(410))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'inactive',
      deactivation: { reason: 'failures', message: expect.stringContaining('410') },
    })
    await engine.clock.advance('100h')
    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('of 410 from the URL that a destination had does not deactivate it', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const next = await setupReceiver()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({ status: 410 })))
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await command(engine, destination, 'update', { webhook: { url: next.url } })
    await command(engine, destination, 'activate')
    open()
    await advanced
    await engine.clock.advance('1h')

    expect((await destinationNow(engine, destination)).status).toBe('active')
    expect(idsAt(next)).toEqual([event.id])
  })

  test('of 410 stops the destination before other events', async () => {
    const { engine, receiver } = await setupDelivery({}, { delivery: { concurrency: 1 } })
    receiver.behave(status(410))
    for (let n = 0; n < 5; n++) await emit(engine)
    await engine.clock.advance('1s')

    expect(deliveredTo(receiver)).toHaveLength(1)
  })

  test.each([
    ['seconds', '120', 120],
    ['seconds above the cap', '172800', 86_400],
    ['no number that fits', '9'.repeat(400), 86_400],
    ['a date', 'Thu, 01 Jan 2026 00:02:00 GMT', 120],
    ['a date above the cap', 'Fri, 01 Jan 2027 00:00:00 GMT', 86_400],
    ['a date that has passed', 'Wed, 31 Dec 2025 00:00:00 GMT', 5],
    ['nothing that it may be', 'soon', 5],
    ['a negative number', '-7', 5],
    ['nothing', '', 5],
  ])('with retry-after is honoured: %s', async (_, value, seconds) => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(429, { 'retry-after': value }))
    const event = await emit(engine)
    await engine.clock.advance(0)

    const { created_at, next_attempt_at } = await deliveryOf(engine, event)
    expect(msBetween(created_at, next_attempt_at ?? '')).toBe(seconds * 1000)
  })

  test.each([
    ['120', 120],
    ['864000', 86_400],
  ])(
    'with retry-after %s is not asked before, nor after the cap, by jitter',
    async (value, seconds) => {
      const engine = await setupDelivering({ jitter: 1 })
      const receiver = await setupReceiver()
      await activate(engine, receiver.url)
      receiver.behave(status(429, { 'retry-after': value }))
      for (let n = 0; n < 20; n++) await emit(engine)
      await engine.clock.advance(0)

      const waits = (await listed(engine)).map((each) =>
        msBetween(each.created_at, each.next_attempt_at ?? ''),
      )
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(seconds * 1000)
      expect(Math.max(...waits)).toBeLessThanOrEqual(86_400_000)
    },
  )

  test('with retry-after is not asked again before', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(503, { 'retry-after': '120' }))
    await emit(engine)
    await engine.clock.advance('119s')
    expect(deliveredTo(receiver)).toHaveLength(1)
    await engine.clock.advance('1s')

    expect(deliveredTo(receiver)).toHaveLength(2)
  })

  test('is kept to its first 2 KB', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(() => ({ body: 'x'.repeat(3000) }))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'succeeded', attempt_log: [{ response_body: 'x'.repeat(2048) }] },
    })
  })

  test('is kept without breaking a character', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(() => ({ body: `x${'☃'.repeat(1000)}` }))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const [attempt] = (await deliveryOf(engine, event)).attempt_log
    const kept = attempt?.response_body ?? ''
    expect(kept).toMatch(/^x☃+\uFFFD?$/)
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(2051)
    expect(Buffer.byteLength(kept)).toBeGreaterThan(2000)
  })

  test.each([
    ['controls', '\u0000\u0001\u001b[31m'],
    ['SQL', "'; drop table pawl_events; --"],
    ['JSON', '{"__proto__":{"status":"succeeded"}}'],
    ['lone surrogates', '\ud800 \udfff'],
  ])('may hold %s', async (_, body) => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(() => ({ status: 500, body }))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const { attempt_log, status: state } = await deliveryOf(engine, event)
    expect(state).toBe('waiting')
    expect(attempt_log[0]?.response_body).toBe(Buffer.from(body).toString())
  })

  test('of more than 64 KB is a success by its status', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(() => ({ body: 'x'.repeat(1_000_000) }))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'succeeded', attempts: 1 })
  })

  test('is not decompressed', async () => {
    const { engine, receiver } = await setupDelivery()
    receiver.behave(() => ({
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync('secret words').toString('latin1'),
    }))
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const { status: state, attempt_log } = await deliveryOf(engine, event)
    expect(state).toBe('succeeded')
    expect(attempt_log[0]?.response_body).not.toContain('secret words')
  })

  const names = Object.keys(hostileReceivers) as (keyof typeof hostileReceivers)[]

  test.each(names)('of a receiver that %s ends the attempt', async (name) => {
    const hostile = await hostileReceivers[name]()
    onTestFinished(() => hostile.close())
    const engine = await setupDelivering({ timeout: '150ms', verification: 'manual' })
    const destination = await makeDestination(engine, { webhook: { url: hostile.url } })
    await command(engine, destination, 'activate')
    const event = await emit(engine)
    await engine.clock.advance('1s')

    const { status: state, attempt_log, last_error } = await deliveryOf(engine, event)
    expect(attempt_log).toHaveLength(1)
    if (hostile.ok === 'either') return
    expect(state === 'succeeded').toBe(hostile.ok)
    expect(last_error === null).toBe(hostile.ok)
    if (hostile.target) expect(hostile.target.contacted()).toBe(0)
  })
})
