import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type AnyEvent,
  publicLog,
  setupEngine,
  setupRealEngine,
  typesOf,
} from '../support/engine.ts'
import { follow, makeAgents, take } from '../support/follow.ts'
import { startWriter } from '../support/processes.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { until } from '../support/until.ts'
import {
  makeAgent,
  makeRunningRun,
  makeSession,
  makeTask,
  send,
  sessionOf,
} from '../support/world.ts'

describe('a subscription', () => {
  test('gives history, then live, without seam, loss or duplicate', async () => {
    const engine = await setupRealEngine({ database: temporaryFile() })
    await makeAgents(engine, 30)

    const reading = take(engine.events.subscribe({ from: 'start' }), 350)
    await Promise.all(Array.from({ length: 8 }, () => makeAgents(engine, 40)))
    const seen = await reading

    expect(seen).toEqual(await publicLog(engine))
  })

  test('gives the rest from each event on', async () => {
    const engine = await setupEngine()
    await send(engine, 'task_run', (await makeRunningRun(engine)).id, 'complete')
    const log = await publicLog(engine)

    for (const [index, { id }] of log.slice(0, -1).entries()) {
      const rest = log.slice(index + 1)
      expect(await take(engine.events.subscribe({ from: id }), rest.length)).toEqual(rest)
    }
  })

  test('goes on from the last event to the next one', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 3)
    const last = (await publicLog(engine)).at(-1)

    const next = follow(engine, { from: last?.id }).next()
    const { id } = await makeAgent(engine)

    expect((await next).value).toMatchObject({ type: 'agent.created', resource_id: id })
  })

  test('goes on from the cursor of a page', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 5)
    const page = await engine.events.list({ order: 'asc', limit: 2 })
    const log = await publicLog(engine)

    const seen = await take(engine.events.subscribe({ from: page.next_cursor }), 3)

    expect(seen).toEqual(log.slice(2))
  })

  test('begins with what happened after a time', async () => {
    const engine = await setupEngine()
    await makeAgent(engine)
    await engine.clock.advance('10s')
    const from = new Date(engine.clock.now().getTime() - 5000)
    const task = await makeTask(engine)

    const seen = await take(engine.events.subscribe({ from }), 2)

    expect(typesOf(seen)).toEqual(['agent.created', 'task.created'])
    expect(seen[1]?.resource_id).toBe(task.id)
  })

  test('that begins now gives nothing of the past', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 3)

    const events = follow(engine, { from: 'now' })
    const first = events.next()
    const made = [await makeSession(engine), await makeSession(engine)]

    expect((await first).value).toMatchObject({ resource_id: made[0]?.id })
    expect((await events.next()).value).toMatchObject({ resource_id: made[1]?.id })
  })

  test('waits for what has not happened yet', async () => {
    const engine = await setupEngine()
    let arrived = false
    const next = follow(engine, {}).next()
    void next.then(() => {
      arrived = true
    })

    for (let turn = 0; turn < 20; turn++) await setImmediate()
    expect(arrived).toBe(false)
    const { id } = await makeSession(engine)

    expect(await next).toMatchObject({ done: false, value: { resource_id: id } })
  })

  test('gives the events as they are, and none that is internal', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await send(engine, 'session', sessionOf(run), 'end')
    const log = await publicLog(engine)

    const seen = await take(engine.events.subscribe({ from: 'start' }), log.length)

    expect(seen).toEqual(log)
    for (const event of seen) expect(await engine.events.get(event.id)).toEqual(event)
  })

  test('gives what timers do', async () => {
    const engine = await setupEngine()
    const events = follow(engine, { type: 'session.failed' })
    const { id } = await makeSession(engine)
    const next = events.next()

    await engine.clock.advance('5m')

    expect((await next).value).toMatchObject({ type: 'session.failed', resource_id: id })
  })

  test('has its place to itself: every subscriber gets everything', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 10)
    const quick = take(engine.events.subscribe({ from: 'start' }), 20)
    const slow = follow(engine, {})
    await slow.next()

    await makeAgents(engine, 10)

    const log = await publicLog(engine)
    expect(await quick).toEqual(log)
    for (const event of log.slice(1)) expect((await slow.next()).value).toEqual(event)
  })
})

