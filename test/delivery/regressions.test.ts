/** Does what a review of delivery has found stay mended? @module */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { agentPlatform } from '../../machines/index.ts'
import { replayLog } from '../../src/delivery/resend.ts'
import { openEngine as openWithSources } from '../../src/engine.ts'
import {
  type Call,
  type DestinationType,
  defineDestinationType,
  type Message,
  type Receipt,
} from '../../src/index.ts'
import {
  type AnyEngine,
  type AnyResource,
  openEngine,
  START,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { turns } from '../support/transactions.ts'
import { gate, until } from '../support/until.ts'
import { make, makeDestination } from '../support/world.ts'
import {
  activate,
  command,
  deliveriesOf,
  deliveryOf,
  destinationNow,
  emit,
  LOCAL,
  listed,
  msBetween,
  rename,
  setupDelivering,
  setupReceiver,
} from './deliveries.ts'

type Deliver = (message: Message, call: Call) => unknown

const accept: Deliver = () => ({ ok: true })
const refuse: Deliver = () => ({ ok: false, error: 'no: not now' })

/** A type of destinations that does what `deliver` says at that time, and remembers what it was sent. */
function createType(type: string, deliver = accept, parts: Partial<DestinationType> = {}) {
  const sent: Message[] = []
  const one = { sent, deliver, type: undefined as unknown as DestinationType }
  one.type = defineDestinationType({
    type,
    config: z.strictObject({}),
    deliver: async (message, _, call) => {
      sent.push(message)
      return (await one.deliver(message, call)) as Receipt
    },
    ...parts,
  })
  return one
}

/** A destination of a type, which wants what is about agents. */
function makeOf(engine: AnyEngine, type: string, input: object = {}): Promise<AnyResource> {
  return make(engine, 'event_destination', {
    ...{ name: type, type, [type]: {}, events: ['agent.*'] },
    ...input,
  })
}

const NO_JITTER = { ...LOCAL, jitter: 0 }

/** An engine with a destination that does what a test says. */
async function setupOne({
  deliver = accept,
  delivery = {},
  input = {},
  options = {},
}: {
  deliver?: Deliver
  delivery?: object
  input?: object
  options?: object
} = {}) {
  const chat = createType('chat', deliver)
  const destinationTypes = [chat.type]
  const all = { delivery: { ...NO_JITTER, ...delivery }, destinationTypes, ...options }
  const engine = await setupEngine(all)
  const destination = await makeOf(engine, 'chat', input)
  await engine.clock.advance('1s')
  return { engine, chat, destination }
}

/** A destination that is sick, and a healthy one beside it. */
async function setupNeighbours(receipt: object, options: object = {}, retries: unknown = []) {
  const errors: unknown[] = []
  const [sick, healthy] = [createType('sick', () => receipt), createType('healthy')]
  const engine = await setupEngine({
    ...{ delivery: NO_JITTER, destinationTypes: [sick.type, healthy.type] },
    onError: (error: unknown) => errors.push(error),
    ...options,
  })
  const destination = await makeOf(engine, 'sick', { delivery: { retries } })
  await makeOf(engine, 'healthy')
  await engine.clock.advance('1s')
  return { engine, destination, healthy, errors }
}

/** Emits some events, each of which is delivered as far as it can be. */
async function emitSome(engine: Awaited<ReturnType<typeof setupEngine>>): Promise<string[]> {
  const ids: string[] = []
  for (const name of ['Ada', 'Bea', 'Cleo']) {
    ids.push((await emit(engine, name)).id)
    await engine.clock.advance(0)
  }
  return ids
}

const idsOf = (messages: readonly { readonly id: string }[]) => messages.map(({ id }) => id)

/** Waits until the one delivery that there is has a status. */
function untilOne(engine: AnyEngine, status: string): Promise<void> {
  return until(async () => (await listed(engine, { status })).length === 1, status)
}

/** A clock that stands where a test sets it; what is past rings. */
function createHands() {
  let time = START.getTime()
  const clock = {
    now: () => new Date(time),
    alarm: (at: number, ring: () => void) => {
      const immediate = globalThis.setImmediate(() => at <= time && ring())
      return () => clearImmediate(immediate)
    },
  }
  const set = (to: number) => {
    time = to
  }
  return { clock, set }
}

/** An engine, and what is within it. */
async function setupOpened(deliver?: Deliver, delivery: object = {}) {
  const chat = createType('chat', deliver)
  const hands = createHands()
  const { engine, context, ...others } = await openWithSources(
    {
      ...{ database: ':memory:', encryptionKeys: [Buffer.alloc(32).toString('base64')] },
      ...{ delivery: { ...NO_JITTER, ...delivery }, destinationTypes: [chat.type] },
    },
    { clock: hands.clock, seed: 1 },
  )
  onTestFinished(() => engine.close())
  const any = engine as unknown as AnyEngine
  const destination = await makeOf(any, 'chat')
  await any.tick()
  return { engine: any, context, worker: others.delivery.worker, chat, hands, destination }
}

describe.each(['999999999999999d', 9e15])('a wait of %s', (wait) => {
  const refused = {
    code: 'invalid_input',
    issues: [expect.objectContaining({ path: ['delivery', 'retries', 0] })],
  }

  test('is refused where a destination is created', async () => {
    const engine = await setupEngine()

    const error = await failureOf(makeDestination(engine, { delivery: { retries: [wait] } }))

    expect(error).toMatchObject(refused)
  })

  test('is refused where a destination is updated', async () => {
    const engine = await setupEngine()
    const destination = await makeDestination(engine)

    const update = command(engine, destination, 'update', { delivery: { retries: [wait] } })

    expect(await failureOf(update)).toMatchObject(refused)
  })

  test('is refused where an engine is opened', async () => {
    const error = await failureOf(() => openEngine({ delivery: { retries: [wait] } }))

    expect(error.code).toBe('invalid_input')
  })
})

describe.each([
  ['half a character', 'no: \ud800', {}],
  ['more than a payload may hold', `no: ${'x'.repeat(5000)}`, { limits: { bytes: 2000 } }],
])('a destination whose last error is %s', (_, error, options) => {
  test('is deactivated', async () => {
    const { engine, destination } = await setupNeighbours({ ok: false, error }, options)

    await emitSome(engine)

    expect((await destinationNow(engine, destination)).status).toBe('inactive')
  })

  test('keeps nothing from its neighbour', async () => {
    const { engine, healthy } = await setupNeighbours({ ok: false, error }, options)

    const ids = await emitSome(engine)

    expect(idsOf(healthy.sent)).toEqual(ids)
  })
})

describe('a destination that asks for a fraction of a millisecond', () => {
  const receipt = { ok: false, error: 'no: not now', retryAfter: 60_000.5 }

  test('is tried again after that', async () => {
    const { engine, destination } = await setupNeighbours(receipt, {}, ['1s'])
    const event = await emit(engine)
    await engine.clock.advance(0)

    const delivery = await deliveryOf(engine, event, { destination: destination.id })
    expect(msBetween(engine.clock.now(), String(delivery.next_attempt_at))).toBe(60_001)
  })

  test('keeps nothing from its neighbour', async () => {
    const { engine, healthy } = await setupNeighbours(receipt, {}, ['1s'])

    const ids = await emitSome(engine)

    expect(idsOf(healthy.sent)).toEqual(ids)
  })
})

describe('a destination that cannot be deactivated', () => {
  const receipt = { ok: false, error: `no: ${'x'.repeat(490)}` }
  // The command that says why is larger.
  const options = { limits: { bytes: 400 } }

  test('is told to whoever hears of errors', async () => {
    const { engine, errors } = await setupNeighbours(receipt, options)

    await emit(engine)
    await engine.clock.advance(0)

    expect(errors).toMatchObject([{ code: 'invalid_input' }])
  })

  test('has its delivery exhausted', async () => {
    const { engine, destination } = await setupNeighbours(receipt, options)

    const event = await emit(engine)
    await engine.clock.advance(0)

    const delivery = await deliveryOf(engine, event, { destination: destination.id })
    expect(delivery.status).toBe('exhausted')
  })

  test('keeps nothing from its neighbour', async () => {
    const { engine, healthy } = await setupNeighbours(receipt, options)

    const ids = await emitSome(engine)

    expect(idsOf(healthy.sent)).toEqual(ids)
  })
})

test('a retry that falls due while a turn is under way is made, though nothing else happens', async () => {
  const { engine, context, worker, chat, hands } = await setupOpened(refuse, { retries: ['1s'] })
  await engine.start()
  await emit(engine)
  await untilOne(engine, 'waiting')
  chat.deliver = accept
  const due = START.getTime() + 1000
  const { dueDestinations } = context.store
  // By then it sleeps.
  await turns(50)

  hands.set(due - 1)
  Object.assign(context.store, {
    dueDestinations: (...question: Parameters<typeof dueDestinations>) => {
      hands.set(due)
      return dueDestinations(...question)
    },
  })
  worker.wake()

  await untilOne(engine, 'succeeded')
})

test('an engine without event destinations takes no event from the one that has them', async () => {
  const database = temporaryFile()
  const { engine, chat } = await setupOne({ options: { database, durability: 'relaxed' } })
  const names = Array.from({ length: 1200 }, (_, index) => `agent ${index}`)
  await Promise.all(names.map((name) => emit(engine, name)))
  const { eventDestinations: _, ...resources } = agentPlatform()
  const other = await setupEngine({ database, resources, now: engine.clock.now() })

  await other.tick()
  await engine.tick()

  expect(chat.sent.length).toBe(1200)
})

describe('a destination that no longer wants an order', () => {
  async function setup() {
    const made = await setupOne({ deliver: refuse, delivery: { retries: ['1h'] } })
    const created = await emit(made.engine)
    const updated = await rename(made.engine, created.resource_id, 'Bea')
    await made.engine.clock.advance(0)
    await command(made.engine, made.destination, 'update', { delivery: { order: 'none' } })
    await made.engine.clock.advance(0)
    return { ...made, created, updated }
  }

  test('gets what waits behind an event that fails', async () => {
    const { chat, created, updated } = await setup()

    expect(idsOf(chat.sent)).toEqual([created.id, updated.id])
  })

  test('leaves a database that verifies', async () => {
    const { engine } = await setup()

    expect((await engine.verify()).differences).toEqual([])
  })
})

describe('a destination that wants an order from now on', () => {
  /** Three events of an agent, all of which have failed and wait. */
  async function setup() {
    const delivery = { retries: ['1m', '1m'], order: 'none' }
    const made = await setupOne({ deliver: refuse, delivery })
    const created = await emit(made.engine)
    const others = [
      await rename(made.engine, created.resource_id, 'Bea'),
      await rename(made.engine, created.resource_id, 'Cleo'),
    ]
    await made.engine.clock.advance(0)
    await command(made.engine, made.destination, 'update', { delivery: { order: 'resource' } })
    made.chat.sent.length = 0
    return { ...made, events: [created, ...others] }
  }

  test('gets the events of a resource one at a time', async () => {
    const { engine, chat } = await setup()
    let [inFlight, most] = [0, 0]
    chat.deliver = async () => {
      inFlight += 1
      most = Math.max(most, inFlight)
      await setImmediate()
      inFlight -= 1
      return { ok: true }
    }

    await engine.clock.advance('1h')

    expect(most).toBe(1)
  })

  test('gets the events of a resource in their order', async () => {
    const { engine, chat, events } = await setup()
    chat.deliver = accept

    await engine.clock.advance('1h')

    expect(idsOf(chat.sent)).toEqual(idsOf(events))
  })

  test('leaves a database that verifies', async () => {
    const { engine } = await setup()
    await engine.clock.advance(0)

    expect((await engine.verify()).differences).toEqual([])
  })
})

test('verify tells of a delivery that waits for its turn although nothing is before it', async () => {
  const database = temporaryFile()
  const { engine } = await setupOne({ deliver: refuse, options: { database } })
  const event = await emit(engine)
  await engine.clock.advance(0)

  openRaw(database).exec('update pawl_deliveries set ready = 0')

  expect((await engine.verify()).differences).toMatchObject([
    { kind: 'delivery', seq: event.seq, message: expect.stringContaining('waits for its turn') },
  ])
})

test('a destination whose secret is replaced while it proves itself does so anew', async () => {
  const receiver = await setupReceiver({ verification: true })
  const answering = gate()
  receiver.behave(
    async ({ body }) => {
      await answering.opened
      return { body: JSON.stringify({ challenge: JSON.parse(body).challenge }) }
    },
    { verification: true },
  )
  const engine = await setupDelivering()
  const destination = await makeDestination(engine, { webhook: { url: receiver.url } })
  const advanced = engine.clock.advance(0)
  await until(() => receiver.requests.length === 1)

  await command(engine, destination, 'rotate_secret')
  answering.open()
  await advanced

  expect((await destinationNow(engine, destination)).status).toBe('active')
})

describe('a receiver whose answer never ends', () => {
  /** An event that was sent to a receiver which answers with a head only. */
  async function setup(status: number) {
    const server = createServer((_, response) => {
      response.writeHead(status, { 'retry-after': '3600' }).write('x')
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const engine = await setupDelivering({ verification: 'manual', timeout: '200ms' })
    const webhook = { url: `http://127.0.0.1:${port}/` }
    const destination = await makeDestination(engine, { webhook })
    await command(engine, destination, 'activate')
    const event = await emit(engine)
    await engine.clock.advance(0)
    return { engine, destination, delivery: await deliveryOf(engine, event) }
  }

  test('deactivates its destination by a 410', async () => {
    const { engine, destination } = await setup(410)

    expect((await destinationNow(engine, destination)).status).toBe('inactive')
  })

  test('has its 410 logged', async () => {
    const { delivery } = await setup(410)

    expect(delivery.attempt_log).toMatchObject([{ status_code: 410 }])
  })

  test('is left alone as long as it asks for with a 503', async () => {
    const { engine, delivery } = await setup(503)

    const wait = msBetween(engine.clock.now(), String(delivery.next_attempt_at))
    expect(wait).toBe(3_600_000)
  })
})

test('a destination that goes on from earlier gets the events of a resource by the log, though a later one is open', async () => {
  const input = { events: ['agent.updated'] }
  const { engine, chat, destination } = await setupOne({ deliver: refuse, input })
  const from = engine.clock.now().toISOString()
  await engine.clock.advance('1s')
  const { resource_id } = await emit(engine)
  await rename(engine, resource_id, 'Bea')
  await engine.clock.advance(0)
  await command(engine, destination, 'update', { events: ['agent.*'] })
  await command(engine, destination, 'deactivate')
  await engine.clock.advance(0)
  chat.sent.length = 0
  chat.deliver = accept

  await command(engine, destination, 'reactivate', { from })
  await engine.clock.advance('1m')

  expect(typesOf(chat.sent)).toEqual(['agent.created', 'agent.updated'])
})

test('nothing is sent to a destination once its deactivation has resolved', async () => {
  const { engine, context, chat, destination } = await setupOpened()
  await emit(engine)
  const { settleAndClaim } = context.store
  Object.assign(context.store, {
    settleAndClaim: async (...given: Parameters<typeof settleAndClaim>) => {
      Object.assign(context.store, { settleAndClaim })
      await command(engine, destination, 'deactivate')
      return settleAndClaim(...given)
    },
  })

  await engine.tick()

  expect(chat.sent).toEqual([])
})

describe('an engine that has not the type of a destination', () => {
  async function setup() {
    const database = temporaryFile()
    const options = { database, encryptionKeys: [Buffer.alloc(32).toString('base64')] }
    const delivery = { retries: [] }
    const made = await setupOne({ delivery, options })
    const event = await emit(made.engine)
    const errors: unknown[] = []
    const other = await setupEngine({
      ...{ ...options, delivery, now: made.engine.clock.now() },
      onError: (error: unknown) => errors.push(error),
    })
    await other.tick()
    await other.tick()
    return { ...made, event, other, errors }
  }

  test('makes no attempt', async () => {
    const { other, event } = await setup()

    expect(await deliveryOf(other, event)).toMatchObject({ status: 'pending', attempts: 0 })
  })

  test('leaves the destination active', async () => {
    const { other, destination } = await setup()

    expect((await destinationNow(other, destination)).status).toBe('active')
  })

  test('says that it cannot send there', async () => {
    const { other, event, destination } = await setup()

    const question = { event: event.id, destination: destination.id }
    const { delivered, reason, message } = await deliveriesOf(other).explain(question)
    expect({ delivered, reason }).toEqual({ delivered: false, reason: 'not_sendable' })
    expect(message).toContain(
      `${destination.id} here: its type "chat" is not registered; give createEngine the option destinationTypes`,
    )
  })

  test('tells it once to whoever hears of errors', async () => {
    const { errors } = await setup()

    expect(errors.length).toBe(1)
  })

  test('leaves its deliveries to an engine that has it', async () => {
    const { engine, chat, event } = await setup()

    await engine.tick()

    expect(idsOf(chat.sent)).toEqual([event.id])
  })
})

describe('a worker whose lease has run out', () => {
  test.each([
    ['its last attempt, by the strict preset', { ok: false, error: 'no: no' }, 'reference'],
    ['a receiver that is gone', { ok: false, error: 'no: no', gone: true }, undefined],
  ])('deactivates nothing late for %s', async (_, receipt, preset) => {
    const answering = gate()
    const late = async () => {
      await answering.opened
      return receipt
    }
    const delivery = { ...(preset && { preset }), retries: 'gone' in receipt ? ['1s'] : [] }
    const options = { database: temporaryFile() }
    const made = await setupOne({ deliver: late, delivery, options })
    const event = await emit(made.engine)
    const ticked = made.engine.tick()
    await until(() => made.chat.sent.length === 1)
    const destinationTypes = [createType('chat').type]
    const now = made.engine.clock.now()
    const other = await setupEngine({ ...options, delivery: NO_JITTER, destinationTypes, now })
    await other.clock.advance('1m')
    expect((await deliveryOf(other, event)).status).toBe('succeeded')

    answering.open()
    await ticked

    expect((await destinationNow(other, made.destination)).status).toBe('active')
  })
})

test('a replay leaves an event that has not been given out to come by itself', async () => {
  const { engine, context, destination } = await setupOpened()
  const event = await emit(engine)
  const reader = { tenant: 'default', root: true }

  await replayLog(context, reader, { destination: destination.id })
  await engine.tick()

  const rows = await context.store.listDeliveries({
    ...{ tenant: null, destination: null, seq: event.seq, statuses: null, after: null },
    ...{ order: 'asc', limit: 10 },
  })
  expect(rows).toMatchObject([{ status: 'succeeded', replay: false, attempts: 1 }])
})

test('a verification whose error is cut within a character has failed, with a text that is well-formed', async () => {
  const error = `${'a'.repeat(499)}😀${'b'.repeat(99)}`
  const verify = async () => ({ ok: false, error }) as const
  const { type } = createType('chat', accept, { verify })
  const engine = await setupEngine({ delivery: LOCAL, destinationTypes: [type] })
  const destination = await makeOf(engine, 'chat')

  await engine.clock.advance('1s')

  expect((await destinationNow(engine, destination)).verification).toMatchObject({
    status: 'failed',
    error: expect.toSatisfy((text: string) => text.length > 400 && text.isWellFormed()),
  })
})

test.each(['expect', 'upgrade', 'keep-alive', 'te', 'trailer', 'Keep-Alive'])(
  'a destination cannot have the custom header %s',
  async (name) => {
    const engine = await setupEngine()
    const webhook = { url: 'https://hooks.example/in', custom_headers: { [name]: 'x' } }

    const { code } = await failureOf(makeDestination(engine, { webhook }))

    expect(code).toBe('invalid_input')
  },
)

describe('pruning', () => {
  /** Counts the rows of a table. */
  const count = (database: string, table: string) =>
    openRaw(database).prepare(`select count(*) from ${table}`).pluck().get()

  /** Events that many destinations have got, the first attempt having failed. */
  async function setup() {
    const database = temporaryFile()
    const deliver: Deliver = (_, { attempt }) => ({ ok: attempt > 1, error: 'no: not now' })
    const made = await setupOne({ deliver, options: { database } })
    for (let n = 0; n < 7; n++) await makeOf(made.engine, 'chat')
    await made.engine.clock.advance('1s')
    const event = await emit(made.engine)
    await made.engine.clock.advance('1m')
    expect(count(database, 'pawl_attempts')).toBe(16)
    return { ...made, database, event }
  }

  test.each(['pawl_deliveries', 'pawl_attempts'])(
    'takes what became of events from %s',
    async (table) => {
      const { engine, database } = await setup()

      await engine.prune({ events: 0 })

      expect(count(database, table)).toBe(0)
    },
  )

  test('leaves the deliveries of events that stay', async () => {
    const { engine, event } = await setup()
    const stopper = new AbortController()
    const options = { from: 'start', signal: stopper.signal }
    const consuming = engine.consume('audit', options, () => {
      stopper.abort()
      throw new Error('not yet')
    })
    await Promise.allSettled([consuming])

    await engine.prune({ events: 0 })

    expect(await engine.events.get(event.id)).toMatchObject({ id: event.id })
    expect((await listed(engine, { event: event.id })).length).toBe(8)
  })
})

describe('an engine that is stopped and at once started again', () => {
  /** Is at an event when it is stopped, and at another one when what it was at has been given up. */
  async function setup() {
    const { engine, chat } = await setupOne()
    await engine.start()
    await emit(engine, 'Ada')
    // What has accepted an event gets two at a time.
    await untilOne(engine, 'succeeded')
    const interrupted = (signal: AbortSignal) =>
      once(signal, 'abort').then(() => ({ ok: false, error: 'no: interrupted' }))
    chat.deliver = (_, { signal }) => interrupted(signal)
    const before = await emit(engine, 'Bea')
    await until(() => chat.sent.length === 2)
    // A turn that is under way when the engine is stopped may begin something yet.
    await turns(50)
    const stopped = engine.stop()
    const answering = gate()
    const arrived: string[] = []
    const arrive = async (id: string) => {
      await answering.opened
      arrived.push(id)
      return { ok: true }
    }
    chat.deliver = ({ id }, { signal }) => Promise.race([interrupted(signal), arrive(id)])
    await engine.start()
    const after = await emit(engine, 'Cleo')
    await stopped
    await until(() => chat.sent.some(({ id }) => id === after.id))
    answering.open()
    await until(() => arrived.length >= 2)
    return { chat, before, after, arrived }
  }

  test('delivers each event once', async () => {
    const { before, after, arrived } = await setup()

    expect(arrived.toSorted()).toEqual([before.id, after.id].toSorted())
  })

  test('interrupts nothing that it has begun since', async () => {
    const { chat, after } = await setup()

    expect(chat.sent.filter(({ id }) => id === after.id).length).toBe(1)
  })
})

describe('a replay that hangs', () => {
  test('has nothing written while it is under way', async () => {
    const database = temporaryFile()
    const engine = await setupDelivering({}, { database })
    const receiver = await setupReceiver()
    const destination = await activate(engine, receiver.url)
    for (let n = 0; n < 6; n += 1) await emit(engine)
    await engine.clock.advance('1s')
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    await deliveriesOf(engine).replay({ destination: destination.id })

    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    const raw = openRaw(database)
    const before = raw.pragma('data_version', { simple: true })
    for (let turn = 0; turn < 100; turn += 1) await setImmediate()
    expect(raw.pragma('data_version', { simple: true })).toBe(before)
    raw.close()
    open()
    await advanced
  })
})

test('an engine that is stopped while it starts delivers nothing any more', async () => {
  const engine = await setupDelivering()
  const receiver = await setupReceiver()
  await activate(engine, receiver.url)

  const started = engine.start()
  await engine.stop()
  await started
  await emit(engine)
  for (let turn = 0; turn < 100; turn += 1) await setImmediate()

  expect(await listed(engine)).toEqual([])
})
