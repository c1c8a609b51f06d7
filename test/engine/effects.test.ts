import { describe, expect, onTestFinished, test } from 'vitest'
import { assign, createMachine, emit, log, raise, setup } from 'xstate'
import { z } from 'zod'
import { isPawlError, tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import {
  type AnyTestEngine,
  allTimers,
  fullLog,
  handleOf,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { explode, nothing, openThing, rootCause, withThings } from '../support/things.ts'

describe('a custom action', () => {
  function notifying(notify: (n: number) => unknown) {
    return setup({
      types: {} as { context: { n: number }; events: { type: 'go' } | { type: 'rest' } },
      actions: { notify: ({ context }) => void notify(context.n) },
    }).createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: {
        calm: {
          on: {
            go: { actions: [assign({ n: ({ context }) => context.n + 1 }), 'notify'] },
            rest: { guard: () => false },
          },
        },
      },
    })
  }

  test('runs once for each command, after the commit', async () => {
    const database = temporaryFile()
    const calls: number[] = []
    const machine = notifying((n) => calls.push(n))
    const { engine, things, id } = await openThing(machine, {}, { database })

    await things.send(id, { type: 'go' }, { idempotencyKey: 'k' })
    await things.send(id, { type: 'go' }, { idempotencyKey: 'k' })
    await failureOf(things.send(id, { type: 'rest' }))
    await failureOf(things.send(id, { type: 'go' }, { expectedVersion: 1 }))
    await things.explain(id, { type: 'go' })
    await things.send(id, { type: 'go' })
    const again = await reopen(engine, { database, ...withThings(machine) })
    onTestFinished(() => again.close())
    await again.clock.advance('1d')

    expect(calls).toEqual([1, 2])
  })

  test('is given the context of its own microstep', async () => {
    const seen: unknown[] = []
    const machine = setup({
      types: {} as { context: { n: number } },
      actions: { look: ({ context, event }) => seen.push([context, event.type]) },
    }).createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: { calm: { on: { go: { actions: [assign({ n: 5 }), 'look'] } } } },
    })
    const { things, id } = await openThing(machine)

    await things.send(id, { type: 'go' })

    expect(seen).toEqual([[{ n: 5 }, 'go']])
  })

  test('that throws disturbs nobody, and onError hears of it', async () => {
    const errors: unknown[] = []
    const machine = notifying((n) => (n === 1 ? explode() : n))
    const { things, id } = await openThing(
      machine,
      {},
      {
        onError: (error: unknown) => errors.push(error),
      },
    )

    const first = await things.send(id, { type: 'go' })
    const second = await things.send(id, { type: 'go' })

    expect([first.resource.n, second.resource.n]).toEqual([1, 2])
    expect(errors.map(rootCause)).toEqual(['the machine exploded'])
  })
})

describe('delays', () => {
  function delayed(delay: number | (() => number)) {
    return createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: {
        calm: {
          on: {
            go: { actions: raise({ type: 'rest' }, { delay: delay as number }) },
            rest: { actions: assign({ n: ({ context }) => context.n + 1 }) },
          },
        },
      },
    })
  }

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e20])('of %d are invalid', async (delay) => {
    const { engine, things, id } = await openThing(delayed(() => delay))
    const before = await fullLog(engine)

    const error = await failureOf(things.send(id, { type: 'go' }))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(await fullLog(engine)).toEqual(before)
    expect(await allTimers(engine)).toEqual([])
  })

  test('without an id never collide: each fires', async () => {
    const machine = createMachine({
      context: { heard: [] as string[] },
      initial: 'calm',
      states: {
        calm: {
          on: {
            go: {
              actions: [
                raise({ type: 'rest' }, { delay: 10 }),
                raise({ type: 'rest' }, { delay: 10 }),
                raise({ type: 'last' }, { delay: 10 }),
                raise({ type: 'first' }, { delay: 5 }),
              ],
            },
            '*': {
              actions: assign({ heard: ({ context, event }) => [...context.heard, event.type] }),
            },
          },
        },
      },
    })
    const internal = { first: nothing, last: nothing, rest: nothing, go: nothing }
    const { engine, things, id } = await openThing(machine, {
      commands: internal,
      internal: ['first', 'last'],
    })

    await things.send(id, { type: 'go' })
    expect(await allTimers(engine)).toHaveLength(4)
    await engine.clock.advance(10)

    expect((await things.get(id)).heard).toEqual(['first', 'rest', 'rest', 'last'])
    expect(await allTimers(engine)).toEqual([])
  })

  test.each([
    ['an advance of nothing', (engine: AnyTestEngine) => engine.clock.advance(0)],
    ['a tick', (engine: AnyTestEngine) => engine.tick()],
  ])('of 0 ms are timers, that %s fires', async (_, pass) => {
    const { engine, things, id } = await openThing(delayed(0))

    await things.send(id, { type: 'go' })
    expect((await things.get(id)).n).toBe(0)
    expect(await allTimers(engine)).toHaveLength(1)
    await pass(engine)

    expect((await things.get(id)).n).toBe(1)
    expect(await allTimers(engine)).toEqual([])
  })

  test('end with the resource', async () => {
    const machine = createMachine({
      initial: 'calm',
      states: {
        calm: { on: { go: { actions: raise({ type: 'go' }, { delay: 10 }) }, rest: 'end' } },
        end: { type: 'final' },
      },
    })
    const { engine, things, id } = await openThing(machine)
    await things.send(id, { type: 'go' })

    await things.send(id, { type: 'rest' })

    expect(await allTimers(engine)).toEqual([])
  })
})

