/** In which order do events reach a destination, and who waits for whom? @module */

import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type AnyEvent,
  type AnyTestEngine,
  openEngine,
  publicLog,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import type { Received, Receiver } from '../support/receivers.ts'
import { temporaryFile } from '../support/temp.ts'
import { gate, until } from '../support/until.ts'
import { makeRunningRun, send } from '../support/world.ts'
import {
  activate,
  command,
  deliveredTo,
  deliveriesOf,
  deliveryOf,
  emit,
  idsAt,
  LOCAL,
  listed,
  rename,
  setupDelivering,
  setupDelivery,
  setupReceiver,
  status,
} from './deliveries.ts'

const nameIn = ({ body }: Received): unknown => JSON.parse(body).data?.name

/** Answers 500 to what is about agents of these names. */
function refuse(receiver: Receiver, ...names: string[]): void {
  receiver.behave((request) => ({ status: names.includes(String(nameIn(request))) ? 500 : 200 }))
}

/** An agent and its changes, one event each. */
async function emitMany(engine: Parameters<typeof emit>[0], names: readonly string[]) {
  const [head = '', ...tail] = names
  const events: AnyEvent[] = [await emit(engine, head)]
  const id = String(events[0]?.data.id)
  for (const name of tail) events.push(await rename(engine, id, name))
  return events
}

/** Has so many events accepted: a destination gets more at once the more it has accepted. */
async function warmUp(engine: AnyTestEngine, count = 40): Promise<void> {
  for (let n = 0; n < count; n++) await emit(engine, 'warm')
  await engine.clock.advance('1s')
}

const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id)

