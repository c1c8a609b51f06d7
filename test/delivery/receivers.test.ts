/** Do the receivers of the tests do what they are there for, and does a request survive all of them? @module */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import { createAddresses } from '../../src/delivery/addresses.ts'
import type { Returned } from '../../src/delivery/exchange.ts'
import { createRequests, type Outgoing, type Requests } from '../../src/delivery/request.ts'
import {
  createProxy,
  createReceiver,
  type Hostile,
  hostileReceivers,
  type ReceiverOptions,
} from '../support/receivers.ts'
import { gate, until } from '../support/until.ts'

const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

function requests() {
  const made = createRequests(createAddresses(['127.0.0.0/8']))
  ends.push(() => made.close())
  return made
}

const NEVER = new AbortController().signal

const outgoing = (url: string, changes: Partial<Outgoing> = {}): Outgoing => ({
  method: 'POST',
  url,
  headers: { 'content-type': 'application/json' },
  body: '{}',
  signal: NEVER,
  ...changes,
})

const within = (milliseconds: number) => ({ signal: AbortSignal.timeout(milliseconds) })

/** What came back: the status, or the failure. */
const resultOf = (returned: Returned) =>
  'failure' in returned ? returned.failure : returned.statusCode

type Name = keyof typeof hostileReceivers

const names = Object.keys(hostileReceivers) as Name[]

async function start(name: Name): Promise<Hostile> {
  const hostile = await hostileReceivers[name]()
  ends.push(() => hostile.close())
  return hostile
}

const RESULTS: Readonly<Record<Name, number | string>> = {
  refuses: 'connection_failed',
  'hangs before the status line': 'aborted',
  'accepts and says nothing': 'aborted',
  'drips the headers': 'aborted',
  'drips the body': 200,
  'sends 10 MB': 200,
  'sends an endless body': 200,
  'compresses a bomb': 200,
  redirects: 302,
  'redirects permanently': 308,
  'answers 404': 404,
  'answers 410': 410,
  'answers 500': 500,
  'answers 429 with retry-after': 429,
  'resets at once': 'connection_failed',
  'resets in the headers': 'connection_failed',
  'resets in the body': 200,
  'sends garbage instead of HTTP': 'answer_malformed',
  'sends garbage headers': 'answer_malformed',
  'sends 1 MB of headers': 'answer_malformed',
  'sends two status lines': 'answer_malformed',
  'speaks TLS badly': 'tls_failed',
  'never finishes the TLS handshake': 'aborted',
  'has a certificate nobody trusts': 'tls_failed',
  'closes without an answer': 'connection_failed',
  'sends informational answers for ever': 'connection_failed',
  'sends early hints for ever': 'aborted',
  'switches to another protocol': 'connection_failed',
  'answers HTTP/1.0': 200,
  'sends an invalid content-length': 'answer_malformed',
}

const TIMEOUT = 300
const MOST_BYTES = 65_536

describe('a request to a receiver that', () => {
  test.each(names)('%s', async (name) => {
    const hostile = await start(name)
    const { send } = requests()
    const late = AbortSignal.timeout(TIMEOUT + 100)

    const returned = await send(outgoing(hostile.url, within(TIMEOUT)))

    expect(late.aborted).toBe(false)
    expect(resultOf(returned)).toBe(RESULTS[name])
    expect('body' in returned ? returned.body.length : 0).toBeLessThanOrEqual(MOST_BYTES)
    expect(hostile.contacted()).toBe(name === 'refuses' ? 0 : 1)
    expect(hostile.target?.contacted() ?? 0).toBe(0)
    const isSuccess = 'statusCode' in returned && returned.statusCode < 300
    if (hostile.ok !== 'either') expect(isSuccess).toBe(hostile.ok)
  })
})

describe('1,000 requests to all of them', () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage: () => void = runInNewContext('gc')

  /** What is in use once the garbage is gone, in MB. */
  const used = () => {
    collectGarbage()
    const { heapUsed, external, rss } = process.memoryUsage()
    return { own: (heapUsed + external) / 2 ** 20, rss: rss / 2 ** 20 }
  }

  /** How many things of a kind keep the process alive. */
  const active = (kind: RegExp) =>
    process.getActiveResourcesInfo().filter((name) => kind.test(name)).length

  const CONNECTION = /^T(?:CP|LS).*Wrap$/
  const TIMER = /^Timeout$/

  /** Sends so many requests, 50 at a time, to each receiver in turn. */
  async function sendAll(send: Requests['send'], hostiles: Hostile[], count: number) {
    let sent = 0
    const sendOn = async () => {
      for (let n = sent++; n < count; n = sent++) {
        const { url } = hostiles[n % hostiles.length] as Hostile
        // A signal of its own: what comes with a timeout lasts as long as that.
        const late = new AbortController()
        const timeout = setTimeout(() => late.abort(), 200)
        await send(outgoing(url, { signal: late.signal }))
        clearTimeout(timeout)
      }
    }
    await Promise.all(Array.from({ length: 50 }, sendOn))
  }

  test('leave no memory, no connection and no timer behind', async () => {
    const hostiles = await Promise.all(names.map(start))
    const connections = active(CONNECTION)
    const timers = active(TIMER)
    const { send, close } = createRequests(createAddresses(['127.0.0.0/8']))
    await sendAll(send, hostiles, 1000)
    const before = used()

    await sendAll(send, hostiles, 1000)

    // What the receivers had ready for connections that were cut goes with these.
    await until(() => used().own - before.own < 5, 'the memory to be free again')
    expect(used().rss - before.rss).toBeLessThan(40)
    const contacts = hostiles.map((hostile) => hostile.contacted())
    expect(Math.max(...contacts)).toBeLessThanOrEqual(2 * Math.ceil(1000 / names.length))
    await close()
    await until(() => active(CONNECTION) <= connections, 'the end of the last connection')
    expect(active(TIMER)).toBeLessThanOrEqual(timers)
  })
})

