/** Does a request keep its time and its limits, whatever the receiver does? @module */

import { getEventListeners } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { LookupFunction } from 'node:net'
import { createServer as createRawServer, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import { createAddresses } from '../../src/delivery/addresses.ts'
import { createRequests, type Outgoing } from '../../src/delivery/request.ts'
import { until } from '../support/until.ts'

const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A server on this machine that answers like this; gives its address. */
async function answering(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${portOf(server)}/`
}

/** A server that does what no HTTP server would. */
async function behaving(connected: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createRawServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    connected(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${portOf(server)}/`
}

function portOf(server: { address(): unknown }): number {
  return (server.address() as { port: number }).port
}

function requests(allowed: readonly string[] = ['127.0.0.0/8'], lookup?: LookupFunction) {
  const made = createRequests(createAddresses(allowed), lookup)
  ends.push(() => made.close())
  return made
}

const outgoing = (url: string, changes: Partial<Outgoing> = {}): Outgoing => ({
  method: 'POST',
  url,
  headers: { 'content-type': 'application/json' },
  body: '{}',
  signal: AbortSignal.timeout(2000),
  ...changes,
})

const within = (milliseconds: number) => ({ signal: AbortSignal.timeout(milliseconds) })

describe('an answer', () => {
  test('comes back as it is', async () => {
    const url = await answering((request, response) => {
      response.writeHead(201, { 'x-method': request.method })
      request.pipe(response)
    })
    const returned = await requests().send(outgoing(url, { body: '{"a":1}' }))
    expect(returned).toMatchObject({ statusCode: 201, headers: { 'x-method': 'POST' } })
    expect(returned).toHaveProperty('body', Buffer.from('{"a":1}'))
  })

  test('that leads elsewhere is not followed', async () => {
    let asked = 0
    const url = await answering((_, response) => {
      asked += 1
      response.writeHead(307, { location: '/other' }).end()
    })
    expect(await requests().send(outgoing(url))).toMatchObject({ statusCode: 307 })
    expect(asked).toBe(1)
  })

  test('is read to 64 KB, however long it is', async () => {
    const url = await answering((_, response) => {
      const more = () => response.write(Buffer.alloc(65_536, 'x')) && setImmediate(more)
      response.writeHead(200).on('drain', more)
      more()
    })
    const returned = await requests().send(outgoing(url))
    expect(returned).toMatchObject({ statusCode: 200 })
    expect('body' in returned && returned.body.length).toBe(65_536)
  })

  test('is not unpacked', async () => {
    const packed = Buffer.from([0x1f, 0x8b, 1, 2, 3])
    const url = await answering((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed)
    })
    expect(await requests().send(outgoing(url))).toMatchObject({ statusCode: 200, body: packed })
  })

  test('counts by its status, when its body drips until the deadline', async () => {
    const url = await answering((_, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(drip))
    })
    const returned = await requests().send(outgoing(url, within(200)))
    expect(returned).toMatchObject({ statusCode: 200 })
  })
})

describe('no answer', () => {
  test.each<[string, (socket: Socket) => void, string]>([
    ['silence', () => {}, 'aborted'],
    [
      'an end before the answer',
      (socket) => socket.once('data', () => socket.destroy()),
      'connection_failed',
    ],
    [
      'what is no HTTP',
      (socket) => socket.once('data', () => socket.end('hello\r\n\r\n')),
      'answer_malformed',
    ],
    [
      'headers without end',
      (socket) =>
        socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`)),
      'answer_malformed',
    ],
    [
      'headers that drip',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n')
        const drip = setInterval(() => socket.write('x: y\r\n'), 20)
        socket.on('close', () => clearInterval(drip))
      },
      'aborted',
    ],
  ])('%s', async (_, behave, failure) => {
    const returned = await requests().send(outgoing(await behaving(behave), within(300)))
    expect(returned).toMatchObject({ failure })
  })

  test('nobody there', async () => {
    expect(await requests().send(outgoing('http://127.0.0.1:1/'))).toMatchObject({
      failure: 'connection_failed',
    })
  })

  test('what speaks no TLS', async () => {
    const url = await behaving((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n')),
    )
    const returned = await requests().send(outgoing(url.replace('http:', 'https:')))
    expect(returned).toMatchObject({ failure: 'tls_failed' })
  })

  test('given up', async () => {
    const stop = new AbortController()
    const url = await behaving(() => stop.abort(new Error('whatever the reason')))
    expect(await requests().send(outgoing(url, { signal: stop.signal }))).toMatchObject({
      failure: 'aborted',
    })
  })

  test('given up before it began', async () => {
    let asked = 0
    const url = await behaving(() => {
      asked += 1
    })
    expect(await requests().send(outgoing(url, { signal: AbortSignal.abort() }))).toMatchObject({
      failure: 'aborted',
    })
    expect(asked).toBe(0)
  })

  test('closed meanwhile', async () => {
    const made = requests()
    const url = await behaving(() => void made.close())
    expect(await made.send(outgoing(url))).toMatchObject({ failure: 'aborted' })
    expect(await made.send(outgoing(url))).toMatchObject({ failure: 'aborted' })
  })
})

describe('no connection', () => {
  /** A receiver that never says hello, and what becomes of the connections to it. */
  async function silent() {
    let connected = () => {}
    const contacted = new Promise<void>((resolve) => {
      connected = resolve
    })
    let open = 0
    const url = await behaving((socket) => {
      open += 1
      socket.resume().on('close', () => {
        open -= 1
      })
      connected()
    })
    return { url: url.replace('http:', 'https:'), contacted, open: () => open }
  }

  test('within the time', async () => {
    const { url, open } = await silent()
    const returned = await requests().send(outgoing(url, within(200)))
    expect(returned).toMatchObject({
      failure: 'aborted',
      message: 'the request was given up',
    })
    await until(() => open() === 0)
  })

  test('before the request is given up', async () => {
    const { url, contacted, open } = await silent()
    const stop = new AbortController()
    const sent = requests().send(outgoing(url, { signal: stop.signal }))
    await contacted
    stop.abort()
    expect(await sent).toMatchObject({ failure: 'aborted' })
    await until(() => open() === 0)
  })

  test('before all is closed', async () => {
    const { url, contacted, open } = await silent()
    const made = requests()
    const sent = made.send(outgoing(url, within(60_000)))
    await contacted
    await made.close()
    expect(await sent).toMatchObject({ failure: 'aborted' })
    await until(() => open() === 0)
  })

  test('since the name is never resolved', async () => {
    const { send } = requests([], () => {})
    const returned = await send(outgoing('http://slow.example/', within(200)))
    expect(returned).toMatchObject({ failure: 'aborted' })
  })

  test('for one does not keep others from theirs', async () => {
    let asked = 0
    const url = await behaving((socket) => {
      asked += 1
      const isFirst = asked === 1
      socket.once('data', () => isFirst || socket.end('hello\r\n\r\n'))
    })
    const { send } = requests()
    const secure = url.replace('http:', 'https:')
    const hanging = send(outgoing(secure, within(300)))
    expect(await send(outgoing(secure))).toMatchObject({ failure: 'tls_failed' })
    expect(await hanging).toMatchObject({ failure: 'aborted' })
    expect(await send(outgoing(secure))).toMatchObject({ failure: 'tls_failed' })
  })
})

test('a receiver whose answer was cut off is connected to once a request', async () => {
  let asked = 0
  const url = await behaving((socket) => {
    asked += 1
    socket.write(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(asked === 2 ? 10 : 100_000)}`)
  })
  const { send } = requests()
  const sizes = []
  for (const timeout of [2000, 100, 2000]) {
    const returned = await send(outgoing(url, within(timeout)))
    sizes.push('body' in returned && returned.body.length)
  }
  expect(sizes).toEqual([65_536, 10, 65_536])
  expect(asked).toBe(3)
})

