/** Is nothing sent while a destination is inactive, and nothing lost? And is the log replayed as asked? @module */

import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyEvent, type AnyTestEngine, openEngine, reopen } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { gate, until } from '../support/until.ts'
import { makeCredential, makeSession } from '../support/world.ts'
import {
  activate,
  command,
  deliveriesOf,
  deliveryOf,
  destinationNow,
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

const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id)

/** Events of different agents, one an hour. */
async function emitHourly(engine: AnyTestEngine, count: number): Promise<AnyEvent[]> {
  const events: AnyEvent[] = []
  for (let n = 0; n < count; n++) {
    events.push(await emit(engine, `agent ${n}`))
    await engine.clock.advance('1h')
  }
  return events
}

describe('an inactive destination', () => {
  async function setupInactive() {
    const made = await setupDelivery()
    await command(made.engine, made.destination, 'deactivate')
    const reactivate = async (payload: object = {}) => {
      await command(made.engine, made.destination, 'reactivate', { ...payload })
      await made.engine.clock.advance('1s')
    }
    return { ...made, reactivate }
  }

  test('is sent nothing', async () => {
    const { engine, receiver } = await setupInactive()
    const { length } = receiver.requests
    await emitHourly(engine, 5)
    await engine.clock.advance('100h')

    expect(receiver.requests).toHaveLength(length)
  })

  test.each([{}, { from: 'resume' }])(
    'gets all it has missed when reactivated with %j',
    async (payload) => {
      const { engine, receiver, reactivate } = await setupInactive()
      const events = await emitHourly(engine, 5)
      await reactivate(payload)

      expect(idsAt(receiver).sort()).toEqual(idsOf(events).sort())
    },
  )

  test('gets what it has missed of a resource in order', async () => {
    const { engine, receiver, reactivate } = await setupInactive()
    const events = [await emit(engine)]
    for (let n = 0; n < 10; n++)
      events.push(await rename(engine, String(events[0]?.data.id), `name ${n}`))
    await reactivate()

    expect(idsOf(receiver.events)).toEqual(idsOf(events))
  })

  test('gets what comes after its reactivation', async () => {
    const { engine, receiver, reactivate } = await setupInactive()
    await reactivate()
    const event = await emit(engine)
    await engine.clock.advance('1s')

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('gets nothing twice by being reactivated', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const all: AnyEvent[] = []
    for (let n = 0; n < 4; n++) {
      all.push(...(await emitHourly(engine, 2)))
      await command(engine, destination, 'deactivate')
      all.push(...(await emitHourly(engine, 2)))
      await command(engine, destination, 'reactivate')
    }
    await engine.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(idsOf(all).sort())
  })

  test('gets nothing that it has missed when it begins now', async () => {
    const { engine, receiver, reactivate } = await setupInactive()
    await emitHourly(engine, 5)
    await reactivate({ from: 'now' })
    const event = await emit(engine)
    await engine.clock.advance('1h')

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('gets what came between its reactivation and its verification', async () => {
    const { engine, receiver, destination } = await setupInactive()
    await emit(engine, 'missed')
    await engine.clock.advance('1h')
    await command(engine, destination, 'reactivate', { from: 'now' })
    const event = await emit(engine, 'between')
    await engine.clock.advance('1h')

    expect(idsAt(receiver)).toEqual([event.id])
  })

  test('gets what it has missed since a moment', async () => {
    const { engine, receiver, reactivate } = await setupInactive()
    const events = await emitHourly(engine, 6)
    await reactivate({ from: events[3]?.created_at })

    expect(idsAt(receiver).sort()).toEqual(idsOf(events.slice(3)).sort())
  })

  test.each(['yesterday', '', 7, null, {}, '2026-13-01', 'RESUME'])(
    'cannot begin at %j',
    async (from) => {
      const { engine, destination } = await setupInactive()

      const error = await failureOf(() => command(engine, destination, 'reactivate', { from }))

      expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: ['from'] }] })
    },
  )

  test('gets what it has missed after a restart', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    const destination = await activate(before, receiver.url)
    await command(before, destination, 'deactivate')
    const events = await emitHourly(before, 3)
    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    events.push(await emit(after))
    await command(after, destination, 'reactivate')
    await after.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(idsOf(events).sort())
  })

  test('gets what it has missed because of a URL that had to be verified', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const next = await setupReceiver({ answer: status(500), verification: true })
    await command(engine, destination, 'update', { webhook: { url: next.url } })
    const events = await emitHourly(engine, 3)
    next.behave(status(200))
    await deliveriesOf(engine).verify(destination.id)
    await engine.clock.advance('1s')

    expect(idsOf(next.events).sort()).toEqual(idsOf(events).sort())
    expect(idsAt(receiver)).toEqual([])
  })

  test('gets what it has missed when its operator vouches for it', async () => {
    const { engine, receiver, destination } = await setupInactive()
    const events = await emitHourly(engine, 3)
    await command(engine, destination, 'reactivate')
    await command(engine, destination, 'activate')
    await engine.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(idsOf(events).sort())
  })

  test('gets what it wanted when it has changed its mind meanwhile', async () => {
    const { engine, receiver, destination, reactivate } = await setupInactive()
    await makeSession(engine)
    const event = await emit(engine)
    await command(engine, destination, 'update', { events: ['agent.*'] })
    await reactivate()

    expect(idsAt(receiver)).toContain(event.id)
  })
})

