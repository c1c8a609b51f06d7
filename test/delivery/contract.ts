/** What does every type of destinations have to keep to, whatever it sends events with? @module */

import { createConnection, createServer, type Socket } from 'node:net'
import { nanoid } from 'nanoid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Call, DestinationType, Message, Target } from '../../src/delivery/destination-type.ts'
import { report } from '../crash/settings.ts'
import { until } from '../support/until.ts'

/** An event that has arrived. */
export interface Arrived {
  readonly id: string
  readonly body: string
}

/** One of the places that events can be sent to in a test. */
export type PlaceName = 'first' | 'second'

/** A type of destinations, and receivers for it. */
export interface Setup {
  readonly type: DestinationType
  /** A destination for one of the places; with the name `HOST`, which leads to this machine. */
  target(place?: PlaceName): Target
  /** The port of this machine at which the receivers of all places listen. */
  readonly port: number
  /** The destination for the first place, by the same name, but at that port of this machine. */
  at(port: number): Target
  /** The type as it is where no address may be connected to; needed for one that does not ask `addressOf`. */
  readonly blocked?: DestinationType
  /** What has come to one of the places until now. */
  received(place?: PlaceName): Promise<readonly Arrived[]>
  /** Removes the receivers; the type has been closed by then. */
  close(): Promise<void>
}

/** A host that can be connected to only at the address that `addressOf` gives. */
export const HOST = 'broker.invalid'

/** An attempt that may take five seconds. */
export function callOf(changes: Partial<Call> = {}): Call {
  return {
    at: new Date(),
    attempt: 1,
    timeout: 5000,
    signal: AbortSignal.timeout(5000),
    addressOf: async () => '127.0.0.1',
    ...changes,
  }
}

/** An event, unlike any other. */
export function messageOf(changes: Partial<Message> = {}): Message {
  const id = `evt_${nanoid()}`
  return {
    id,
    type: 'session.running',
    body: `{"id":"${id}", "b":1,"a":"Ünï ☃ \\u0000","data":{}}`,
    resourceId: 'sess_1',
    tenant: 'default',
    ...changes,
  }
}

/** Something that listens at a port of this machine, and counts who connects. */
export interface Listener {
  readonly port: number
  readonly connections: () => number
  close(): Promise<void>
}

/** Listens, and does with each connection what it is told to; nothing by default. */
export async function listening(connected: (socket: Socket) => void = () => {}): Promise<Listener> {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((socket) => {
    count += 1
    // Whoever does not read does not notice that the other has gone.
    sockets.add(socket.on('error', () => {}).resume())
    connected(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { readonly port: number }
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  return { port, connections: () => count, close }
}

/** Whether a server that tests need is there; says so where it is not, and fails where everything has to be tested. */
export async function isThere(what: string, port: number): Promise<boolean> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
  if (answers) return true
  const reason = `there is no ${what} at 127.0.0.1:${port}`
  if (process.env.CI) throw new Error(reason)
  report(`${what}: skipped, because ${reason}`)
  return false
}

const SOCKETS = new Set(['TCPSocketWrap', 'TLSWrap', 'TCPConnectWrap', 'GetAddrInfoReqWrap'])

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => SOCKETS.has(kind)).length
}

const ids = (list: readonly Arrived[]) => list.map(({ id }) => id).sort()

