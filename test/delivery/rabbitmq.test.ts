/** Does RabbitMQ get every event, and does pawl notice when it has not taken one? @module */

import { type ChannelModel, connect } from 'amqplib'
import { nanoid } from 'nanoid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DestinationType, Target } from '../../src/delivery/destination-type.ts'
import { rabbitmq } from '../../src/rabbitmq.ts'
import {
  type Arrived,
  callOf,
  describeDestinationType,
  HOST,
  isThere,
  listening,
  messageOf,
  type PlaceName,
  type Setup,
} from './contract.ts'

const PORT = 5672
const PLACES: readonly PlaceName[] = ['first', 'second']

const hasBroker = await isThere('RabbitMQ', PORT)

function targetOf(config: Target['config'], secrets: Target['secrets'] = {}): Target {
  return { id: `evtd_${nanoid()}`, config: { host: HOST, ...config }, secrets, keys: [] }
}

/** Exchanges and queues of a test's own. */
async function setup(): Promise<Setup & { readonly broker: ChannelModel }> {
  const broker = await connect({ hostname: '127.0.0.1' })
  const channel = await broker.createChannel()
  const own = `pawl-test-${nanoid()}`
  const nameOf = (place: PlaceName) => `${own}-${place}`
  const arrived = new Map<PlaceName, Arrived[]>()
  const targets = new Map<PlaceName, Target>()
  for (const place of PLACES) {
    await channel.assertExchange(nameOf(place), 'topic', { durable: false })
    await channel.assertQueue(nameOf(place), { durable: false })
    await channel.bindQueue(nameOf(place), nameOf(place), 'session.#')
    arrived.set(place, [])
    targets.set(place, targetOf({ exchange: nameOf(place) }))
  }
  return {
    broker,
    type: rabbitmq(),
    port: PORT,
    target: (place = 'first') => targets.get(place) ?? targetOf({}),
    at: (port) => targetOf({ port, exchange: nameOf('first') }),
    received: async (place = 'first') => {
      const all = arrived.get(place) ?? []
      for (;;) {
        const message = await channel.get(nameOf(place), { noAck: true })
        if (message === false) return all
        all.push({ id: message.properties.messageId, body: message.content.toString() })
      }
    },
    close: async () => {
      for (const place of PLACES) {
        await channel.deleteQueue(nameOf(place))
        await channel.deleteExchange(nameOf(place))
      }
      await broker.close()
    },
  }
}

