/** Do requests go to public addresses alone, unless others have been allowed? @module */

import type { LookupFunction } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyTestEngine, handleOf, openEngine, reopen, setupEngine } from '../support/engine.ts'
import { failureOf, refused } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeDestination } from '../support/world.ts'
import {
  activate,
  command,
  deliveredTo,
  deliveriesOf,
  deliveryOf,
  destinationNow,
  emit,
  LOCAL,
  setupDelivering,
  setupDelivery,
  setupReceiver,
  status,
} from './deliveries.ts'

interface Address {
  readonly address: string
  readonly family: number
}

/** Resolves names to addresses, one list after the other, the last one for ever. */
function leadingTo(...lists: readonly string[][]) {
  const asked: string[] = []
  const lookup: LookupFunction = (name, options, callback) => {
    const list = lists[Math.min(asked.push(name), lists.length) - 1] ?? []
    const found = list.map(
      (address): Address => ({ address, family: address.includes(':') ? 6 : 4 }),
    )
    const [one] = found
    process.nextTick(() => {
      if (typeof options === 'object' && options.all) callback(null, found)
      else callback(null, one?.address ?? '', one?.family)
    })
  }
  return { lookup, asked }
}

/** An engine that allows nothing private, and a destination that its operator has vouched for. */
async function setupGuarded(url: string, lookup: LookupFunction, delivery: object = {}) {
  const options = { jitter: 0, timeout: '300ms', lookup, verification: 'manual', ...delivery }
  const engine = await setupEngine({ delivery: options })
  const destination = await makeDestination(engine, { webhook: { url } })
  await command(engine, destination, 'activate')
  return { engine, destination }
}

async function attemptOf(engine: AnyTestEngine) {
  const event = await emit(engine)
  await engine.clock.advance('1s')
  return deliveryOf(engine, event)
}

const BLOCKED = [
  ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.0.0.1', '172.16.0.1', '172.31.255.255'],
  ...['192.168.1.1', '169.254.169.254', '100.64.0.1', '168.63.129.16', '224.0.0.1'],
  ...['255.255.255.255', '240.0.0.1', '192.0.2.1', '198.51.100.1', '203.0.113.1', '198.18.0.1'],
  ...['[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[fe80::1]'],
  ...['[fc00::1]', '[fd12:3456::1]', '[ff02::1]', '[2001:db8::1]', '[64:ff9b::7f00:1]'],
  ...['[2002:7f00:1::]', '[::ffff:0:127.0.0.1]', '[2001::1]', '[fec0::1]', '[::ffff:a9fe:a9fe]'],
  // The same, written otherwise.
  ...['2130706433', '0x7f000001', '017700000001', '127.1', '0', '0x7f.1', '0177.0.0.1'],
  ...['①②⑦.⓪.⓪.①', '１２７.０.０.１', '127。0。0。1', '127.0.0.1.'],
]

describe('a literal address that is not public', () => {
  test.each(BLOCKED)('%s is refused at create', async (host) => {
    const engine = await setupEngine({ delivery: { verification: 'manual' } })

    const create = () => makeDestination(engine, { webhook: { url: `http://${host}/in` } })
    const error = await refused(engine, create)

    expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['webhook', 'url'] }] })
  })

  test.each(['127.0.0.1', '[::1]', '2130706433', '169.254.169.254'])(
    '%s is refused at update',
    async (host) => {
      const engine = await setupEngine({ delivery: { verification: 'manual' } })
      const destination = await makeDestination(engine)
      await command(engine, destination, 'activate')
      const before = await destinationNow(engine, destination)

      const webhook = { url: `https://${host}:8443/in` }
      const error = await refused(engine, () => command(engine, destination, 'update', { webhook }))

      expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['webhook', 'url'] }] })
      expect(await destinationNow(engine, destination)).toEqual(before)
    },
  )

  test('is refused in a transaction as well', async () => {
    const engine = await setupEngine({ delivery: { verification: 'manual' } })

    const error = await failureOf(
      engine.transaction((tx) =>
        handleOf(tx, 'eventDestinations').create({
          ...{ name: 'Hooks', webhook: { url: 'http://10.0.0.1/' }, events: ['*'] },
        }),
      ),
    )

    expect(error.code).toBe('invalid_input')
  })

  test('may be one that is allowed', async () => {
    const engine = await setupEngine({
      delivery: { verification: 'manual', allowPrivate: ['10.0.0.0/8', 'fd00::/8'] },
    })
    const create = (host: string) =>
      makeDestination(engine, { webhook: { url: `http://${host}/` } })

    for (const host of ['10.255.0.1', '[fd00::1]', '[::ffff:10.0.0.1]'])
      expect(await create(host)).toMatchObject({ status: 'pending_verification' })
    for (const host of [
      '11.0.0.1.',
      '127.0.0.1',
      '[fc00::1]',
      '[::ffff:127.0.0.1]',
      '[::10.0.0.1]',
    ].slice(1))
      expect((await failureOf(() => create(host))).code).toBe('invalid_input')
  })

  test('is not one of these', async () => {
    const engine = await setupEngine({ delivery: { verification: 'manual' } })

    for (const host of ['8.8.8.8', '93.184.216.34', '[2606:4700:4700::1111]', 'hooks.example'])
      expect(await makeDestination(engine, { webhook: { url: `https://${host}/` } })).toMatchObject(
        {
          status: 'pending_verification',
        },
      )
  })

  test('is not connected to once it is no longer allowed', async () => {
    const database = temporaryFile()
    const receiver = await setupReceiver()
    const before = await openEngine({ database, delivery: LOCAL })
    await activate(before, receiver.url)
    const { length } = receiver.requests
    const after = await reopen(before, { database, delivery: { jitter: 0 } })
    onTestFinished(() => after.close())

    const { status: state, last_error } = await attemptOf(after)

    expect(state).toBe('waiting')
    expect(last_error).toMatch(/^address_blocked: /)
    expect(receiver.requests).toHaveLength(length)
  })
})