describe('the events of a resource', () => {
  test('come one after the other, in their order', async () => {
    const { engine, receiver } = await setupDelivery()
    const events = await emitMany(
      engine,
      Array.from({ length: 100 }, (_, n) => `name ${n}`),
    )
    await engine.clock.advance('1s')

    expect(idsOf(receiver.events)).toEqual(idsOf(events))
    expect(receiver.mostInFlight).toBe(1)
  })

  test('wait for the one before them that fails', async () => {
    const { engine, receiver } = await setupDelivery()
    const events = await emitMany(engine, ['a', 'bad', 'c', 'd'])
    refuse(receiver, 'bad')
    await engine.clock.advance('5s')

    expect(idsAt(receiver)).toEqual([0, 1, 1].map((n) => events[n]?.id))

    receiver.behave(status(200))
    await engine.clock.advance('5m')
    expect(idsOf(receiver.events)).toEqual(idsOf(events))
  })

  test('hold back no other resource', async () => {
    const { engine, receiver } = await setupDelivery()
    await emitMany(engine, ['bad', 'b'])
    const healthy = await emitMany(engine, ['c', 'd', 'e'])
    refuse(receiver, 'bad')
    await engine.clock.advance('1s')

    expect(idsOf(receiver.events)).toEqual(idsOf(healthy))
  })

  test('go on when the one before them is given up', async () => {
    const { engine, receiver } = await setupDelivery({ retries: ['10s', '10s'] })
    const events = await emitMany(engine, ['bad', 'b', 'c'])
    refuse(receiver, 'bad')
    await engine.clock.advance('5s')
    await emit(engine, 'another')
    await engine.clock.advance('1m')

    expect(idsOf(receiver.events.filter(({ data }) => data.id === events[0]?.data.id))).toEqual(
      idsOf(events.slice(1)),
    )
    expect((await listed(engine, { status: 'exhausted' })).map(({ event_id }) => event_id)).toEqual(
      [events[0]?.id],
    )
  })

  test('wait for one that came before a restart', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    await activate(before, receiver.url)
    refuse(receiver, 'bad')
    const events = await emitMany(before, ['bad', 'b'])
    await before.clock.advance('1s')
    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    events.push(await rename(after, String(events[0]?.data.id), 'c'))
    await after.clock.advance('1s')
    expect(receiver.events).toEqual([])

    receiver.behave(status(200))
    await after.clock.advance('1h')
    expect(idsOf(receiver.events)).toEqual(idsOf(events))
  })

  test('wait for one that another engine on the file has under way', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const one = await setupEngine(options)
    const two = await setupEngine(options)
    await activate(one, receiver.url)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    const events = await emitMany(one, ['a', 'b'])

    const advanced = one.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await two.clock.advance(0)
    expect(idsAt(receiver)).toEqual([events[0]?.id])
    open()
    await advanced
    await one.clock.advance('1s')

    expect(idsOf(receiver.events)).toEqual(idsOf(events))
  })

  test('of one command come in the order of the log', async () => {
    const { engine, receiver } = await setupDelivery()
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'complete')
    await engine.clock.advance('1s')

    const log = await publicLog(engine)
    for (const id of new Set(receiver.events.map(({ data }) => data.id))) {
      const expected = log.filter(({ resource_id }) => resource_id === id)
      expect(idsOf(receiver.events.filter(({ data }) => data.id === id))).toEqual(idsOf(expected))
    }
    expect(receiver.events).toHaveLength(log.length - 1)
  })

  test('wait for one of them that is sent again', async () => {
    const { engine, receiver } = await setupDelivery()
    const [event] = await emitMany(engine, ['a'])
    await engine.clock.advance('1s')
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    await deliveriesOf(engine).resend((await deliveryOf(engine, event ?? { id: '' })).id)
    await rename(engine, String(event?.data.id), 'b')

    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight > 0)
    open()
    await advanced

    expect(receiver.mostInFlightPerResource).toBe(1)
    expect(receiver.events).toHaveLength(3)
  })

  test('wait for none of them where the destination has no order', async () => {
    const { engine, receiver } = await setupDelivery({}, { delivery: { order: 'none' } })
    refuse(receiver, 'bad')
    const events = await emitMany(engine, ['bad', 'b', 'c'])
    await engine.clock.advance('1s')

    expect(idsOf(receiver.events).sort()).toEqual(idsOf(events.slice(1)).sort())
  })

  test('go out at once where the engine has no order', async () => {
    const { engine, receiver } = await setupDelivery({ order: 'none' })
    await warmUp(engine)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    await emitMany(engine, ['a', 'b', 'c'])
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight === 3)
    open()
    await advanced

    expect(receiver.mostInFlightPerResource).toBe(3)
  })

  test('have an order again when their destination asks for it', async () => {
    const { engine, receiver } = await setupDelivery(
      { order: 'none' },
      { delivery: { order: 'resource' } },
    )
    await warmUp(engine)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    await emitMany(engine, ['a', 'b', 'c'])
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight > 0)
    open()
    await advanced

    expect(receiver.mostInFlightPerResource).toBe(1)
  })
})