describe.skipIf(!hasBroker)('with a broker', () => {
  describeDestinationType('rabbitmq', setup)

  describe('rabbitmq', () => {
    let made: Awaited<ReturnType<typeof setup>>
    let type: DestinationType

    beforeEach(async () => {
      made = await setup()
      type = made.type
    })

    afterEach(async () => {
      await type.close?.()
      await made.close()
    })

    const deliver = (target: Target, message = messageOf()) =>
      type.deliver(message, target, callOf())

    const withConfig = (changes: Target['config']): Target => {
      const target = made.target()
      return { ...target, config: { ...target.config, ...changes } }
    }

    test('says in the properties of a message what it is', async () => {
      const message = messageOf({ tenant: 'acme' })
      const at = new Date('2026-01-02T03:04:05.678Z')

      await type.deliver(message, made.target(), callOf({ at }))

      const channel = await made.broker.createChannel()
      const got = await channel.get(String(made.target().config.exchange), { noAck: true })
      expect(got).toMatchObject({
        properties: {
          ...{ messageId: message.id, type: message.type, contentType: 'application/json' },
          ...{ deliveryMode: 2, timestamp: at.getTime() / 1000 - 0.678 },
          headers: { tenant: 'acme' },
        },
        fields: { routingKey: message.type },
      })
    })

    test('publishes with the routing key of the configuration, also to a queue by its name', async () => {
      const queue = made.target().config.exchange

      expect(await deliver(withConfig({ exchange: '', routing_key: queue }))).toEqual({ ok: true })

      expect(await made.received()).toHaveLength(1)
    })

    test('an event that no queue takes is a failure although the broker confirms it', async () => {
      const [lost, kept] = [messageOf({ type: 'task.created' }), messageOf()]

      const receipts = await Promise.all([
        deliver(made.target(), lost),
        deliver(made.target(), kept),
      ])

      const error = expect.stringMatching(/^unroutable: .*"task\.created".*312 NO_ROUTE/)
      expect(receipts).toEqual([{ ok: false, error }, { ok: true }])
    })

    test('a missing exchange fails what is under way in the words of the broker', async () => {
      const target = withConfig({ exchange: 'pawl-missing' })

      const receipts = await Promise.all([deliver(target), deliver(target), deliver(target)])

      const error = "channel_closed: NOT_FOUND - no exchange 'pawl-missing' in vhost '/'"
      expect(receipts).toEqual(Array(3).fill({ ok: false, error }))
      expect(await deliver({ ...made.target(), id: target.id })).toEqual({ ok: true })
    })

    test.each<[string, Target['config'], Target['secrets'], RegExp]>([
      ['password', {}, { password: 'hunter2-secret' }, /^access_refused: ACCESS_REFUSED - Login/],
      ['vhost', { vhost: 'a/b' }, {}, /^access_refused: .* the virtual host "a\/b"$/],
    ])(
      'a wrong %s is refused access, and no password is told',
      async (_, config, secrets, error) => {
        const target = { ...withConfig(config), secrets }

        const receipts = [await deliver(target), await type.verify?.(target, callOf())]

        const receipt = { ok: false, error: expect.stringMatching(error) }
        expect(receipts).toEqual([receipt, receipt])
        expect(JSON.stringify(receipts)).not.toContain('hunter2-secret')
      },
    )

    test('a password that is changed ends the connection of the old one', async () => {
      expect(await deliver(made.target())).toEqual({ ok: true })

      const receipt = await deliver({ ...made.target(), secrets: { password: 'hunter2-secret' } })

      expect(receipt).toMatchObject({ ok: false, error: expect.stringContaining('access_refused') })
    })

    test('an event that is longer than a frame arrives', async () => {
      const message = messageOf({ body: JSON.stringify('☃'.repeat(200_000)) })

      expect(await deliver(made.target(), message)).toEqual({ ok: true })

      expect(await made.received()).toEqual([{ id: message.id, body: message.body }])
    })

    test('is verified by the exchange', async () => {
      const missing = withConfig({ exchange: 'pawl-missing' })

      expect(await type.verify?.(made.target(), callOf())).toEqual({ ok: true })
      expect(await type.verify?.(withConfig({ exchange: '' }), callOf())).toEqual({ ok: true })
      expect(await type.verify?.(missing, callOf())).toEqual({
        ok: false,
        error: "channel_closed: NOT_FOUND - no exchange 'pawl-missing' in vhost '/'",
      })
      expect(await made.received()).toEqual([])
    })
  })
})

describe('rabbitmq without a broker', () => {
  test('asks for the certificate of the host, at the address that is given', async () => {
    const hello: Buffer[] = []
    const listener = await listening((socket) =>
      socket.once('data', (data) => {
        hello.push(data)
        socket.destroy()
      }),
    )
    const type = rabbitmq()
    const target = targetOf({ port: listener.port, tls: true, exchange: '' })

    const receipt = await type.deliver(messageOf(), target, callOf())

    expect(receipt).toMatchObject({ ok: false, error: expect.stringMatching(/^connection_failed/) })
    // The name is not encrypted.
    expect(Buffer.concat(hello).includes(HOST)).toBe(true)
    await type.close?.()
    await listener.close()
  })

  test.each([
    ['nothing', {}],
    ['a URL in place of a host', { host: 'amqp://broker', exchange: '' }],
    ['no exchange', { host: HOST }],
    ['a port that there is not', { host: HOST, exchange: '', port: 0 }],
    ['what it does not know', { host: HOST, exchange: '', user: 'guest' }],
    ['a routing key that is too long', { host: HOST, exchange: '', routing_key: 'é'.repeat(128) }],
  ])('takes no configuration with %s', async (_, config) => {
    const { issues } = await rabbitmq().config['~standard'].validate(config)

    expect(issues).not.toBeUndefined()
  })
})