describe('a URL', () => {
  test.each([
    ...['ftp://hooks.example/', 'file:///etc/passwd', 'javascript:alert(1)', 'ws://hooks.example/'],
    ...[
      'data:text/plain,x',
      'hooks.example',
      '//hooks.example/',
      '/in',
      '',
      'http://',
      'https:///',
    ],
    ...[
      'https://user:pass@hooks.example/',
      'https://user@hooks.example/',
      'https://:p@hooks.example/',
    ],
    ...['http://hooks.example:99999/', 'http://[::1', 'http://a b/', 'gopher://hooks.example/'],
  ])('%s cannot be delivered to, at create and at update', async (url) => {
    const engine = await setupEngine({ delivery: { verification: 'manual' } })
    const destination = await makeDestination(engine)

    const create = await refused(engine, () => makeDestination(engine, { webhook: { url } }))
    const update = await refused(engine, () =>
      command(engine, destination, 'update', { webhook: { url } }),
    )

    for (const error of [create, update])
      expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['webhook', 'url'] }] })
  })

  test('does not show its credentials in the error', async () => {
    const engine = await setupEngine()
    const webhook = { url: 'https://ada:hunter2@hooks.example/' }

    const error = await failureOf(() => makeDestination(engine, { webhook }))

    expect(JSON.stringify(error)).not.toContain('hunter2')
  })

  test('may carry a path, a query and a port', async () => {
    const { engine, receiver } = await setupDelivery()
    await activate(engine, `${receiver.url}a/b%20c?d=e&f=%2F`, { events: ['session.*'] })

    expect(receiver.requests.at(-1)?.path).toBe('/a/b%20c?d=e&f=%2F')
  })
})

