/** Can events go to receivers of another kind, whatever its code does? @module */

import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import {
  type Call,
  type DestinationType,
  defineDestinationType,
  type Message,
  type Receipt,
  type Target,
} from '../../src/index.ts'
import {
  type AnyTestEngine,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { until } from '../support/until.ts'
import { make } from '../support/world.ts'
import {
  command,
  deliveriesOf,
  deliveryOf,
  destinationNow,
  emit,
  first,
  LOCAL,
  rename,
} from './deliveries.ts'

interface Config {
  readonly channel: string
  readonly token?: string
}

interface Sent {
  readonly message: Message
  readonly target: Target<Config>
  readonly call: Call
}

const config = z.strictObject({ channel: z.string(), token: z.string().optional() })

type Deliver = (sent: Sent) => unknown

/** A type of destinations that remembers what it is given. */
function recording(
  deliver: Deliver = () => ({ ok: true }),
  parts: Partial<DestinationType<Config>> = {},
) {
  const sent: Sent[] = []
  const type = defineDestinationType<Config>({
    type: 'chat',
    config,
    secrets: ['token'],
    deliver: async (message, target, call) => {
      const each = { message, target, call }
      sent.push(each)
      return (await deliver(each)) as Receipt
    },
    ...parts,
  })
  return { type, sent }
}

const INPUT = { name: 'Chat', type: 'chat', chat: { channel: 'ops' }, events: ['*'] }

/** An engine with a type, and a destination of it. */
async function setupType(
  deliver?: Deliver,
  parts: Partial<DestinationType<Config>> = {},
  delivery: object = {},
  input: object = {},
) {
  const { type, sent } = recording(deliver, parts)
  const engine = await setupEngine({
    ...{ delivery: { ...LOCAL, ...delivery }, destinationTypes: [type] },
  })
  const destination = await make(engine, 'event_destination', { ...INPUT, ...input })
  await engine.clock.advance('1s')
  return { engine, sent, destination }
}

async function attemptOf(engine: AnyTestEngine) {
  const event = await emit(engine)
  await engine.clock.advance(0)
  return deliveryOf(engine, event)
}

describe('a destination of another type', () => {
  test('is active when its type has nothing to prove', async () => {
    const { engine, destination } = await setupType()

    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ status: 'active', type: 'chat', chat: { channel: 'ops' } },
    })
  })

  test('is sent the event as it is stored', async () => {
    const { engine, sent, destination } = await setupType()
    const { id, object, type, data, created_at } = await emit(engine, 'Ünï ☃')
    await engine.clock.advance(0)

    const { message, target, call } = first(sent)
    expect(message).toEqual({
      ...{ id, type, resourceId: data.id, tenant: 'default' },
      body: JSON.stringify({ id, object, type, data, created_at }),
    })
    expect(target).toMatchObject({ id: destination.id, config: { channel: 'ops' } })
    expect(target.keys.length).toBeGreaterThan(0)
    expect(call).toMatchObject({ attempt: 1, timeout: 15_000, at: engine.clock.now() })
  })

  test('succeeds when its type says so', async () => {
    const { engine } = await setupType(() => ({
      ok: true,
      statusCode: 250,
      responseBody: 'queued',
    }))

    expect(await attemptOf(engine)).toMatchObject({
      ...{ status: 'succeeded', last_error: null },
      attempt_log: [{ status_code: 250, response_body: 'queued', error: null }],
    })
  })

  test('may say nothing of an answer', async () => {
    const { engine } = await setupType()

    expect((await attemptOf(engine)).attempt_log).toMatchObject([
      { status_code: null, response_body: null, error: null },
    ])
  })

  test('has its answer kept to 2 KB', async () => {
    const { engine } = await setupType(() => ({ ok: true, responseBody: 'x'.repeat(100_000) }))

    expect((await attemptOf(engine)).attempt_log[0]?.response_body).toBe('x'.repeat(2048))
  })

  test('fails as its type says, and is tried again', async () => {
    const { engine, sent } = await setupType(({ call }) =>
      call.attempt < 3 ? { ok: false, error: 'full: no room' } : { ok: true },
    )
    const event = await emit(engine)
    await engine.clock.advance('1s')
    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'waiting', last_error: 'full: no room' },
    })
    await engine.clock.advance('10m')

    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'succeeded', attempts: 3 })
    expect(sent.map(({ call }) => call.attempt)).toEqual([1, 2, 3])
    expect(new Set(sent.map(({ message }) => JSON.stringify(message))).size).toBe(1)
  })

  test('waits as long as its receiver wants, up to 24 hours', async () => {
    const { engine } = await setupType(({ message }) => ({
      ...{ ok: false, error: 'slow: down' },
      retryAfter: message.body.includes('long') ? 1e12 : 77_000,
    }))
    const short = await emit(engine, 'short')
    const long = await emit(engine, 'long')
    await engine.clock.advance(0)

    expect((await deliveryOf(engine, short)).next_attempt_at).toBe('2026-01-01T00:01:18.000Z')
    expect((await deliveryOf(engine, long)).next_attempt_at).toBe('2026-01-02T00:00:01.000Z')
  })

  test('is deactivated when its receiver is gone', async () => {
    const { engine, destination } = await setupType(() => ({
      ...{ ok: false, error: 'gone: the channel was deleted', gone: true },
    }))
    await attemptOf(engine)

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'inactive',
      deactivation: {
        reason: 'failures',
        message: expect.stringContaining('the channel was deleted'),
      },
    })
  })

  test.each<[string, Deliver]>([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['throws nothing', () => Promise.reject()],
    ['throws what cannot be read', () => Promise.reject(Object.create(null))],
    ['gives nothing', () => undefined],
    ['gives null', () => null],
    ['gives a text', () => 'ok'],
    ['gives no verdict', () => ({})],
    ['gives a verdict that is none', () => ({ ok: 'yes' })],
    ['gives an error that is none', () => ({ ok: false, error: 7 })],
    ['gives no error', () => ({ ok: false })],
    ['gives a wait that is none', () => ({ ok: false, error: 'x: y', retryAfter: Number.NaN })],
    ['gives a negative wait', () => ({ ok: false, error: 'x: y', retryAfter: -5 })],
    [
      'gives an endless wait',
      () => ({ ok: false, error: 'x: y', retryAfter: Number.POSITIVE_INFINITY }),
    ],
    [
      'gives a status that is none',
      () => ({ ok: false, error: 'x: y', statusCode: 'x', responseBody: 7 }),
    ],
    [
      'gives what throws',
      () => ({
        get ok() {
          throw new Error('no')
        },
      }),
    ],
  ])('that %s fails and is tried again', async (_, deliver) => {
    const { engine } = await setupType(deliver)

    const { status, attempts, last_error, next_attempt_at, attempt_log } = await attemptOf(engine)
    expect({ status, attempts }).toEqual({ status: 'waiting', attempts: 1 })
    expect(last_error).toEqual(expect.stringMatching(/./))
    expect(Date.parse(next_attempt_at ?? '')).toBeGreaterThan(engine.clock.now().getTime())
    expect(attempt_log).toHaveLength(1)
  })

  test.each<[string, Deliver]>([
    ['a status that is none', () => ({ ok: true, statusCode: 'x' })],
    ['a body that is none', () => ({ ok: true, responseBody: { a: 1 } })],
    ['a body that is no Unicode', () => ({ ok: true, responseBody: '\ud800\u0000' })],
  ])('that gives %s with its success disturbs no other one', async (_, deliver) => {
    const { engine, sent } = await setupType((each) =>
      each.message.body.includes('odd') ? deliver(each) : { ok: true },
    )
    const odd = await emit(engine, 'odd')
    const even = await emit(engine, 'even')
    await engine.clock.advance(0)

    expect((await deliveryOf(engine, even)).status).toBe('succeeded')
    expect(['succeeded', 'waiting']).toContain((await deliveryOf(engine, odd)).status)
    expect(sent).toHaveLength(2)
  })

  test('is given up when its time is over, although it does not care', async () => {
    const { engine, sent } = await setupType(() => new Promise(() => {}), {}, { timeout: '100ms' })

    const { status, last_error } = await attemptOf(engine)

    expect(status).toBe('waiting')
    expect(last_error).toMatch(/^timed_out: /)
    expect(first(sent).call).toMatchObject({ timeout: 100, signal: { aborted: true } })
  })

  test.each([
    [{ preset: 'reference' }, {}, 5000],
    [{ timeout: '2s' }, {}, 2000],
    [{ timeout: '2s' }, { delivery: { timeout: '3s' } }, 3000],
    [{}, {}, 15_000],
  ])('has the time of %j and %j', async (delivery, input, timeout) => {
    const { engine, sent } = await setupType(undefined, {}, delivery, input)
    await attemptOf(engine)

    expect(first(sent).call.timeout).toBe(timeout)
  })

  test('is deactivated by failures like a webhook', async () => {
    const { engine, destination } = await setupType(
      () => ({ ok: false, error: 'no: never' }),
      {},
      {
        retries: ['1s'],
      },
    )
    await attemptOf(engine)
    await engine.clock.advance('1m')

    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ status: 'inactive', deactivation: { reason: 'failures' } },
    })
  })

  test('gets the events of a resource one after the other', async () => {
    let now = 0
    let most = 0
    const { engine, sent } = await setupType(async () => {
      most = Math.max(most, ++now)
      await Promise.resolve()
      now--
      return { ok: true }
    })
    const { data } = await emit(engine)
    for (let n = 0; n < 10; n++) await rename(engine, String(data.id), `name ${n}`)
    await engine.clock.advance(0)

    expect(most).toBe(1)
    expect(sent.map(({ message }) => JSON.parse(message.body).data.name)).toEqual([
      ...['Ada', ...Array.from({ length: 10 }, (_, n) => `name ${n}`)],
    ])
  })

  test('is asked only for addresses that are allowed', async () => {
    const answers: unknown[] = []
    const ask: Deliver = async ({ call }) => {
      for (const host of ['127.0.0.1', '10.0.0.1', '::1', '169.254.169.254'])
        answers.push(await call.addressOf(host).catch(() => 'refused'))
      return { ok: true }
    }
    const { engine } = await setupType(ask)
    await attemptOf(engine)

    expect(answers).toEqual(['127.0.0.1', 'refused', 'refused', 'refused'])
  })

  test('that lets the refusal of an address through says so', async () => {
    const { engine } = await setupType(async ({ call }) => {
      await call.addressOf('10.0.0.1')
      return { ok: true }
    })

    expect((await attemptOf(engine)).last_error).toContain('10.0.0.1')
  })

  test('has the message of another tenant never', async () => {
    const { type, sent } = recording()
    const engine = await setupEngine({ delivery: LOCAL, destinationTypes: [type] })
    const acme = engine.tenant('acme')
    await make(acme, 'event_destination', INPUT)
    await engine.clock.advance('1s')
    await emit(engine)
    const event = await emit(acme)
    await engine.clock.advance('1s')

    expect(sent.map(({ message }) => [message.id, message.tenant])).toEqual([[event.id, 'acme']])
  })
})

