/** Does a destination get events only when it has proven that it wants them? @module */

import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type AnyEngine,
  type AnyResource,
  handleOf,
  openEngine,
  publicLog,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import type { Answer, Answering, Received } from '../support/receivers.ts'
import { temporaryFile } from '../support/temp.ts'
import { gate, until } from '../support/until.ts'
import { makeDestination } from '../support/world.ts'
import {
  activate,
  command,
  deliveriesOf,
  destinationNow,
  emit,
  first,
  idsAt,
  isSignedWith,
  LOCAL,
  rotate,
  setupDelivering,
  setupReceiver,
} from './deliveries.ts'

/** An engine, a receiver that answers everything by itself, and a destination that leads to it. */
async function setupPending(answer: Answering = () => ({}), delivery: object = {}) {
  const receiver = await setupReceiver({ answer, verification: true })
  const engine = await setupDelivering(delivery)
  const destination = await makeDestination(engine, { webhook: { url: receiver.url } })
  return { engine, receiver, destination, deliveries: deliveriesOf(engine) }
}

/** The answer that proves a challenge. */
const prove = ({ body }: Received): Answer => {
  const { challenge } = JSON.parse(body)
  return { body: JSON.stringify({ challenge }) }
}

const verificationOf = async (engine: AnyEngine, destination: AnyResource) =>
  (await destinationNow(engine, destination)).verification

describe('a challenge', () => {
  test('makes a new destination active', async () => {
    const { engine, destination } = await setupPending(prove)
    expect(destination).toMatchObject({
      status: 'pending_verification',
      verification: { status: 'pending', error: null, checked_at: null },
    })

    await engine.clock.advance('1s')

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'active',
      verification: { status: 'passed', error: null, checked_at: expect.any(String) },
    })
    expect(await publicLog(engine)).toMatchObject([
      { type: 'event_destination.activated', resource_id: destination.id },
    ])
  })

  test('is a POST of its type and a text, and nothing else', async () => {
    const { engine, receiver } = await setupPending(prove)
    await engine.clock.advance('1s')

    const { method, headers, body } = first(receiver.requests)

    expect(receiver.requests).toHaveLength(1)
    expect(method).toBe('POST')
    expect(headers['content-type']).toMatch(/^application\/json/)
    expect(JSON.parse(body)).toEqual({
      type: 'event_destination.verification',
      challenge: expect.stringMatching(/^.{16,}$/),
    })
  })

  test('is signed', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    const { resource, secrets } = await handleOf(engine, 'eventDestinations').create({
      ...{ name: 'Hooks', webhook: { url: receiver.url }, events: ['*'] },
    })
    await engine.clock.advance('1s')
    expect(isSignedWith(first(receiver.requests), String(secrets?.secret))).toBe(true)

    const fresh = await rotate(engine, resource)
    await command(engine, resource, 'deactivate')
    await command(engine, resource, 'reactivate')
    await engine.clock.advance('1s')
    expect(isSignedWith(receiver.requests.at(-1) ?? expect.fail(), fresh)).toBe(true)
  })

  test('is another one each time', async () => {
    const { engine, destination, receiver, deliveries } = await setupPending()
    await engine.clock.advance('1s')
    for (let n = 0; n < 4; n++) await deliveries.verify(destination.id)

    expect(new Set(receiver.requests.map(({ body }) => JSON.parse(body).challenge)).size).toBe(5)
  })

  test('comes with the custom headers', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    const webhook = { url: receiver.url, custom_headers: { authorization: 'Bearer 1' } }
    await activate(engine, receiver.url, { webhook })

    expect(first(receiver.requests).headers.authorization).toBe('Bearer 1')
  })

  test('is sent to those that another engine has left unverified', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    const destination = await makeDestination(before, { webhook: { url: receiver.url } })
    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    await after.clock.advance('1s')

    expect((await destinationNow(after, destination)).status).toBe('active')
  })

  const wrong: readonly [string, Answering][] = [
    ['nothing', () => ({})],
    ['another challenge', () => ({ body: '{"challenge":"something else"}' })],
    [
      'a part of it',
      ({ body }) => ({ body: `{"challenge":"${JSON.parse(body).challenge.slice(0, -1)}"}` }),
    ],
    ['more than it', ({ body }) => ({ body: `{"challenge":"${JSON.parse(body).challenge}x"}` })],
    [
      'it in a list',
      ({ body }) => ({ body: JSON.stringify({ challenge: [JSON.parse(body).challenge] }) }),
    ],
    ['it as a plain text', ({ body }) => ({ body: JSON.parse(body).challenge })],
    ['it in a list of answers', (request) => ({ body: `[${JSON.stringify(prove(request))}]` })],
    ['null', () => ({ body: 'null' })],
    ['half of a JSON text', () => ({ body: '{"challenge":' })],
    ['it with 500', (request) => ({ ...(prove(request) as object), status: 500 })],
    ['it with 302', (request) => ({ ...(prove(request) as object), status: 302 })],
    [
      'it after 64 KB',
      (request) => ({
        body: `${' '.repeat(70_000)}${(prove(request) as { body: string }).body}`,
      }),
    ],
    [
      'it compressed',
      (request) => ({
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync((prove(request) as { body: string }).body).toString('latin1'),
      }),
    ],
    ['410', () => ({ status: 410 })],
    ['no answer', () => 'hang'],
    ['the end of the connection', () => 'reset'],
  ]

  test.each(wrong)('is not proven by %s', async (_, answer) => {
    const { engine, receiver, destination } = await setupPending(answer, { timeout: '300ms' })
    await engine.clock.advance('1s')
    await emit(engine)
    await engine.clock.advance('1s')

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'pending_verification',
      verification: {
        status: 'failed',
        error: expect.stringMatching(/./),
        checked_at: expect.any(String),
      },
    })
    expect(idsAt(receiver)).toEqual([])
    expect(await publicLog(engine, { type: 'event_destination.*' })).toEqual([])
  })

  test('of earlier is no proof of the next one', async () => {
    let earlier: Answer = {}
    const { engine, destination, deliveries } = await setupPending((request) => {
      const answer = earlier
      earlier = prove(request)
      return answer
    })
    await engine.clock.advance('1s')
    await deliveries.verify(destination.id)

    expect((await destinationNow(engine, destination)).status).toBe('pending_verification')
  })

  test('of one destination is no proof of another one', async () => {
    const challenges: string[] = []
    const answer: Answering = ({ body }) => {
      challenges.push(JSON.parse(body).challenge)
      return { body: JSON.stringify({ challenge: challenges[0] }) }
    }
    const { engine, receiver, destination } = await setupPending(answer)
    const webhook = { url: receiver.url }
    const other = await makeDestination(engine, { webhook })
    await engine.clock.advance('1s')

    const states = [destination, other].map(
      async (each) => (await destinationNow(engine, each)).status,
    )
    expect((await Promise.all(states)).sort()).toEqual(['active', 'pending_verification'])
  })

  test('that is proven in time of a slow receiver holds up nobody else', async () => {
    const { opened, open } = gate()
    const { engine } = await setupPending((request) => opened.then(() => prove(request)))
    const quick = await setupReceiver()
    await activate(engine, quick.url, { events: ['agent.*'] })
    await emit(engine)

    const advanced = engine.clock.advance('1s')
    await quick.arrived(1)
    open()
    await advanced

    expect(quick.events).toHaveLength(1)
  })
})