describe('a destination', () => {
  test('that does not answer delays no other one', async () => {
    const engine = await setupDelivering()
    const dead = await setupReceiver()
    const alive = await setupReceiver()
    for (const { url } of [dead, alive]) await activate(engine, url, { events: ['agent.*'] })
    const { opened, open } = gate()
    dead.behave(() => opened.then(() => ({ status: 500 })))
    const events = []
    for (let n = 0; n < 200; n++) events.push(await emit(engine))

    const advanced = engine.clock.advance('1s')
    await alive.arrived(200)
    expect(dead.inFlight).toBeGreaterThan(0)
    open()
    await advanced

    expect(idsOf(alive.events).sort()).toEqual(idsOf(events).sort())
  })

  test('that does not answer leaves the other one half of all attempts, even of two', async () => {
    const engine = await setupDelivering({ concurrency: 2 })
    const dead = await setupReceiver()
    const alive = await setupReceiver()
    for (const { url } of [dead, alive]) await activate(engine, url, { events: ['agent.*'] })
    const { opened, open } = gate()
    dead.behave(() => opened.then(() => ({ status: 500 })))
    for (let n = 0; n < 20; n++) await emit(engine)

    const advanced = engine.clock.advance('1s')
    await alive.arrived(20)
    expect(dead.mostInFlight).toBe(1)
    open()
    await advanced
  })

  test('that fails does not make the other one fail', async () => {
    const engine = await setupDelivering()
    const bad = await setupReceiver()
    const good = await setupReceiver()
    const events = ['agent.*']
    const first = await activate(engine, bad.url, { events })
    await activate(engine, good.url, { events })
    bad.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('100h')

    const states = await listed(engine, { event: event.id })
    expect(
      Object.fromEntries(states.map((each) => [each.destination_id === first.id, each.status])),
    ).toEqual({ true: 'exhausted', false: 'succeeded' })
  })

  test.each([
    [{ concurrency: 3 }, {}],
    [{}, { delivery: { concurrency: 3 } }],
    [{ concurrency: 200 }, { delivery: { concurrency: 3 } }],
  ])('has so many attempts at once as %j and %j say', async (delivery, input) => {
    const { engine, receiver } = await setupDelivery(delivery, input)
    await warmUp(engine)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    for (let n = 0; n < 30; n++) await emit(engine)
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight > 0)
    open()
    await advanced

    expect(receiver.mostInFlight).toBeLessThanOrEqual(3)
    expect(receiver.events).toHaveLength(70)
  })

  test('uses the attempts that it may have', async () => {
    const { engine, receiver } = await setupDelivery({}, { delivery: { concurrency: 5 } })
    await warmUp(engine)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    for (let n = 0; n < 30; n++) await emit(engine)
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight === 5)
    open()
    await advanced

    expect(receiver.mostInFlight).toBe(5)
  })

  test('has at most half of the attempts of the engine', async () => {
    const { engine, receiver } = await setupDelivery({ concurrency: 8 })
    await warmUp(engine)
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({})))
    for (let n = 0; n < 30; n++) await emit(engine)
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight === 4)
    open()
    await advanced

    expect(receiver.mostInFlight).toBe(4)
  })

  test('together with the others has no more attempts than the engine', async () => {
    const engine = await setupDelivering({ concurrency: 4 })
    const { opened, open } = gate()
    const receiver = await setupReceiver()
    for (let n = 0; n < 6; n++) await activate(engine, receiver.url, { events: ['agent.*'] })
    await warmUp(engine, 4)
    receiver.behave(() => opened.then(() => ({})))
    for (let n = 0; n < 10; n++) await emit(engine)
    const advanced = engine.clock.advance('1s')
    await until(() => receiver.inFlight === 4)
    open()
    await advanced

    expect(receiver.mostInFlight).toBe(4)
    expect(receiver.events).toHaveLength(84)
  })

  test('gets what came first first, also of different resources', async () => {
    const { engine, receiver } = await setupDelivery({}, { delivery: { concurrency: 1 } })
    const events = []
    for (let n = 0; n < 30; n++) events.push(await emit(engine))
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual(idsOf(events))
  })

  test('is not starved by thousands of deliveries of another tenant', async () => {
    const engine = await setupDelivering({ concurrency: 4 })
    const busy = await setupReceiver()
    const quiet = await setupReceiver()
    const acme = engine.tenant('acme')
    await activate(engine, busy.url, { events: ['agent.*'] })
    await activate(acme, quiet.url, { events: ['agent.*'] })
    for (let n = 0; n < 400; n++) await emit(engine)
    await emit(acme)

    const advanced = engine.clock.advance('1s')
    await quiet.arrived(1)
    const before = busy.events.length
    await advanced

    expect(before).toBeLessThan(400)
    expect(busy.events).toHaveLength(400)
  })

  test('that is deleted while others are waiting leaves them alone', async () => {
    const { engine, receiver, destination } = await setupDelivery({}, { events: ['agent.*'] })
    const other = await setupReceiver()
    await activate(engine, other.url, { events: ['agent.*'] })
    for (const each of [receiver, other]) each.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')
    await command(engine, destination, 'delete')
    other.behave(status(200))
    await engine.clock.advance('1h')

    expect(idsOf(other.events)).toEqual([event.id])
    expect(deliveredTo(receiver)).toHaveLength(1)
  })
})