describe('a name', () => {
  test.each([
    ...['127.0.0.1', '0.0.0.0', '10.1.2.3', '169.254.169.254', '168.63.129.16', '::1'],
    ...['::ffff:127.0.0.1', 'fe80::1', 'fd00::1', '::', '64:ff9b::7f00:1'],
  ])('that leads to %s is not connected to', async (address) => {
    const receiver = await setupReceiver()
    const { lookup, asked } = leadingTo([address])
    const { port } = new URL(receiver.url)
    const { engine } = await setupGuarded(`http://evil.example:${port}/`, lookup)

    const { status: state, last_error, attempt_log } = await attemptOf(engine)

    expect(state).toBe('waiting')
    expect(last_error).toMatch(/^address_blocked: /)
    expect(attempt_log).toMatchObject([{ status_code: null, response_body: null }])
    expect(asked).toContain('evil.example')
    expect(receiver.requests).toEqual([])
  })

  test.each([
    [['127.0.0.1', '10.0.0.1']],
    [['::1', '127.0.0.1']],
    [['::ffff:127.0.0.1', '169.254.169.254']],
  ])('that leads to %j is not connected to', async (addresses) => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    const { lookup } = leadingTo(addresses)
    const { engine } = await setupGuarded(`http://evil.example:${port}/`, lookup)

    expect((await attemptOf(engine)).last_error).toMatch(/^address_blocked: /)
    expect(receiver.requests).toEqual([])
  })

  test.each([
    [[['93.184.216.34'], ['127.0.0.1']]],
    [[['93.184.216.34'], ['93.184.216.34'], ['127.0.0.1']]],
    [
      [
        ['93.184.216.34', '127.0.0.1'],
        ['127.0.0.1', '93.184.216.34'],
      ],
    ],
    [[['127.0.0.1'], ['93.184.216.34']]],
  ])('that changes as in %j gets nobody through', async (lists) => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    const { lookup } = leadingTo(...lists)
    const { engine } = await setupGuarded(`http://flip.example:${port}/`, lookup, {
      retries: ['1s', '1s', '1s'],
    })
    await emit(engine)
    await engine.clock.advance('4s')

    expect(receiver.requests).toEqual([])
  })

  test('that changes is not led back over a connection that is open', async () => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    const { lookup } = leadingTo(['127.0.0.1'])
    const engine = await setupDelivering({ lookup, verification: 'manual' })
    const destination = await makeDestination(engine, {
      webhook: { url: `http://hooks.example:${port}/` },
    })
    await command(engine, destination, 'activate')
    await attemptOf(engine)
    await attemptOf(engine)

    expect(deliveredTo(receiver).map(({ headers }) => headers.host)).toEqual([
      `hooks.example:${port}`,
      `hooks.example:${port}`,
    ])
  })

  test('localhost is no way around', async () => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    for (const host of ['localhost', 'localhost.', 'LOCALHOST']) {
      const engine = await setupEngine({
        delivery: { jitter: 0, timeout: '1s', verification: 'manual' },
      })
      const webhook = { url: `http://${host}:${port}/` }
      const created = await makeDestination(engine, { webhook }).catch(({ code }) => code)
      if (created === 'invalid_input') continue
      await command(engine, created, 'activate')
      expect((await attemptOf(engine)).last_error).toMatch(/^(address_blocked|name_not_found): /)
    }

    expect(receiver.requests).toEqual([])
  })

  test('that is not found is tried again', async () => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    let isKnown = false
    const lookup: LookupFunction = (name, options, callback) => {
      if (isKnown) return leadingTo(['127.0.0.1']).lookup(name, options, callback)
      process.nextTick(() => callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), ''))
    }
    const { engine } = await setupGuarded(`http://hooks.example:${port}/`, lookup, LOCAL)

    const { status: state, last_error } = await attemptOf(engine)
    expect(state).toBe('waiting')
    expect(last_error).toMatch(/^name_not_found: /)

    isKnown = true
    await engine.clock.advance('5s')
    expect(receiver.events).toHaveLength(1)
  })

  test.each<[string, LookupFunction]>([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['never answers', () => {}],
    ['finds nothing', (_, options, callback) => callback(null, options.all ? [] : '', 4)],
    [
      'finds no address',
      (_, options, callback) =>
        callback(null, options.all ? [{ address: 'evil.example', family: 4 }] : 'evil.example', 4),
    ],
    ['finds nonsense', (_, __, callback) => callback(null, null as never)],
    [
      'finds a range',
      (_, options, callback) =>
        callback(null, options.all ? [{ address: '8.8.8.8/0', family: 4 }] : '8.8.8.8/0', 4),
    ],
  ])('whose lookup %s is a failure of the attempt alone', async (_, lookup) => {
    const { engine } = await setupGuarded('http://hooks.example/', lookup)

    const { status: state, attempts, last_error } = await attemptOf(engine)

    expect({ state, attempts }).toEqual({ state: 'waiting', attempts: 1 })
    expect(last_error).toMatch(/^[a-z_]+: /)
  })

  test('that leads to an address that is allowed is connected to', async () => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    const { lookup } = leadingTo(['127.0.0.1'])
    const engine = await setupDelivering({ lookup })
    await activate(engine, `http://hooks.example:${port}/`)

    expect(await attemptOf(engine)).toMatchObject({ status: 'succeeded' })
    expect(receiver.requests[0]?.headers.host).toBe(`hooks.example:${port}`)
  })
})

describe('the guard', () => {
  test('holds for the challenge, and says why', async () => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    for (const verification of ['challenge', 'handshake', 'ping'] as const) {
      const { lookup } = leadingTo(['127.0.0.1'])
      const engine = await setupEngine({ delivery: { lookup, verification } })
      const webhook = { url: `http://evil.example:${port}/` }
      const destination = await makeDestination(engine, { webhook })
      await engine.clock.advance('1s')
      await deliveriesOf(engine).verify(destination.id)

      expect(await destinationNow(engine, destination)).toMatchObject({
        status: 'pending_verification',
        verification: { status: 'failed', error: expect.stringMatching(/^address_blocked: /) },
      })
    }
    expect(receiver.requests).toEqual([])
  })

  test('holds for what is sent again and for a replay', async () => {
    const receiver = await setupReceiver()
    const { port } = new URL(receiver.url)
    const { lookup } = leadingTo(['127.0.0.1'])
    const { engine, destination } = await setupGuarded(`http://evil.example:${port}/`, lookup)
    const { id } = await attemptOf(engine)

    await deliveriesOf(engine).resend(id)
    await engine.clock.advance('1s')
    await deliveriesOf(engine).replay({ destination: destination.id })
    await engine.clock.advance('1s')

    expect(receiver.requests).toEqual([])
    expect((await deliveriesOf(engine).get(id)).attempts).toBeGreaterThan(1)
  })

  test('is not passed by a redirect', async () => {
    const inner = await setupReceiver()
    const { engine, receiver } = await setupDelivery()
    receiver.behave(status(307, { location: inner.url }))
    await emit(engine)
    await engine.clock.advance('1h')

    expect(inner.requests).toEqual([])
  })

  test('is not passed by the variables of a proxy', async () => {
    const proxy = await setupReceiver()
    const names = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY']
    const before = names.map((name) => [name, process.env[name]] as const)
    onTestFinished(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
    })
    for (const name of names) process.env[name] = proxy.url
    const { engine, receiver } = await setupDelivery()
    await emit(engine)
    await engine.clock.advance('1s')

    expect(proxy.requests).toEqual([])
    expect(receiver.events).toHaveLength(1)
  })
})