describe('a failed verification', () => {
  test('is made again on request', async () => {
    const { engine, receiver, destination, deliveries } = await setupPending(() => ({
      status: 500,
    }))
    await engine.clock.advance('1s')
    await engine.clock.advance('1h')
    receiver.behave(prove, { verification: true })

    const verified = await deliveries.verify(destination.id)

    expect(verified).toMatchObject({
      status: 'active',
      verification: { status: 'passed', error: null, checked_at: '2026-01-01T01:00:01.000Z' },
    })
    expect(await destinationNow(engine, destination)).toEqual(verified)
  })

  test('that fails again says why it has failed now', async () => {
    const { engine, receiver, destination, deliveries } = await setupPending(() => ({
      status: 500,
    }))
    await engine.clock.advance('1s')
    expect(await verificationOf(engine, destination)).toMatchObject({
      ...{ status: 'failed', error: expect.stringContaining('500') },
    })
    receiver.behave(() => ({ status: 404 }), { verification: true })

    const verified = await deliveries.verify(destination.id)

    expect(verified).toMatchObject({
      ...{ status: 'pending_verification' },
      verification: { status: 'failed', error: expect.stringContaining('404') },
    })
  })

  test('says nothing of the secret', async () => {
    const receiver = await setupReceiver({
      ...{
        verification: true,
        answer: ({ headers }) => ({ status: 500, body: JSON.stringify(headers) }),
      },
    })
    const engine = await setupDelivering()
    const { resource, secrets } = await handleOf(engine, 'eventDestinations').create({
      ...{ name: 'Hooks', webhook: { url: receiver.url }, events: ['*'] },
    })
    await engine.clock.advance('1s')

    const seen = JSON.stringify(await destinationNow(engine, resource))
    expect(seen).not.toContain(String(secrets?.secret).slice('whsec_'.length))
  })

  test('leaves the operator free to vouch', async () => {
    const { engine, receiver, destination } = await setupPending(() => ({}))
    await engine.clock.advance('1s')

    await command(engine, destination, 'activate')
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id])
  })
})