test('connections that outlast their requests keep nothing of the answers', async () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage: () => void = runInNewContext('gc')
  const used = () => {
    collectGarbage()
    return process.memoryUsage().arrayBuffers / 2 ** 20
  }
  const waiting: ServerResponse[] = []
  const url = await answering((_, response) => {
    // All at the same time: each on a connection of its own.
    if (waiting.push(response) < 100) return
    for (const one of waiting) one.end('x'.repeat(60_000))
  })
  const { send } = requests()
  const before = used()

  await Promise.all(Array.from({ length: 100 }, () => send(outgoing(url))))

  // The connections are still there: they are kept for longer.
  const end = performance.now() + 1500
  await until(() => used() - before < 2 || performance.now() > end)
  expect(used() - before).toBeLessThan(2)
})

test('signals that outlast their requests keep nothing of them', async () => {
  const stop = new AbortController()
  const url = await answering((_, response) => response.end())
  const { send } = requests()
  for (let n = 0; n < 20; n++) await send(outgoing(url, { signal: stop.signal }))
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
  const kept = Object.getOwnPropertySymbols(stop.signal).map((key) => Reflect.get(stop.signal, key))
  expect(kept.filter((value) => value instanceof Set && value.size > 0)).toEqual([])
})

describe('what may not be connected to', () => {
  test.each([
    'http://127.0.0.1:9/',
    'http://[::1]:9/',
    'http://2130706433:9/',
    'http://0x7f.1:9/',
    'http://[::ffff:7f00:1]:9/',
  ])('the address in %s', async (url) => {
    expect(await requests([]).send(outgoing(url))).toMatchObject({ failure: 'address_blocked' })
  })

  const resolving =
    (...answers: string[][]): LookupFunction =>
    (_, __, callback) => {
      const list = answers.shift() ?? []
      callback(
        null,
        list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )
    }

  test('a name for a private address, which is not told', async () => {
    const { send } = requests([], resolving(['10.0.0.1']))
    expect(await send(outgoing('http://inside.example/'))).toMatchObject({
      failure: 'address_blocked',
      message: expect.stringMatching(
        /^inside\.example leads to an address that is not public(?!.*10\.)/,
      ),
    })
  })

  test('a name with one private address among public ones', async () => {
    const { send } = requests([], resolving(['8.8.8.8', '::ffff:10.0.0.1']))
    expect(await send(outgoing('http://mixed.example/'))).toMatchObject({
      failure: 'address_blocked',
    })
  })

  test('a name that is another address the next time', async () => {
    const url = new URL(
      await answering((_, response) => response.setHeader('connection', 'close').end()),
    )
    const { send } = requests(['127.0.0.1/32'], resolving(['127.0.0.1'], ['127.0.0.2']))
    const flipping = `http://flipping.example:${url.port}/`
    expect(await send(outgoing(flipping))).toMatchObject({ statusCode: 200 })
    expect(await send(outgoing(flipping))).toMatchObject({ failure: 'address_blocked' })
  })

  test('a name that does not exist', async () => {
    const missing: LookupFunction = (_, __, callback) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), [])
    const { send } = requests([], missing)
    expect(await send(outgoing('http://nowhere.example/'))).toMatchObject({
      failure: 'name_not_found',
    })
  })
})