describe('a filter', () => {
  test.each<[unknown, string[]]>([
    ['session.idle', ['session.idle']],
    ['session.*', ['session.queued', 'session.running', 'session.idle']],
    [
      ['agent.created', 'task_run.*'],
      ['agent.created', 'task_run.queued', 'task_run.running', 'task_run.completed'],
    ],
  ])('by the type %j', async (type, expected) => {
    const engine = await setupEngine()
    const events = engine.events.subscribe({ from: 'start', type })
    const reading = take(events, expected.length)

    await send(engine, 'task_run', (await makeRunningRun(engine)).id, 'complete')
    await makeSession(engine)
    await makeAgent(engine)

    expect(typesOf(await reading)).toEqual(expected)
  })

  test('by resource, alone and together with a type', async () => {
    const engine = await setupEngine()
    const [one, other] = [await makeAgent(engine), await makeAgent(engine)]
    for (const name of ['B', 'C']) {
      await send(engine, 'agent', other.id, { type: 'update', name })
      await send(engine, 'agent', one.id, { type: 'update', name })
    }

    const own = await take(engine.events.subscribe({ from: 'start', resource: one.id }), 3)
    const renamed = { from: 'start', resource: one.id, type: 'agent.updated' }
    const updates = await take(engine.events.subscribe(renamed), 2)

    expect(typesOf(own)).toEqual(['agent.created', 'agent.updated', 'agent.updated'])
    expect(own.every((event) => event.resource_id === one.id)).toBe(true)
    expect(updates).toEqual(own.slice(1))
  })

  test('passes over any number of others', async () => {
    const engine = await setupRealEngine()
    const next = follow(engine, { type: 'session.*' }).next()
    await Promise.all(Array.from({ length: 10 }, () => makeAgents(engine, 150)))

    const { id } = await makeSession(engine)

    expect((await next).value).toMatchObject({ type: 'session.queued', resource_id: id })
  })

  test('is the tenant of the handle as well', async () => {
    const engine = await setupEngine()
    const acme = engine.tenant('acme')
    await makeAgent(engine)
    const mine = await makeAgent(acme)
    await makeSession(engine)
    const later = await makeSession(acme)

    const seen = await take(acme.events.subscribe({ from: 'start' }), 2)
    const roots = await take(engine.events.subscribe({ from: 'start' }), 2)

    expect(seen.map((event) => event.resource_id)).toEqual([mine.id, later.id])
    expect(roots.map((event) => event.tenant)).toEqual(['default', 'default'])
  })
})

/** Passes events on, and keeps them. */
async function* passing(events: AsyncIterable<AnyEvent>, seen: AnyEvent[]) {
  for await (const event of events) {
    seen.push(event)
    yield event
  }
}

describe('commits of others on the same file', () => {
  test('are seen, from another engine, soon', async () => {
    const database = temporaryFile()
    const reader = await setupRealEngine({ database })
    const writer = await setupRealEngine({ database })
    const events = follow(reader, {})
    const delays: number[] = []

    for (let round = 0; round < 15; round++) {
      const next = events.next()
      const { id } = await makeSession(writer)
      const committed = performance.now()
      expect((await next).value.resource_id).toBe(id)
      delays.push(performance.now() - committed)
    }

    // 50 ms are promised; the rest is for the machine that runs the tests.
    expect(delays.toSorted((a, b) => a - b)[7]).toBeLessThan(150)
  })

  test('are seen, from another process, in order', async () => {
    const database = temporaryFile()
    const engine = await setupRealEngine({ database })
    const { id } = await makeTask(engine)
    const writer = await startWriter(database, 1)
    onTestFinished(() => writer.stop())
    const last = (await publicLog(engine)).at(-1)
    const events = engine.events.subscribe({ from: last?.id, type: 'task.*' })
    const seen: AnyEvent[] = []
    const reading = take(passing(events, seen), Number.POSITIVE_INFINITY)

    const written = await writer.write([id])
    await until(() => seen.length >= written.length, 'the last event')
    await engine.close()

    expect(await reading).toHaveLength(written.length)
    expect(seen.map((event) => event.resource_version)).toEqual(seen.map((_, index) => index + 2))
  })
})

describe('a consumer that takes its time', () => {
  test('costs no memory that grows', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const engine = await setupRealEngine()
    const { id } = await makeAgent(engine)
    const events = follow(engine, {})
    await events.next()
    collectGarbage()
    const before = process.memoryUsage().heapUsed

    for (let batch = 0; batch < 40; batch++) {
      const updates = Array.from({ length: 200 }, (_, i) => {
        const description = `${batch} ${i} ${'x'.repeat(10_000)}`
        return send(engine, 'agent', id, { type: 'update', description }).then(() => {})
      })
      await Promise.all(updates)
    }
    collectGarbage()

    // 80 MB of events are waiting.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000)
    for (let version = 2; version <= 8001; version++) {
      const { value } = await events.next()
      if (value.resource_version !== version) expect(value.resource_version).toBe(version)
    }
  })

  test('keeps no read transaction open', async () => {
    const database = temporaryFile()
    const engine = await setupRealEngine({ database })
    await makeAgents(engine, 300)
    const events = follow(engine, {})
    await events.next()
    await makeAgents(engine, 50)

    const [result] = openRaw(database).pragma('wal_checkpoint(truncate)') as { busy: number }[]

    expect(result?.busy).toBe(0)
    expect((await events.next()).value.seq).toBe(2)
  })
})