describe('its configuration', () => {
  test.each([
    ['of the wrong kind', { chat: { channel: 7 } }],
    ['with a field too many', { chat: { channel: 'ops', room: 1 } }],
    ['that is no object', { chat: 'ops' }],
    ['that is left out', { chat: undefined }],
  ])('%s is refused at create', async (_, input) => {
    const { engine } = await setupType()

    const error = await failureOf(() => make(engine, 'event_destination', { ...INPUT, ...input }))

    expect(error.code).toBe('invalid_input')
    expect(String(first(error.issues ?? []).path)).toContain('chat')
  })

  test('is refused at update as well', async () => {
    const { engine, destination } = await setupType()

    const error = await failureOf(() =>
      command(engine, destination, 'update', { chat: { channel: 7 } }),
    )

    expect(error.code).toBe('invalid_input')
    expect(await destinationNow(engine, destination)).toMatchObject({ chat: { channel: 'ops' } })
  })

  test('is the new one for what is waiting', async () => {
    const { engine, sent, destination } = await setupType(({ target }) =>
      target.config.channel === 'ops' ? { ok: false, error: 'no: no' } : { ok: true },
    )
    const event = await emit(engine)
    await engine.clock.advance(0)
    await command(engine, destination, 'update', { chat: { channel: 'new' } })
    await engine.clock.advance('1m')

    expect(await deliveryOf(engine, event)).toMatchObject({ status: 'succeeded' })
    expect(sent.map(({ target }) => target.config.channel)).toEqual(['ops', 'new'])
  })

  test('keeps its secrets to itself and the type', async () => {
    const { engine, sent, destination } = await setupType(
      undefined,
      {},
      {},
      {
        chat: { channel: 'ops', token: 'hunter2' },
      },
    )
    await attemptOf(engine)

    const { target } = first(sent)
    expect(target.secrets).toEqual({ token: 'hunter2' })
    expect(JSON.stringify(target.config)).not.toContain('hunter2')
    const seen = [await destinationNow(engine, destination), await fullLog(engine)]
    expect(JSON.stringify(seen)).not.toContain('hunter2')
  })

  test('may be without a secret', async () => {
    const { engine, sent } = await setupType()
    await attemptOf(engine)

    expect(first(sent).target.secrets).toEqual({})
  })

  test('cannot be of a type that nobody has registered', async () => {
    const { engine } = await setupType()
    const input = { name: 'Smoke', type: 'smoke', smoke: {}, events: ['*'] }

    const error = await failureOf(() => make(engine, 'event_destination', input))

    expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['type'] }] })
  })

  test('cannot be of two types', async () => {
    const { engine } = await setupType()
    const webhook = { url: 'https://hooks.example/' }

    const error = await failureOf(() => make(engine, 'event_destination', { ...INPUT, webhook }))

    expect(error.code).toBe('invalid_input')
  })
})

