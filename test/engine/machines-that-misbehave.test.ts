import { describe, expect, test } from 'vitest'
import { assign, createMachine, emit, enqueueActions, raise } from 'xstate'
import { fullLog, handleOf, setupEngine, typesOf } from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { explode, openThing, rootCause, withThings } from '../support/things.ts'

describe('a machine that throws', () => {
  const go = (transition: object) =>
    createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: { calm: { on: { go: transition, rest: { target: 'resting' } } }, resting: {} },
    })

  test.each([
    ['a guard', go({ target: 'resting', guard: explode })],
    ['an assign', go({ target: 'resting', actions: assign(explode) })],
    ['the argument of an emit', go({ actions: emit(explode as () => { type: string }) })],
    ['a delay', go({ actions: raise({ type: 'rest' }, { delay: explode as () => number }) })],
    ['enqueueActions', go({ actions: enqueueActions(explode) })],
  ])('in %s fails that command alone', async (_, machine) => {
    const { engine, things, id } = await openThing(machine)
    const before = await fullLog(engine)

    const error = await caught(() => things.send(id, { type: 'go' }))

    expect(viewOf(error)).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(rootCause(error)).toContain('the machine exploded')
    expect(await fullLog(engine)).toEqual(before)
    expect((await things.send(id, { type: 'rest' })).resource.status).toBe('resting')
  })

  test('in its first context creates nothing', async () => {
    const engine = await setupEngine(
      withThings(createMachine({ context: explode, initial: 'a', states: { a: {} } })),
    )

    const error = await failureOf(handleOf(engine, 'things').create({}))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(await fullLog(engine)).toEqual([])
  })

  test('in a timer keeps no other timer from firing', async () => {
    const errors: unknown[] = []
    const machine = createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: {
        calm: {
          on: { go: { actions: assign({ n: ({ event }) => event.n }) } },
          after: { 10: 'late' },
        },
        late: { entry: assign(({ context }) => (context.n > 0 ? explode() : {})) },
      },
    })
    const { engine, things, id } = await openThing(
      machine,
      {},
      {
        onError: (error: unknown) => errors.push(error),
      },
    )
    const other = (await things.create({})).resource.id
    await things.send(id, { type: 'go', n: 1 })

    await engine.clock.advance(10)

    expect((await things.get(other)).status).toBe('late')
    expect(await things.get(id)).toMatchObject({ status: 'calm', version: 2 })
    expect(errors.map(rootCause)).toContain('the machine exploded')
    expect((await things.send(id, { type: 'go', n: 2 })).changed).toBe(true)
  })
})

describe('a machine that never rests', () => {
  const counting = (limit: number) =>
    createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: {
        calm: { on: { go: 'dizzy' } },
        dizzy: {
          always: {
            guard: ({ context }) => context.n < limit,
            actions: assign({ n: ({ context }) => context.n + 1 }),
          },
        },
      },
    })

  test('is invalid, by name and state', async () => {
    const { engine, things, id } = await openThing(counting(Number.POSITIVE_INFINITY))
    const before = await fullLog(engine)

    const error = await failureOf(things.send(id, { type: 'go' }))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toContain('thing')
    expect(error.message).toMatch(/calm|dizzy/)
    expect(await fullLog(engine)).toEqual(before)
    expect((await things.get(id)).status).toBe('calm')
  })

  test('may take 900 microsteps', async () => {
    const { things, id } = await openThing(counting(900))

    expect((await things.send(id, { type: 'go' })).resource).toMatchObject({ n: 900, version: 2 })
  })

  test('is invalid where it swings between two states or raises for ever', async () => {
    const swinging = createMachine({
      initial: 'calm',
      states: { calm: { on: { go: 'tick' } }, tick: { always: 'tock' }, tock: { always: 'tick' } },
    })
    const raising = createMachine({
      initial: 'calm',
      states: { calm: { on: { go: { actions: raise({ type: 'go' }) } } } },
    })
    for (const machine of [swinging, raising]) {
      const error = await failureOf(async () => {
        const { things, id } = await openThing(machine)
        await things.send(id, { type: 'go' })
      })
      expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    }
  })
})

function kindOf(event: object): unknown {
  return 'kind' in event ? event.kind : undefined
}

describe('a machine that emits', () => {
  const naming = createMachine({
    initial: 'calm',
    states: {
      calm: { on: { go: { actions: emit(({ event }) => ({ type: String(kindOf(event)) })) } } },
    },
  })

  test('what it declared is public', async () => {
    const { things, id } = await openThing(naming, { events: ['thing.said'] })

    const { events } = await things.send(id, { type: 'go', kind: 'thing.said' })

    expect(typesOf(events)).toEqual(['thing.said'])
  })

  test.each(['thing.sung', 'session.idle', '', '__proto__'])(
    'what it did not declare is invalid: %j',
    async (kind) => {
      const { engine, things, id } = await openThing(naming, { events: ['thing.said'] })
      const before = await fullLog(engine)

      const error = await failureOf(things.send(id, { type: 'go', kind }))

      expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
      expect(await fullLog(engine)).toEqual(before)
    },
  )

  test('inside enqueueActions is seen', async () => {
    const machine = createMachine({
      initial: 'calm',
      states: {
        calm: {
          on: {
            go: { actions: enqueueActions(({ enqueue }) => enqueue.emit({ type: 'thing.said' })) },
          },
        },
      },
    })
    const { things, id } = await openThing(machine, { events: ['thing.said'] })

    expect(typesOf((await things.send(id, { type: 'go' })).events)).toEqual(['thing.said'])
  })
})

describe('a context that is not JSON', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic

  test.each<[string, unknown]>([
    ['a Date', new Date(0)],
    ['a Map', new Map()],
    ['a function', () => 1],
    ['NaN', Number.NaN],
    ['a BigInt', 1n],
    ['a cycle', cyclic],
    ['a sparse list', Array(3)],
    ['a lone surrogate', '\ud800'],
  ])('is invalid: %s', async (_, value) => {
    const machine = createMachine({
      context: { value: null as unknown },
      initial: 'calm',
      states: {
        calm: { on: { go: { actions: assign({ value: () => value }) }, rest: 'end' } },
        end: {},
      },
    })
    const { engine, things, id } = await openThing(machine)
    const before = await fullLog(engine)

    const error = await failureOf(things.send(id, { type: 'go' }))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(await fullLog(engine)).toEqual(before)
    expect((await things.send(id, { type: 'rest' })).resource.status).toBe('end')
  })
})
