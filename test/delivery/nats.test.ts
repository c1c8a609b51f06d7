/** Does a stream of NATS get every event, and does pawl notice when none has stored it? @module */

import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { nanoid } from 'nanoid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DestinationType, Target } from '../../src/delivery/destination-type.ts'
import { nats } from '../../src/nats.ts'
import {
  callOf,
  describeDestinationType,
  HOST,
  isThere,
  listening,
  messageOf,
  type PlaceName,
  type Setup,
} from './contract.ts'

const PORT = 4222
const PLACES: readonly PlaceName[] = ['first', 'second']

const hasServer = await isThere('NATS', PORT)

function targetOf(config: Target['config'], secrets: Target['secrets'] = {}): Target {
  return { id: `evtd_${nanoid()}`, config: { host: HOST, ...config }, secrets, keys: [] }
}

interface NatsSetup extends Setup {
  readonly streams: JetStreamManager['streams']
  readonly nameOf: (place: PlaceName) => string
}

/** Streams of a test's own. */
async function setup(): Promise<NatsSetup> {
  const server = await connect({ servers: `127.0.0.1:${PORT}` })
  const { streams } = await jetstreamManager(server)
  const own = `pawl-test-${nanoid()}`
  const nameOf = (place: PlaceName) => `${own}-${place}`
  const targets = new Map<PlaceName, Target>()
  for (const place of PLACES) {
    const name = nameOf(place)
    await streams.add({ name, subjects: [`${name}.>`], storage: 'memory', max_msg_size: 1_000_000 })
    targets.set(place, targetOf({ subject: `${name}.{type}` }))
  }
  return {
    streams,
    nameOf,
    type: nats(),
    port: PORT,
    target: (place = 'first') => targets.get(place) ?? targetOf({}),
    at: (port) => targetOf({ port, subject: `${nameOf('first')}.{type}` }),
    received: async (place = 'first') => {
      const name = nameOf(place)
      const { state } = await streams.info(name)
      const all = Array.from({ length: state.last_seq }, (_, index) =>
        streams.getMessage(name, { seq: index + 1 }),
      )
      return (await Promise.all(all)).flatMap((message) =>
        message === null ? [] : [{ id: message.header.get('Nats-Msg-Id'), body: message.string() }],
      )
    },
    close: async () => {
      for (const place of PLACES) await streams.delete(nameOf(place))
      await server.close()
    },
  }
}

describe.skipIf(!hasServer)('with a server', () => {
  describeDestinationType('nats', setup)

  describe('nats', () => {
    let made: NatsSetup
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

    test('says in the headers of a message what it is, and by its subject', async () => {
      const message = messageOf({ tenant: 'acme' })

      await deliver(made.target(), message)

      const stored = await made.streams.getMessage(made.nameOf('first'), { seq: 1 })
      expect(stored?.subject).toBe(`${made.nameOf('first')}.session.running`)
      expect(Object.fromEntries(stored?.header ?? [])).toEqual({
        'Nats-Msg-Id': [message.id],
        'Content-Type': ['application/json'],
        'pawl-tenant': ['acme'],
      })
    })

    test('an event that is sent twice is stored once', async () => {
      const message = messageOf()

      const receipts = [
        await deliver(made.target(), message),
        await deliver(made.target(), message),
      ]

      const stored = { stream: made.nameOf('first'), seq: 1 }
      expect(receipts).toEqual([
        { ok: true, responseBody: JSON.stringify({ ...stored, duplicate: false }) },
        { ok: true, responseBody: JSON.stringify({ ...stored, duplicate: true }) },
      ])
      expect(await made.received()).toHaveLength(1)
    })

    test('an event that no stream takes is a failure', async () => {
      const target = withConfig({ subject: 'pawl-missing.{type}' })

      expect(await deliver(target)).toEqual({
        ok: false,
        error: 'unroutable: no stream takes "pawl-missing.session.running"',
      })
    })

    test.each([
      ['the stream', 1_000_000, /^rejected: message size exceeds maximum allowed$/],
      ['the server', 2_000_000, /^rejected: .*max_payload/],
    ])('an event that is longer than %s allows is a failure', async (_, length, error) => {
      const message = messageOf({ body: JSON.stringify('x'.repeat(length)) })

      expect(await deliver(made.target(), message)).toEqual({
        ok: false,
        error: expect.stringMatching(error),
      })
    })

    test('is verified by the stream, as far as it can be known', async () => {
      const stored = withConfig({ subject: `${made.nameOf('first')}.all` })
      const missing = withConfig({ subject: 'pawl-missing' })

      expect(await type.verify?.(made.target(), callOf())).toEqual({ ok: true })
      expect(await type.verify?.(stored, callOf())).toEqual({ ok: true })
      expect(await type.verify?.(missing, callOf())).toEqual({
        ok: false,
        error: 'unroutable: no stream takes "pawl-missing"',
      })
      expect(await made.received()).toEqual([])
    })
  })
})