describe('a delivery that is open when its destination is deactivated', () => {
  async function setupOpen() {
    const made = await setupDelivery()
    const { engine, receiver, destination } = made
    receiver.behave(status(500))
    const waiting = await emit(engine)
    const pending = await rename(engine, String(waiting.data.id), 'Bea')
    await engine.clock.advance('5s')
    await command(engine, destination, 'deactivate')
    receiver.behave(status(200))
    return { ...made, waiting, pending }
  }

  test('waits, and is not tried', async () => {
    const { engine, receiver, waiting, pending } = await setupOpen()
    const { length } = receiver.requests
    await engine.clock.advance('100h')

    expect(receiver.requests).toHaveLength(length)
    expect(await deliveryOf(engine, waiting)).toMatchObject({
      ...{ status: 'waiting', attempts: 2, next_attempt_at: null },
    })
    expect(await deliveryOf(engine, pending)).toMatchObject({
      ...{ status: 'pending', attempts: 0, next_attempt_at: null },
    })
  })

  test('goes on with resume, where it was', async () => {
    const { engine, receiver, destination, waiting, pending } = await setupOpen()
    await engine.clock.advance('100h')
    await command(engine, destination, 'reactivate', { from: 'resume' })
    await engine.clock.advance('1h')

    expect(idsOf(receiver.events)).toEqual([waiting.id, pending.id])
    const { attempt_log } = await deliveryOf(engine, waiting)
    expect(attempt_log.map(({ number }) => number)).toEqual([1, 2, 3])
  })

  test('is passed over where it begins now', async () => {
    const { engine, receiver, destination, waiting, pending } = await setupOpen()
    await command(engine, destination, 'reactivate', { from: 'now' })
    await engine.clock.advance('100h')

    expect(receiver.events).toEqual([])
    for (const event of [waiting, pending])
      expect(await deliveryOf(engine, event)).toMatchObject({
        ...{ status: 'canceled', next_attempt_at: null },
      })
  })

  test('is passed over where it is of before the moment', async () => {
    const { engine, receiver, destination, waiting } = await setupOpen()
    await engine.clock.advance('1h')
    const later = await emit(engine)
    await command(engine, destination, 'reactivate', { from: later.created_at })
    await engine.clock.advance('1h')

    expect(idsOf(receiver.events)).toEqual([later.id])
    expect((await deliveryOf(engine, waiting)).status).toBe('canceled')
  })

  test('goes on once where it is of after the moment', async () => {
    const { engine, receiver, destination, waiting, pending } = await setupOpen()
    await engine.clock.advance('1h')
    const later = await emit(engine)
    await command(engine, destination, 'reactivate', { from: waiting.created_at })
    await engine.clock.advance('1h')

    expect(idsOf(receiver.events).sort()).toEqual([waiting.id, pending.id, later.id].sort())
  })

  test('holds back no event of its resource once it is passed over', async () => {
    const { engine, receiver, destination, waiting } = await setupOpen()
    await command(engine, destination, 'reactivate', { from: 'now' })
    await engine.clock.advance('1s')
    const event = await rename(engine, String(waiting.data.id), 'Cid')
    await engine.clock.advance('1s')

    expect(idsOf(receiver.events)).toEqual([event.id])
  })

  test('keeps the answer to an attempt that was under way', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({ status: 202 })))
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await command(engine, destination, 'deactivate')
    open()
    await advanced

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'succeeded', attempts: 1, attempt_log: [{ status_code: 202 }] },
    })
    expect((await destinationNow(engine, destination)).status).toBe('inactive')
  })

  test('waits when an attempt that was under way fails', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const { opened, open } = gate()
    receiver.behave(() => opened.then(() => ({ status: 500 })))
    const event = await emit(engine)
    const advanced = engine.clock.advance(0)
    await until(() => receiver.inFlight === 1)
    await command(engine, destination, 'deactivate')
    open()
    await advanced
    await engine.clock.advance('100h')

    expect(await deliveryOf(engine, event)).toMatchObject({
      ...{ status: 'waiting', attempts: 1, next_attempt_at: null },
    })
  })

  test('is canceled when the destination is deleted after that', async () => {
    const { engine, destination, waiting } = await setupOpen()
    await command(engine, destination, 'delete')
    await engine.clock.advance('1s')

    expect((await deliveryOf(engine, waiting)).status).toBe('canceled')
  })
})