describe('its verification', () => {
  const passing = async (): Promise<Receipt> => ({ ok: true })

  test('is the type’s own', async () => {
    const seen: (readonly [Target<Config>, Call])[] = []
    const { engine, destination } = await setupType(undefined, {
      verify: async (target, call) => {
        seen.push([target, call])
        return { ok: true }
      },
    })

    expect((await destinationNow(engine, destination)).status).toBe('active')
    expect(seen).toMatchObject([
      [{ id: destination.id, config: { channel: 'ops' } }, { attempt: 1 }],
    ])
  })

  test.each<[string, () => Promise<Receipt>]>([
    ['says no', async () => ({ ok: false, error: 'no: not here' })],
    [
      'throws',
      async () => {
        throw new Error('not here')
      },
    ],
  ])('that %s leaves it as it was, with the reason', async (_, verify) => {
    const { engine, sent, destination } = await setupType(undefined, { verify })
    await emit(engine)
    await engine.clock.advance('1h')

    expect(await destinationNow(engine, destination)).toMatchObject({
      status: 'pending_verification',
      verification: { status: 'failed', error: expect.stringContaining('not here') },
    })
    expect(sent).toEqual([])
  })

  test('that does not end is given up', async () => {
    const { engine, destination } = await setupType(
      undefined,
      { verify: () => new Promise(() => {}) },
      { timeout: '100ms' },
    )

    expect(await destinationNow(engine, destination)).toMatchObject({
      ...{ verification: { status: 'failed', error: expect.stringMatching(/^timed_out: /) } },
    })
  })

  test('is not made where the operator vouches', async () => {
    let count = 0
    const verify = () => {
      count++
      return passing()
    }
    const { engine, destination } = await setupType(
      undefined,
      { verify },
      { verification: 'manual' },
    )

    expect((await destinationNow(engine, destination)).status).toBe('pending_verification')
    expect(count).toBe(0)
  })

  test('is made again on request', async () => {
    let answer: Receipt = { ok: false, error: 'no: not yet' }
    const { engine, destination } = await setupType(undefined, { verify: async () => answer })
    answer = { ok: true }

    expect((await deliveriesOf(engine).verify(destination.id)).status).toBe('active')
  })
})