describe('verify', () => {
  test('leaves an active destination as it is, and asks it nothing', async () => {
    const { engine, receiver, destination, deliveries } = await setupPending(prove)
    await engine.clock.advance('1s')
    const before = await destinationNow(engine, destination)

    expect(await deliveries.verify(destination.id)).toEqual(before)
    expect(receiver.requests).toHaveLength(1)
  })

  test.each([
    ['inactive', 'deactivate'],
    ['deleted', 'delete'],
  ])('is refused for one that is %s', async (state, type) => {
    const { engine, receiver, destination, deliveries } = await setupPending(prove)
    await command(engine, destination, type)

    const error = await failureOf(() => deliveries.verify(destination.id))

    expect(error).toMatchObject({ code: 'illegal_transition', status: state })
    expect(receiver.requests).toEqual([])
  })

  test('finds nothing under another id, or of another tenant', async () => {
    const { engine, destination, deliveries } = await setupPending(prove)
    const other = deliveriesOf(engine.tenant('other'))

    expect((await failureOf(() => deliveries.verify('evtd_nothing'))).code).toBe('not_found')
    expect((await failureOf(() => other.verify(destination.id))).code).toBe('not_found')
  })

  test('called many times at once activates once', async () => {
    const { engine, destination, deliveries } = await setupPending(prove)

    const all = await Promise.all(
      Array.from({ length: 5 }, () => deliveries.verify(destination.id)),
    )

    expect(new Set(all.map(({ status }) => status))).toEqual(new Set(['active']))
    expect(await publicLog(engine)).toHaveLength(1)
  })
})

describe('a destination', () => {
  test('whose URL has changed is verified there before it gets anything', async () => {
    const { engine, receiver, destination } = await setupPending(prove)
    await engine.clock.advance('1s')
    const next = await setupReceiver({ answer: () => ({}), verification: true })

    const outcome = await command(engine, destination, 'update', { webhook: { url: next.url } })
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(outcome.resource).toMatchObject({
      status: 'pending_verification',
      verification: { status: 'pending', error: null, checked_at: null },
    })
    expect((await destinationNow(engine, destination)).status).toBe('pending_verification')
    expect(next.requests).toHaveLength(1)
    expect(receiver.requests).toHaveLength(1)

    next.behave(prove, { verification: true })
    await deliveriesOf(engine).verify(destination.id)
    await engine.clock.advance('1s')
    expect(idsAt(next)).toEqual([event.id])
  })

  test('whose URL stays is not verified again', async () => {
    const { engine, receiver, destination } = await setupPending(prove)
    await engine.clock.advance('1s')

    const webhook = { url: receiver.url, custom_headers: { 'x-own': '1' } }
    for (const change of [{ webhook }, { name: 'Other' }, { events: ['agent.*'] }])
      await command(engine, destination, 'update', change)
    await engine.clock.advance('1h')

    expect((await destinationNow(engine, destination)).status).toBe('active')
    expect(receiver.requests).toHaveLength(1)
  })

  test('that is reactivated is verified again', async () => {
    const { engine, receiver, destination } = await setupPending(prove)
    await engine.clock.advance('1s')
    await command(engine, destination, 'deactivate')
    await command(engine, destination, 'reactivate')
    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ status: 'pending_verification', verification: { status: 'pending' } },
    })
    await engine.clock.advance('1s')

    expect((await destinationNow(engine, destination)).status).toBe('active')
    expect(receiver.requests).toHaveLength(2)
  })

  test('that is deactivated is not verified', async () => {
    const { engine, receiver, destination } = await setupPending(prove)
    await command(engine, destination, 'deactivate')
    await engine.clock.advance('1h')

    expect(receiver.requests).toEqual([])
  })

  describe('that changes while it is verified', () => {
    async function setupVerifying() {
      const { opened, open } = gate()
      const made = await setupPending((request) => opened.then(() => prove(request)))
      const advanced = made.engine.clock.advance('1s')
      await until(() => made.receiver.inFlight === 1)
      const finish = async () => {
        open()
        await advanced
      }
      return { ...made, finish }
    }

    test('is not active by the proof of the URL that it had', async () => {
      const { engine, destination, finish } = await setupVerifying()
      const next = await setupReceiver({ answer: () => ({}), verification: true })
      await command(engine, destination, 'update', { webhook: { url: next.url } })
      await finish()
      await engine.clock.advance('1s')

      expect((await destinationNow(engine, destination)).status).toBe('pending_verification')
      expect(next.requests.length).toBeGreaterThan(0)
    })

    test('is active by the proof of the URL that it has', async () => {
      const { engine, destination, finish } = await setupVerifying()
      const next = await setupReceiver()
      await command(engine, destination, 'update', { webhook: { url: next.url } })
      await finish()
      await engine.clock.advance('1s')

      expect((await destinationNow(engine, destination)).status).toBe('active')
      expect(next.requests).toHaveLength(1)
    })

    test.each([
      ['deactivate', 'inactive'],
      ['delete', 'deleted'],
    ])('stays as it is after %s', async (type, state) => {
      const { engine, destination, finish } = await setupVerifying()
      await command(engine, destination, type)
      await finish()
      await engine.clock.advance('1h')

      expect((await destinationNow(engine, destination)).status).toBe(state)
    })

    test('stays active when its operator vouches for it', async () => {
      const { engine, receiver, destination, finish } = await setupVerifying()
      await command(engine, destination, 'activate')
      receiver.behave(() => ({}), { verification: true })
      await finish()
      await engine.clock.advance('1s')

      expect((await destinationNow(engine, destination)).status).toBe('active')
      expect(await publicLog(engine)).toHaveLength(1)
    })
  })
})