describe('resources that tell each other', () => {
  const poking = createMachine({
    types: {} as { context: { peer_id: string | null }; input: { peer_id?: string } },
    context: ({ input }) => ({ peer_id: input.peer_id ?? null }),
    initial: 'calm',
    states: {
      calm: {
        on: {
          meet: { actions: assign({ peer_id: ({ event }) => event.peer_id }) },
          poke: { actions: tell('peer_id', { type: 'poke' }) },
        },
      },
    },
  })
  const peer = define({
    ...{ type: 'peer', prefix: 'peer', machine: poking, references: { peer_id: 'peer' } },
    input: z.strictObject({ peer_id: z.string().optional() }),
    commands: { poke: nothing, meet: z.strictObject({ peer_id: z.string() }) },
  })

  test('for ever are stopped, and nothing is written', async () => {
    const engine = await setupEngine({ resources: { peers: peer } })
    const peers = handleOf(engine, 'peers')
    const a = (await peers.create({})).resource.id
    const b = (await peers.create({ peer_id: a })).resource.id
    await peers.send(a, { type: 'meet', peer_id: b })
    const before = await fullLog(engine)

    const error = await failureOf(peers.send(a, { type: 'poke' }))

    expect(error.code).toBe('machine_invalid')
    expect(await fullLog(engine)).toEqual(before)
    expect((await peers.create({})).changed).toBe(true)
  })

  test('where nobody is referred to tell nobody', async () => {
    const engine = await setupEngine({ resources: { peers: peer } })
    const peers = handleOf(engine, 'peers')
    const { id } = (await peers.create({})).resource

    expect(await peers.send(id, { type: 'poke' })).toMatchObject({ changed: false, events: [] })
  })
})

test('log is ignored', async () => {
  const machine = createMachine({
    initial: 'calm',
    states: { calm: { on: { go: { actions: log('nobody reads this') } } } },
  })
  const { engine, things, id } = await openThing(machine)
  const before = await fullLog(engine)

  expect(await things.send(id, { type: 'go' })).toMatchObject({ changed: false, events: [] })
  expect(await fullLog(engine)).toEqual(before)
})

test('a summary that names what the context does not have is no leak and no crash', async () => {
  const machine = createMachine({
    context: { shown: 1, hidden: 2 },
    initial: 'calm',
    states: { calm: { on: { go: { actions: emit({ type: 'thing.went' }) } } } },
  })
  const { things, id } = await openThing(machine, { summary: ['shown'], private: ['hidden'] })

  const { events, resource } = await things.send(id, { type: 'go' })

  expect(events[0]?.data).toMatchObject({ shown: 1, status: 'calm' })
  expect(events[0]?.data).not.toHaveProperty('hidden')
  expect(resource).not.toHaveProperty('hidden')
  expect(isPawlError(resource)).toBe(false)
})