describe('a type', () => {
  const deliver = async (): Promise<Receipt> => ({ ok: true })

  test.each(['Chat', 'a-b', '', '1st', 'id', 'status', 'events', 'secret', 'delivery', 7, null])(
    'cannot be called %j',
    async (type) => {
      const define = () => defineDestinationType({ type: type as string, config, deliver })

      expect((await failureOf(define)).code).toBe('machine_invalid')
    },
  )

  test.each([
    ['config', { type: 'chat', deliver }],
    ['deliver', { type: 'chat', config }],
    ['everything', undefined],
  ])('cannot be without %s', async (_, definition) => {
    const define = () => defineDestinationType(definition as never)

    expect((await failureOf(define)).code).toBe('machine_invalid')
  })

  test.each([
    ['another of the same name', [recording().type, recording().type]],
    ['that of webhooks', [{ ...recording().type, type: 'webhook' }]],
    ['one that is none', [{}]],
    ['nothing', [null]],
    ['something that is no list', 'chat'],
  ])('cannot be registered beside or as %s', async (_, destinationTypes) => {
    const error = await failureOf(() => openEngine({ destinationTypes }))

    expect(['machine_invalid', 'invalid_input']).toContain(error.code)
  })

  test('is closed with the engine, once', async () => {
    let closed = 0
    const close = async () => void closed++
    const { type } = recording(undefined, { close })
    const engine = await openEngine({ destinationTypes: [type] })

    await engine.close()
    await engine.close()

    expect(closed).toBe(1)
  })

  test('is told when the engine closes in the middle of an attempt', async () => {
    const aborted: boolean[] = []
    const { type, sent } = recording(
      ({ call }) =>
        new Promise((resolve) => {
          call.signal.addEventListener('abort', () => {
            aborted.push(true)
            resolve({ ok: false, error: 'aborted: closed' })
          })
        }),
    )
    const engine = await openEngine({ delivery: LOCAL, destinationTypes: [type] })
    await make(engine, 'event_destination', INPUT)
    await engine.clock.advance('1s')
    await emit(engine)
    const advanced = engine.clock.advance('1s').catch(() => {})
    await until(() => sent.length === 1)

    await engine.close()
    await advanced

    expect(aborted).toEqual([true])
  })

  test('that is no longer registered keeps its deliveries until it is back', async () => {
    const database = temporaryFile()
    const { type } = recording(() => ({ ok: false, error: 'no: no' }))
    const options = { database, delivery: LOCAL }
    const before = await openEngine({ ...options, destinationTypes: [type] })
    const destination = await make(before, 'event_destination', INPUT)
    await before.clock.advance('1s')
    const event = await emit(before)
    await before.clock.advance('1s')

    const without = await reopen(before, options)
    await without.clock.advance('10s')
    expect((await destinationNow(without, destination)).type).toBe('chat')
    const { sent, type: back } = recording()
    const after = await reopen(without, { ...options, destinationTypes: [back] })
    onTestFinished(() => after.close())
    await after.clock.advance('100h')

    expect(sent.map(({ message }) => message.id)).toEqual([event.id])
    expect((await deliveryOf(after, event)).status).toBe('succeeded')
  })

  test('works beside others', async () => {
    const one = recording()
    const two = recording()
    const engine = await setupEngine({
      ...{ delivery: LOCAL, destinationTypes: [one.type, { ...two.type, type: 'mail' }] },
    })
    await make(engine, 'event_destination', { ...INPUT, events: ['agent.*'] })
    await make(engine, 'event_destination', {
      ...{ name: 'Mail', type: 'mail', mail: { channel: 'x' }, events: ['session.*'] },
    })
    await engine.clock.advance('1s')
    await emit(engine)
    await handleOf(engine, 'sessions').create({})
    await engine.clock.advance('1s')

    expect([one, two].map(({ sent }) => sent.map(({ message }) => message.type))).toEqual([
      ...[['agent.created'], ['session.queued']],
    ])
  })
})