describe('a handshake', () => {
  const allow =
    (origin: string): Answering =>
    () => ({ headers: { 'WebHook-Allowed-Origin': origin } })

  test('asks by OPTIONS, as CloudEvents does', async () => {
    const { engine, receiver, destination } = await setupPending(allow('*'), {
      verification: 'handshake',
    })
    await engine.clock.advance('1s')

    const { method, headers, body } = first(receiver.requests)
    expect(method).toBe('OPTIONS')
    expect(headers['webhook-request-origin']).toEqual(expect.stringMatching(/./))
    expect(body).toBe('')
    expect(receiver.requests).toHaveLength(1)
    expect((await destinationNow(engine, destination)).status).toBe('active')
  })

  test('is proven by the origin itself', async () => {
    const echo: Answering = ({ headers }) => ({
      headers: { 'webhook-allowed-origin': String(headers['webhook-request-origin']) },
    })
    const { engine, destination } = await setupPending(echo, { verification: 'handshake' })
    await engine.clock.advance('1s')

    expect((await destinationNow(engine, destination)).status).toBe('active')
  })

  test.each<[string, Answering]>([
    ['2xx alone', () => ({})],
    ['another origin', allow('somebody.example')],
    ['an origin that ends alike', allow('x')],
    ['an empty one', allow('')],
    ['405', () => ({ status: 405, headers: { 'webhook-allowed-origin': '*' } })],
    ['302', () => ({ status: 302, headers: { 'webhook-allowed-origin': '*' } })],
  ])('is not proven by %s', async (_, answer) => {
    const { engine, destination } = await setupPending(answer, { verification: 'handshake' })
    await engine.clock.advance('1s')

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'pending_verification',
      verification: { status: 'failed', error: expect.stringMatching(/./) },
    })
  })
})

describe('a ping', () => {
  test('is a signed POST that any 2xx answers', async () => {
    const receiver = await setupReceiver({ answer: () => ({ status: 204 }), verification: true })
    const engine = await setupDelivering({ verification: 'ping' })
    const { resource, secrets } = await handleOf(engine, 'eventDestinations').create({
      ...{ name: 'Hooks', webhook: { url: receiver.url }, events: ['*'] },
    })
    await engine.clock.advance('1s')

    const request = first(receiver.requests)
    expect(request.method).toBe('POST')
    expect(JSON.parse(request.body)).toMatchObject({ type: 'event_destination.ping' })
    expect(isSignedWith(request, String(secrets?.secret))).toBe(true)
    expect((await destinationNow(engine, resource)).status).toBe('active')
  })

  test.each([302, 404, 410, 500])('is not answered by %i', async (code) => {
    const { engine, destination } = await setupPending(() => ({ status: code }), {
      verification: 'ping',
    })
    await engine.clock.advance('1s')

    expect(await verificationOf(engine, destination)).toMatchObject({
      ...{ status: 'failed', error: expect.stringContaining(String(code)) },
    })
  })
})

describe('by hand', () => {
  test('nothing is sent and nothing happens until the operator vouches', async () => {
    const { engine, receiver, destination } = await setupPending(prove, { verification: 'manual' })
    await engine.clock.advance('100h')
    expect(receiver.requests).toEqual([])
    expect((await destinationNow(engine, destination)).status).toBe('pending_verification')

    await command(engine, destination, 'activate')
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id])
  })
})

describe('the method', () => {
  test.each([
    ['challenge', 'event_destination.verification'],
    ['ping', 'event_destination.ping'],
  ])('%s of a destination wins over that of the engine', async (verification, type) => {
    const receiver = await setupReceiver()
    const engine = await setupEngine({ delivery: { ...LOCAL, verification: 'manual' } })
    await makeDestination(engine, { webhook: { url: receiver.url }, delivery: { verification } })
    await engine.clock.advance('1s')

    expect(receiver.requests.map(({ body }) => JSON.parse(body).type)).toEqual([type])
  })
})
