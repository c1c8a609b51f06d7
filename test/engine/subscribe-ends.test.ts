import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyEvent, openEngine, setupEngine, setupRealEngine } from '../support/engine.ts'
import { drain, follow, makeAgents, refusal, take } from '../support/follow.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeAgent } from '../support/world.ts'

describe('a subscription ends', () => {
  test('when its reader leaves, and lets the signal go', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 3)
    const { signal } = new AbortController()

    await take(engine.events.subscribe({ from: 'start', signal }), 1)
    const events = follow(engine, { signal })
    await events.next()
    await events.return?.()

    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(await events.next()).toMatchObject({ done: true })
  })

  test('by a signal, while it waits', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 3)
    const stopper = new AbortController()
    const { signal } = stopper
    const reading = drain(engine.events.subscribe({ from: 'start', signal }), signal)

    for (let turn = 0; turn < 20; turn++) await setImmediate()
    stopper.abort()

    expect((await reading).length).toBeLessThanOrEqual(3)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('by a signal, in the middle of the history', async () => {
    const engine = await setupRealEngine()
    await Promise.all(Array.from({ length: 10 }, () => makeAgents(engine, 60)))
    const stopper = new AbortController()
    const { signal } = stopper
    const seen: AnyEvent[] = []

    const events = (async function* () {
      for await (const event of engine.events.subscribe({ from: 'start', signal })) {
        seen.push(event)
        if (seen.length === 3) stopper.abort()
        yield event
      }
    })()
    await drain(events, signal)

    expect(seen).toHaveLength(3)
  })

  test('at once, by a signal that has been aborted before', async () => {
    const engine = await setupEngine()
    await makeAgents(engine, 3)
    const signal = AbortSignal.abort()

    expect(await drain(engine.events.subscribe({ from: 'start', signal }), signal)).toEqual([])
  })

  test('with the engine, whether it waits or its reader does', async () => {
    const engine = await openEngine()
    await makeAgents(engine, 3)
    const paused = follow(engine, {})
    await paused.next()
    const waiting = Array.from({ length: 20 }, () => follow(engine, { from: 'now' }).next())
    const reader = follow(engine, {})
    for (let seq = 1; seq <= 3; seq++) expect((await reader.next()).value.seq).toBe(seq)
    const reading = reader.next()

    await engine.close()

    for (const next of waiting) expect(await next).toMatchObject({ done: true })
    expect(await reading).toMatchObject({ done: true })
    expect(await paused.next()).toMatchObject({ done: true })
  })

  test('with the engine, and leaves nothing behind: the process ends by itself', async () => {
    const script = fileURLToPath(new URL('../support/following-process.ts', import.meta.url))
    const args = ['--import', 'tsx', script, 'follow', temporaryFile()]
    const child = spawn(process.execPath, args, { stdio: 'inherit' })
    onTestFinished(() => void child.kill())

    expect((await once(child, 'exit'))[0]).toBe(0)
  })
})

describe('a subscription is refused', () => {
  test.each([
    { from: 'garbage' },
    { from: 5 },
    { from: null },
    { from: new Date(Number.NaN) },
    { type: 5 },
    { type: [] },
    { type: '' },
    { resource: 5 },
    { signal: 'stop' },
    { form: 'start' },
  ])('with %o', async (filter) => {
    const engine = await setupEngine()
    await makeAgent(engine)

    const error = await refusal(engine, { from: 'start', ...filter })

    expect(error.code).toBe('invalid_input')
    expect(error.issues?.length).toBeGreaterThan(0)
  })

  test.each([['session.exploded'], ['nothing.*'], ['sess*'], [['session.idle', 'sesion.idle']]])(
    'where it would never give anything: type %j',
    async (type) => {
      const engine = await setupEngine()

      expect((await refusal(engine, { from: 'start', type })).code).toBe('invalid_input')
    },
  )

  test('for a resource that does not exist, or is of another tenant', async () => {
    const engine = await setupEngine()
    const { id } = await makeAgent(engine.tenant('acme'))

    for (const resource of ['agt_none', id]) {
      const error = await refusal(engine, { from: 'start', resource })
      expect(error).toMatchObject({ code: 'not_found', resource_id: resource })
    }
  })

  test('with the position of another database', async () => {
    const engine = await setupEngine()
    const other = await setupEngine()
    await makeAgents(other, 5)
    await makeAgents(engine, 1)
    const { data, next_cursor } = await other.events.list({ order: 'asc', limit: 3 })

    for (const from of [data[1]?.id, next_cursor]) {
      expect((await refusal(engine, { from })).code).toBe('invalid_input')
    }
  })

  test('when the engine has been closed', async () => {
    const engine = await openEngine()
    await engine.close()

    expect((await refusal(engine, { from: 'start' })).code).toBe('closed')
  })
})