describe('a receiver', () => {
  async function receiver(options?: ReceiverOptions) {
    const made = await createReceiver(options)
    ends.push(() => made.close())
    const { send } = requests()
    const sendBody = async (body: object, timeout = 2000) =>
      send(outgoing(made.url, { body: JSON.stringify(body), ...within(timeout) }))
    return { made, send, sendBody }
  }

  const event = (id: string, resource = 'agt_1') => ({ id, type: 'a.b', data: { id: resource } })
  const verification = { type: 'event_destination.verification', challenge: 'abc' }

  test('proves what it is asked to, and keeps what is none of it', async () => {
    const { made, send, sendBody } = await receiver({ answer: () => ({ status: 500 }) })

    const proven = await sendBody(verification)
    const pinged = await sendBody({ type: 'event_destination.ping' })
    const headers = { 'webhook-request-origin': 'pawl' }
    const permitted = await send(outgoing(made.url, { method: 'OPTIONS', headers, body: null }))
    const refused = await sendBody(event('evt_1'))

    expect(proven).toMatchObject({ statusCode: 200, body: Buffer.from('{"challenge":"abc"}') })
    expect(pinged).toMatchObject({ statusCode: 200 })
    expect(permitted).toMatchObject({ headers: { 'webhook-allowed-origin': 'pawl' } })
    expect(refused).toMatchObject({ statusCode: 500 })
    expect(made.events).toEqual([])
    expect(made.requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'OPTIONS', 'POST'])
    expect(made.requests[3]?.body).toBe(JSON.stringify(event('evt_1')))
  })

  test('behaves as it is told', async () => {
    const { made, sendBody } = await receiver()
    made.behave(() => 'hang')
    const hung = await sendBody(event('evt_1'), 100)
    made.behave(() => 'reset', { verification: true })
    const reset = await sendBody(verification)
    made.behave(() => Promise.reject(new Error('the test is wrong')))
    const failed = await sendBody(event('evt_2'))
    made.behave(() => ({ status: 202, headers: { 'x-a': 'b' }, body: 'yes' }))
    const accepted = await sendBody(event('evt_3'))

    expect([hung, reset, failed].map(resultOf)).toEqual(['aborted', 'connection_failed', 500])
    expect(accepted).toMatchObject({ statusCode: 202, headers: { 'x-a': 'b' } })
    expect(made.events.map(({ id }) => id)).toEqual(['evt_3'])
  })

  test('keeps events in the order in which they came, and counts what is in flight', async () => {
    const { made, sendBody } = await receiver()
    const first = gate()
    made.behave(async ({ body }) => {
      if (body.includes('evt_1')) await first.opened
      return {}
    })
    const slow = sendBody(event('evt_1'))
    await until(() => made.inFlight === 1)
    const others = [sendBody(event('evt_2')), sendBody(event('evt_3', 'agt_2'))]
    await made.arrived(2)
    await Promise.all(others)
    expect(made.inFlight).toBe(1)

    first.open()
    await made.arrived(3)
    await slow

    expect(made.events.map(({ id }) => id)[0]).toBe('evt_1')
    expect(made).toMatchObject({ inFlight: 0, mostInFlightPerResource: 2 })
    expect([2, 3]).toContain(made.mostInFlight)
    await expect(made.arrived(4, 1)).rejects.toThrow('only 3 of 4 events have arrived')
  })
})

describe('a proxy', () => {
  async function proxied() {
    const receiver = await createReceiver({ answer: () => ({ body: 'x'.repeat(50_000) }) })
    ends.push(() => receiver.close())
    const proxy = await createProxy({ host: '127.0.0.1', port: Number(new URL(receiver.url).port) })
    ends.push(() => proxy.close())
    const { send } = requests()
    const url = `http://127.0.0.1:${proxy.port}/`
    return { receiver, proxy, ask: () => send(outgoing(url, within(200))) }
  }

  test('passes, loses, refuses and passes again', async () => {
    const { receiver, proxy, ask } = await proxied()
    const results = [resultOf(await ask())]
    for (const mode of ['blackhole', 'pass', 'refuse', 'refuse', 'pass'] as const) {
      await proxy.mode(mode)
      results.push(resultOf(await ask()))
    }

    const none = 'connection_failed'
    expect(results).toEqual([200, 'aborted', 200, none, none, 200])
    expect(receiver.requests).toHaveLength(3)
  })

  test('cuts connections after so many bytes', async () => {
    const { receiver, proxy, ask } = await proxied()
    await ask()
    await proxy.mode('cut')
    expect(await ask()).toMatchObject({ failure: 'connection_failed' })
    await proxy.mode('cut', 20)
    expect(await ask()).toMatchObject({ failure: 'connection_failed' })
    expect(receiver.requests).toHaveLength(1)

    await proxy.mode('cut', 10_000)
    const cut = await ask()

    expect(cut).toMatchObject({ statusCode: 200 })
    const { length } = 'body' in cut ? cut.body : []
    expect(length).toBeGreaterThan(9000)
    expect(length).toBeLessThan(10_000)
    expect(receiver.requests).toHaveLength(2)
  })
})