/** What a server says first. */
function infoOf(changes: object): string {
  const info = { server_id: 'x', version: '2.9.0', proto: 1, max_payload: 1000, headers: true }
  return `INFO ${JSON.stringify({ ...info, ...changes })}\r\n`
}

describe('nats without a server', () => {
  const ends: (() => Promise<unknown> | undefined)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })

  async function serverThat(connected: Parameters<typeof listening>[0]) {
    const listener = await listening(connected)
    const type = nats()
    ends.push(
      () => type.close?.(),
      () => listener.close(),
    )
    return { listener, type }
  }

  test.each<[string, Target['config'], Target['secrets'], RegExp]>([
    ['password', { username: 'pawl' }, { password: 'hunter2-secret' }, /"user":"pawl".*hunter2/],
    ['token', {}, { token: 'hunter2-secret' }, /"auth_token":"hunter2-secret"/],
  ])('a wrong %s is refused access, and is not told', async (_, config, secrets, sent) => {
    let heard = ''
    const { type, listener } = await serverThat((socket) => {
      socket.write(infoOf({ auth_required: true }))
      socket.on('data', (data) => {
        heard += data
        socket.end("-ERR 'Authorization Violation'\r\n")
      })
    })
    const target = targetOf({ port: listener.port, subject: 'events', ...config }, secrets)

    const receipt = await type.deliver(messageOf(), target, callOf())

    expect(receipt).toEqual({ ok: false, error: 'access_refused: Authorization Violation' })
    expect(heard).toMatch(sent)
  })

  test('asks for the certificate of the host, at the address that is given', async () => {
    const hello: Buffer[] = []
    const { type, listener } = await serverThat((socket) => {
      socket.write(infoOf({ tls_required: true }))
      socket.once('data', (data) => {
        hello.push(data)
        socket.destroy()
      })
    })
    const target = targetOf({ port: listener.port, tls: true, subject: 'events' })

    const receipt = await type.deliver(messageOf(), target, callOf())

    expect(receipt).toMatchObject({ ok: false, error: expect.stringMatching(/^connection_failed/) })
    // The name is not encrypted.
    expect(Buffer.concat(hello).includes(HOST)).toBe(true)
  })

  test('sends no password to a server that does not encrypt, where it has to', async () => {
    let heard = ''
    const { type, listener } = await serverThat((socket) => {
      socket.write(infoOf({}))
      socket.on('data', (data) => {
        heard += data
      })
    })
    const config = { port: listener.port, tls: true, subject: 'events', username: 'pawl' }

    const receipt = await type.deliver(messageOf(), targetOf(config), callOf())

    expect(receipt).toMatchObject({ ok: false, error: expect.stringContaining("'tls'") })
    expect(heard).toBe('')
  })

  test('sends no password to a server that insists on encryption, where it may not', async () => {
    let heard = ''
    const { type, listener } = await serverThat((socket) => {
      socket.write(infoOf({ tls_required: true }))
      socket.on('data', (data) => {
        heard += data
      })
    })
    const config = { port: listener.port, subject: 'events', username: 'pawl' }

    const receipt = await type.deliver(messageOf(), targetOf(config), callOf())

    const error = 'connection_failed: the server takes encrypted connections only: set tls'
    expect(receipt).toEqual({ ok: false, error })
    expect(heard).toBe('')
  })

  test('connects to no other server than the one that is named', async () => {
    const other = await listening()
    ends.push(() => other.close())
    const { type, listener } = await serverThat((socket) => {
      socket.write(infoOf({ connect_urls: [`127.0.0.1:${other.port}`] }))
      socket.on('data', (data) => {
        if (data.includes('PING')) socket.write('PONG\r\n')
        if (data.includes('HPUB')) socket.destroy()
      })
    })
    const target = targetOf({ port: listener.port, subject: 'events' })

    const receipt = await type.deliver(messageOf(), target, callOf())

    expect(receipt).toMatchObject({ ok: false, error: expect.stringMatching(/^connection_failed/) })
    expect([listener.connections(), other.connections()]).toEqual([1, 0])
  })

  test.each([
    ['nothing', {}],
    ['a URL in place of a host', { host: 'nats://server', subject: 'a' }],
    ['a wildcard', { host: HOST, subject: 'events.>' }],
    ['an empty part of the subject', { host: HOST, subject: 'events..{type}' }],
    ['a user name and a token', { host: HOST, subject: 'a', username: 'a', token: 'b' }],
    ['what it does not know', { host: HOST, subject: 'a', user: 'pawl' }],
  ])('takes no configuration with %s', async (_, config) => {
    const { issues } = await nats().config['~standard'].validate(config)

    expect(issues).not.toBeUndefined()
  })
})