/** Declares the tests that a type of destinations has to pass. */
export function describeDestinationType(name: string, setup: () => Promise<Setup>): void {
  describe(`${name} as a type of destinations`, () => {
    let made: Setup
    const listeners: Listener[] = []

    beforeEach(async () => {
      made = await setup()
    })

    afterEach(async () => {
      await made.type.close?.()
      await made.close()
      for (const listener of listeners.splice(0)) await listener.close()
    })

    async function listen(connected?: (socket: Socket) => void): Promise<Listener> {
      const listener = await listening(connected)
      listeners.push(listener)
      return listener
    }

    /** A port that nobody listens at. */
    async function deadPort(): Promise<number> {
      const { port, close } = await listening()
      await close()
      return port
    }

    const deliver = (target: Target, message = messageOf(), call = callOf()) =>
      made.type.deliver(message, target, call)

    test('an event arrives with its id, and byte by byte as it is', async () => {
      const message = messageOf()

      expect(await deliver(made.target(), message)).toMatchObject({ ok: true })

      expect(await made.received()).toEqual([{ id: message.id, body: message.body }])
    })

    test('ten events at once all arrive', async () => {
      const messages = Array.from({ length: 10 }, () => messageOf())

      const receipts = await Promise.all(messages.map((message) => deliver(made.target(), message)))

      expect(receipts.filter(({ ok }) => !ok)).toEqual([])
      expect(ids(await made.received())).toEqual(ids(messages))
    })

    test('destinations get their own events only', async () => {
      const [one, other] = [messageOf(), messageOf()]

      await Promise.all([deliver(made.target('first'), one), deliver(made.target('second'), other)])

      expect(ids(await made.received('first'))).toEqual([one.id])
      expect(ids(await made.received('second'))).toEqual([other.id])
    })

    test('whatever changes in a destination holds from the next event on', async () => {
      const [one, other] = [messageOf(), messageOf()]
      const { id } = made.target('first')

      await deliver(made.target('first'), one)
      await deliver({ ...made.target('second'), id }, other)

      expect(ids(await made.received('first'))).toEqual([one.id])
      expect(ids(await made.received('second'))).toEqual([other.id])
    })

    test.each([
      ['before it begins', (stop: () => void) => stop()],
      ['right after it has begun', (stop: () => void) => queueMicrotask(stop)],
      ['while the receiver says nothing', () => {}],
    ])('an attempt that is given up %s is over at once, and a failure', async (_, arrange) => {
      const giveUp = new AbortController()
      let stopped = Number.POSITIVE_INFINITY
      const stop = () => {
        stopped = Math.min(stopped, performance.now())
        giveUp.abort()
      }
      const { port } = await listen(() => setImmediate(stop))
      arrange(stop)

      const receipt = await deliver(made.at(port), messageOf(), callOf({ signal: giveUp.signal }))

      expect(performance.now() - stopped).toBeLessThan(100)
      expect(receipt.ok).toBe(false)
    })

    test('the attempts of others go on when one is given up', async () => {
      const stop = new AbortController()
      const [gone, kept] = [messageOf(), messageOf()]

      const receipts = Promise.all([
        deliver(made.target(), gone, callOf({ signal: stop.signal })),
        deliver(made.target(), kept),
      ])
      stop.abort()

      expect(await receipts).toMatchObject([{ ok: false }, { ok: true }])
      expect(ids(await made.received())).toEqual([kept.id])
    })

    test('a receiver that is not there is a failure, and the next event to one that is arrives', async () => {
      const unreachable = made.at(await deadPort())
      const message = messageOf()

      const receipt = await deliver(unreachable)
      const after = await deliver({ ...made.target(), id: unreachable.id }, message)

      expect(receipt).toMatchObject({
        ok: false,
        error: expect.stringMatching(/^connection_failed: ./),
      })
      expect(after).toMatchObject({ ok: true })
      expect(ids(await made.received())).toEqual([message.id])
    })

    test('a connection that breaks is replaced', async () => {
      const sockets = new Set<Socket>()
      const proxy = await listen((socket) => {
        const onward = createConnection(made.port, '127.0.0.1').on('error', () => {})
        socket.pipe(onward).pipe(socket)
        sockets.add(socket).add(onward)
      })
      const [before, after] = [messageOf(), messageOf()]
      const target = made.at(proxy.port)
      expect(await deliver(target, before)).toMatchObject({ ok: true })

      for (const socket of sockets) socket.destroy()

      await until(async () => (await deliver(target, after)).ok, 'that an event arrives again')
      expect(new Set(ids(await made.received()))).toEqual(new Set([before.id, after.id]))
    })

    test.each([
      ['hangs up', (socket: Socket) => socket.destroy()],
      ['talks about something else', (socket: Socket) => socket.end('220 hello\r\n\r\n')],
    ])('a receiver that %s is a failure', async (_, connected) => {
      const { port } = await listen(connected)

      expect(await deliver(made.at(port))).toMatchObject({ ok: false })
    })

    test('an address that is not allowed is a failure, and nothing connects', async () => {
      const { port, connections } = await listen()
      const type = made.blocked ?? made.type
      const refused = async () => {
        throw new Error('127.0.0.1 is not a public address')
      }

      expect(
        await type.deliver(messageOf(), made.at(port), callOf({ addressOf: refused })),
      ).toMatchObject({
        ok: false,
        error: expect.stringMatching(/^address_blocked: .*not (?:a )?public/),
      })
      expect(connections()).toBe(0)
    })

    test('closing settles what is under way', async () => {
      const { port } = await listen()
      const receipts = Promise.all([
        ...Array.from({ length: 10 }, () => deliver(made.target('first'))),
        ...Array.from({ length: 10 }, () => deliver(made.at(port))),
      ])

      await made.type.close?.()

      const over = performance.now()
      expect((await receipts).map(({ ok }) => typeof ok)).toEqual(Array(20).fill('boolean'))
      expect(performance.now() - over).toBeLessThan(100)
    })

    test('nothing stays open once it is closed', async () => {
      const giveUp = new AbortController()
      const { port } = await listen(() => giveUp.abort())
      const before = openSockets()
      await deliver(made.target('first'))
      await deliver(made.target('second'))
      await deliver(made.at(port), messageOf(), callOf({ signal: giveUp.signal }))
      const connecting = deliver(made.at(port))

      await made.type.close?.()
      await connecting

      await until(() => openSockets() <= before, 'that all connections are gone')
    })
  })
}