describe('a replay', () => {
  async function setupReplay(input: Readonly<Record<string, unknown>> = {}) {
    const made = await setupDelivery({}, input)
    const { engine, receiver, destination } = made
    const events = await emitHourly(engine, 6)
    const seen = receiver.requests.length
    const replay = async (options: object = {}) => {
      const report = await deliveriesOf(engine).replay({ destination: destination.id, ...options })
      await engine.clock.advance('1s')
      return report
    }
    const resent = () => idsAt(receiver).slice(-receiver.requests.length + seen || undefined)
    const replayed = () => (receiver.requests.length === seen ? [] : resent().sort())
    return { ...made, events, replay, replayed }
  }

  test('sends all that the destination wants, as the same events', async () => {
    const { events, replay, replayed } = await setupReplay()

    expect(await replay()).toEqual({ events: 6 })
    expect(replayed()).toEqual(idsOf(events).sort())
  })

  test('sends what came since a moment', async () => {
    const { events, replay, replayed } = await setupReplay()

    expect(await replay({ since: events[2]?.created_at })).toEqual({ events: 4 })
    expect(replayed()).toEqual(idsOf(events.slice(2)).sort())
  })

  test('sends what came until before a moment', async () => {
    const { events, replay, replayed } = await setupReplay()

    expect(await replay({ until: new Date(events[2]?.created_at ?? '') })).toEqual({ events: 2 })
    expect(replayed()).toEqual(idsOf(events.slice(0, 2)).sort())
  })

  test('sends what came between two moments', async () => {
    const { events, replay, replayed } = await setupReplay()
    const [since, until] = [events[1]?.created_at, events[4]?.created_at]

    expect(await replay({ since, until })).toEqual({ events: 3 })
    expect(replayed()).toEqual(idsOf(events.slice(1, 4)).sort())
  })

  test('sends what is of a type', async () => {
    const { engine, events, replay, replayed } = await setupReplay()
    const session = await makeSession(engine)
    await engine.clock.advance('1s')

    expect(await replay({ type: ['agent.*'] })).toEqual({ events: 6 })
    expect(replayed().length).toBeGreaterThanOrEqual(6)
    expect(await replay({ type: 'session.queued' })).toEqual({ events: 1 })
    expect(events).not.toContain(session.id)
  })

  test('only counts in a dry run', async () => {
    const { engine, receiver, replay } = await setupReplay()
    const before = await listed(engine)
    const { length } = receiver.requests

    expect(await replay({ dryRun: true })).toEqual({ events: 6 })
    expect(await replay({ dryRun: true, type: 'session.*' })).toEqual({ events: 0 })
    await engine.clock.advance('1h')

    expect(receiver.requests).toHaveLength(length)
    expect(await listed(engine)).toEqual(before)
  })

  test('counts in a dry run what it then sends', async () => {
    const { engine, replay, receiver } = await setupReplay({ events: ['agent.*', 'session.*'] })
    await makeCredential(engine)
    await makeSession(engine)
    await engine.clock.advance('1s')
    const { length } = receiver.requests
    const { events } = await replay({ dryRun: true })

    expect(await replay()).toEqual({ events })
    expect(receiver.requests.length - length).toBe(events)
  })

  test('sends what was before the destination', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    const events = await emitHourly(engine, 3)
    const destination = await activate(engine, receiver.url)
    await engine.clock.advance('1s')
    expect(idsAt(receiver)).toEqual([])

    expect(await deliveriesOf(engine).replay({ destination: destination.id })).toEqual({
      events: 3,
    })
    await engine.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(idsOf(events).sort())
  })

  test('sends what was passed over', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    await command(engine, destination, 'deactivate')
    const events = await emitHourly(engine, 3)
    await command(engine, destination, 'reactivate', { from: 'now' })
    await engine.clock.advance('1s')

    await deliveriesOf(engine).replay({ destination: destination.id })
    await engine.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(idsOf(events).sort())
  })

  test('sends nothing about the destination itself, nothing internal, nothing of other tenants', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    await makeCredential(engine)
    await emit(engine.tenant('other'))
    await command(engine, destination, 'deactivate')
    await command(engine, destination, 'reactivate')
    await engine.clock.advance('1s')
    await deliveriesOf(engine).replay({ destination: destination.id })
    await engine.clock.advance('1s')

    expect(new Set(receiver.events.map(({ type }) => type))).toEqual(
      new Set(['source.created', 'credential.created']),
    )
  })

  test('keeps the order of each resource, and one at a time', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const { data } = await emit(engine)
    for (let n = 0; n < 20; n++) await rename(engine, String(data.id), `name ${n}`)
    await engine.clock.advance('1s')
    await deliveriesOf(engine).replay({ destination: destination.id })
    await engine.clock.advance('1s')

    const ids = idsAt(receiver)
    expect(ids).toHaveLength(42)
    expect(ids.slice(21)).toEqual(ids.slice(0, 21))
    expect(receiver.mostInFlightPerResource).toBe(1)
  })

  test('does not send twice what is on its way', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    receiver.behave(status(500))
    const event = await emit(engine)
    await engine.clock.advance('1s')
    receiver.behave(status(200))
    await deliveriesOf(engine).replay({ destination: destination.id })
    await engine.clock.advance('100h')

    expect(idsOf(receiver.events)).toEqual([event.id])
  })

  test('asked for twice sends everything once more', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    const event = await emit(engine)
    await engine.clock.advance('1s')
    const { replay } = deliveriesOf(engine)
    await Promise.all([1, 2].map(() => replay({ destination: destination.id })))
    await engine.clock.advance('1h')

    expect(idsAt(receiver)).toEqual([event.id, event.id])
  })

  test('does not delay what is new', async () => {
    const { engine, receiver, destination } = await setupDelivery()
    for (let n = 0; n < 300; n++) await emit(engine, 'old')
    await engine.clock.advance('1s')
    await deliveriesOf(engine).replay({ destination: destination.id })
    const fresh = await emit(engine, 'new')
    await engine.clock.advance('1s')

    const ids = idsAt(receiver).slice(300)
    expect(ids).toHaveLength(301)
    expect(ids.indexOf(fresh.id)).toBeLessThan(150)
  })

  test('goes on after a restart', async () => {
    const options = { database: temporaryFile(), delivery: LOCAL }
    const receiver = await setupReceiver()
    const before = await openEngine(options)
    const events = await emitHourly(before, 5)
    const destination = await activate(before, receiver.url)
    await deliveriesOf(before).replay({ destination: destination.id })
    const after = await reopen(before, options)
    onTestFinished(() => after.close())
    await after.clock.advance('1s')

    expect(idsAt(receiver).sort()).toEqual(idsOf(events).sort())
  })

  test('sends thousands of events', async () => {
    const receiver = await setupReceiver()
    const engine = await setupDelivering()
    await Promise.all(Array.from({ length: 1200 }, () => emit(engine)))
    const destination = await activate(engine, receiver.url)

    const { events } = await deliveriesOf(engine).replay({ destination: destination.id })
    await engine.clock.advance('1s')

    expect(events).toBe(1200)
    expect(new Set(idsAt(receiver)).size).toBe(1200)
  })

  test.each(['deactivate', 'delete'])('is refused after %s', async (type) => {
    const { engine, destination } = await setupDelivery()
    await command(engine, destination, type)

    for (const dryRun of [true, false]) {
      const replay = deliveriesOf(engine).replay({ destination: destination.id, dryRun })
      const error = await failureOf(replay)
      expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reference' })
    }
  })

  test('finds no destination that is not there, or is of another tenant', async () => {
    const { engine, destination } = await setupDelivery()
    const other = deliveriesOf(engine.tenant('other'))

    const nothing = await failureOf(deliveriesOf(engine).replay({ destination: 'evtd_nothing' }))
    const foreign = await failureOf(other.replay({ destination: destination.id }))

    expect([nothing.code, foreign.code]).toEqual(['not_found', 'not_found'])
  })

  test.each([
    ['since', 'yesterday'],
    ['until', {}],
    ['type', 7],
    ['type', 'agent.unheard_of'],
    ['type', []],
    ['dryRun', 'yes'],
    ['from', 'start'],
  ])('cannot have %s %j', async (name, value) => {
    const { engine, destination } = await setupDelivery()

    const error = await failureOf(
      deliveriesOf(engine).replay({ destination: destination.id, [name]: value }),
    )

    expect(error).toMatchObject({ code: 'invalid_input', issues: [{ path: [name] }] })
  })

  test.each([undefined, null, {}, { destination: 7 }, 'evtd_1'])(
    'cannot be asked for with %j',
    async (options) => {
      const { engine } = await setupDelivery()

      expect((await failureOf(() => deliveriesOf(engine).replay(options))).code).toBe(
        'invalid_input',
      )
    },
  )
})
