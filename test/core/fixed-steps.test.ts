import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, emit, enqueueActions, raise } from 'xstate'
import { z } from 'zod'
import { type Decision, decide } from '../../src/core/decide.ts'
import { define } from '../support/define.ts'
import { nothing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

interface Seen {
  readonly context: { readonly n: number }
}

/** A resource whose context is what it is created with, and what its machine decides about it. */
function setup(config: object, parts: object = {}, provided: object = {}) {
  const machine = createMachine({
    context: ({ input }: { input: object }) => ({ n: 0, ...input }),
    initial: 'calm',
    ...config,
  } as object).provide(provided)
  const world = openWorld({
    things: define({
      ...{ type: 'thing', prefix: 'thg', input: z.looseObject({}) },
      ...{ commands: { go: z.looseObject({}), rest: nothing } },
      ...{ events: ['thing.went', 'thing.rested'], machine: machine as AnyStateMachine },
      ...parts,
    }),
  })
  const kind = world.kind('thing')
  return {
    world,
    kind,
    rowWith: (input: object) => {
      const { id } = world.create('thing', input)
      return world.row(id) ?? expect.fail()
    },
    go: (row: Parameters<typeof decide>[1], payload: object = {}, time = 1000) =>
      decide(kind, row, { ...payload, type: 'go' }, { id: row.id, time }),
    isRemembered: () => [...kind.fixedSteps.values()].some((step) => step !== null),
  }
}

/** What can be compared of a decision. */
function told(decision: Decision | undefined) {
  if (decision === undefined) return undefined
  const { state, emitted, timers, actions, tells } = decision
  return { state, emitted, timers, actions: actions.length, tells: tells.length }
}

const went = emit({ type: 'thing.went' })
/** Does something to a resource that is beyond 1, and nothing to others. */
const reset = assign(({ context }: Seen) => (context.n > 1 ? { n: 0 } : {}))
const sometimes = enqueueActions(({ context, enqueue }) => {
  if ((context as { n: number }).n > 1) enqueue.emit({ type: 'thing.rested' })
})
const isSmall = ({ context }: Seen) => context.n <= 1
const byContext = emit(({ context }: Seen) => ({
  type: context.n > 1 ? 'thing.rested' : 'thing.went',
}))
const again = raise(({ context }: Seen) => ({ type: context.n > 1 ? 'rest' : 'nobody' }))

describe('a step is taken anew each time where', () => {
  const calm = (go: unknown, more: object = {}) => ({ calm: { on: { go }, ...more }, gone: {} })

  // With 1 each of these leads somewhere else, or tells something else, than with 2.
  test.each<[string, object]>([
    [
      'a guard decides',
      { states: { ...calm([{ guard: isSmall, target: 'gone' }, { target: 'other' }]), other: {} } },
    ],
    [
      'a guard says no, and the parent takes it',
      { on: { go: '.other' }, states: { ...calm({ guard: isSmall, target: 'gone' }), other: {} } },
    ],
    [
      'the transition of the parent has a guard',
      {
        on: { go: [{ guard: isSmall, target: '.gone' }, '.calm'] },
        states: { calm: {}, gone: {} },
      },
    ],
    [
      'a wildcard has a guard',
      {
        states: {
          calm: { on: { '*': [{ guard: isSmall, target: 'gone' }, { target: 'other' }] } },
          ...{ gone: {}, other: {} },
        },
      },
    ],
    [
      'a guard in another region decides',
      {
        type: 'parallel',
        ...{ initial: undefined },
        states: {
          left: { initial: 'one', states: { one: { on: { go: 'two' } }, two: {} } },
          right: {
            initial: 'one',
            states: { one: { on: { go: { guard: isSmall, target: 'two' } } }, two: {} },
          },
        },
      },
    ],
    ['it assigns', { states: calm({ actions: reset }) }],
    ['it enqueues', { states: calm({ actions: sometimes }) }],
    ['it emits what a function says', { states: calm({ actions: byContext }) }],
    [
      'it raises what a function says',
      { states: { calm: { on: { go: { actions: again }, rest: 'gone' } }, gone: {} } },
    ],
    [
      'the entry of the target assigns',
      { states: { calm: { on: { go: 'gone' } }, gone: { entry: reset } } },
    ],
    [
      'the entry of the target emits what a function says',
      { states: { calm: { on: { go: 'gone' } }, gone: { entry: byContext } } },
    ],
    ['the exit of the source assigns', { states: calm('gone', { exit: reset }) }],
    [
      'the exit of the source emits what a function says',
      { states: calm('gone', { exit: byContext }) },
    ],
    [
      'the way into a nested state assigns',
      {
        states: {
          calm: { on: { go: 'gone' } },
          gone: { initial: { target: 'deep', actions: reset }, states: { deep: {} } },
        },
      },
    ],
    [
      'the way into a nested state enqueues',
      {
        states: {
          calm: { on: { go: 'gone' } },
          gone: { initial: { target: 'deep', actions: sometimes }, states: { deep: {} } },
        },
      },
    ],
    [
      'the way into a nested state emits what a function says',
      {
        states: {
          calm: { on: { go: 'gone' } },
          gone: { initial: { target: 'deep', actions: byContext }, states: { deep: {} } },
        },
      },
    ],
    [
      'the target goes on at once',
      {
        states: {
          calm: { on: { go: 'gone' } },
          gone: { always: { guard: ({ context }: Seen) => context.n > 1, target: 'other' } },
          other: {},
        },
      },
    ],
    [
      'an event sets a timer by a function',
      {
        states: {
          calm: { on: { go: 'gone' } },
          gone: { after: { wait: 'calm' } },
        },
      },
    ],
  ])('%s', (_, config) => {
    const delays = { wait: ({ context }: Seen) => (context.n > 1 ? 7 : 5) }
    const decided = (order: readonly number[]) => {
      const { go, rowWith, isRemembered } = setup(config, {}, { delays })
      const all = order.map((n) => [n, told(go(rowWith({ n })))] as const)
      return { by: Object.fromEntries(all), all, isRemembered: isRemembered() }
    }
    const [alone, other] = [decided([1]), decided([2])]
    expect(alone.by[1]).not.toEqual(other.by[2])

    const one = decided([1, 2, 1, 2])

    for (const [n, decision] of one.all)
      expect(decision, `with ${n}`).toEqual((n === 1 ? alone : other).by[n])
    expect(one.isRemembered).toBe(false)
  })

  test('a guard is asked, whatever it has said before', () => {
    const answers = [true, false, true, true, false]
    let asked = 0
    const guard = () => answers[asked++] ?? true
    const { go, rowWith, isRemembered } = setup({
      states: { calm: { on: { go: { guard, target: 'gone' } } }, gone: {} },
    })
    const row = rowWith({})

    const found = answers.map(() => go(row)?.state.status)

    expect(found).toEqual(['gone', undefined, 'gone', 'gone', undefined])
    expect([asked, isRemembered()]).toEqual([5, false])
  })

  test.each([
    ['inline', () => {}],
    ['by its name', 'act'],
    ['with parameters', { type: 'act', params: { loud: true } }],
  ])('an action of the user runs: %s', (_, action) => {
    for (const states of [
      calm({ target: 'gone', actions: action }),
      { calm: { on: { go: 'gone' } }, gone: { entry: action } },
      calm('gone', { exit: action }),
    ]) {
      const { go, rowWith, isRemembered } = setup({ states }, {}, { actions: { act: () => {} } })
      const row = rowWith({})

      expect([go(row), go(row), go(row)].map((each) => each?.actions.length)).toEqual([1, 1, 1])
      expect(isRemembered()).toBe(false)
    }
  })

  test('a timer is set or called off', () => {
    const states = {
      calm: { on: { go: 'gone' } },
      gone: { after: { 10: 'calm' }, on: { go: 'calm' } },
    }
    const { world, go, rowWith, isRemembered } = setup({ states })
    const row = rowWith({})
    const dueAt = (time: number) =>
      go(row, {}, time)?.timers.map((timer) => (timer.effect === 'set' ? timer.dueAt : null))

    expect([dueAt(1000), dueAt(2000)]).toEqual([[1010], [2010]])
    world.send(row.id, 'go')
    const gone = world.row(row.id) ?? expect.fail()
    expect([go(gone), go(gone)].map((each) => each?.timers.length)).toEqual([1, 1])
    expect(isRemembered()).toBe(false)
  })

  test('the resource ends', () => {
    const states = { calm: { on: { go: 'gone' } }, gone: { type: 'final' } }
    const { go, rowWith, isRemembered } = setup({ states })

    for (const n of [1, 2]) {
      expect(go(rowWith({ n }))?.state).toMatchObject({ final: true, context: `{"n":${n}}` })
    }
    expect(isRemembered()).toBe(false)
  })

  test('a state has been remembered', () => {
    const on = {
      initial: 'one',
      states: { one: { on: { rest: 'two' } }, two: {}, last: { type: 'history' } },
      on: { go: 'calm' },
    }
    const { world, go, rowWith } = setup({ states: { calm: { on: { go: 'on.last' } }, on } })
    const [fresh, one, two] = [rowWith({}), rowWith({}), rowWith({})]
    for (const { id } of [one, two]) world.send(id, 'go')
    world.send(two.id, 'rest')
    for (const { id } of [one, two]) world.send(id, 'go')
    const now = (id: string) => world.row(id) ?? expect.fail()
    const statuses = () => [fresh, two, one].map(({ id }) => go(now(id))?.state.status)

    expect(statuses()).toEqual(['one', 'two', 'one'])
    expect(statuses()).toEqual(['one', 'two', 'one'])
  })

  test('the definition names the statuses', () => {
    const status = ({ context }: { context: object }) =>
      (context as { n: number }).n > 1 ? 'large' : 'small'
    const states = { calm: { on: { go: { target: 'gone', actions: went } } }, gone: {} }
    const { go, rowWith, isRemembered } = setup({ states }, { status })

    const found = [1, 2, 1].map((n) => go(rowWith({ n })))

    expect(found.map((each) => each?.state.status)).toEqual(['small', 'large', 'small'])
    expect(found.map((each) => each?.emitted[0]?.status)).toEqual(['small', 'large', 'small'])
    expect(isRemembered()).toBe(false)
  })

  test('it is not accepted', () => {
    const { go, rowWith, isRemembered } = setup({ states: { calm: { on: { rest: {} } } } })
    const row = rowWith({})

    expect([go(row), go(row)]).toEqual([undefined, undefined])
    expect(isRemembered()).toBe(false)
  })
})

describe('a step is remembered where nothing but the state decides', () => {
  const nested = { initial: 'deep', states: { deep: {} } }

  test.each<[string, object, string]>([
    ['an emit', { calm: { on: { go: { target: 'gone', actions: went } } }, gone: {} }, 'gone'],
    [
      'emits on the way',
      { calm: { on: { go: 'gone' }, exit: went }, gone: { entry: went } },
      'gone',
    ],
    [
      'a nested target',
      { calm: { on: { go: { target: 'gone', actions: went } } }, gone: nested },
      'deep',
    ],
    ['staying', { calm: { on: { go: { actions: went } } } }, 'calm'],
    ['a wildcard', { calm: { on: { '*': { target: 'gone', actions: went } } }, gone: {} }, 'gone'],
  ])('%s, and shows the resource at hand', (_, states, status) => {
    const { go, rowWith, isRemembered } = setup({ states })
    const first = told(go(rowWith({ n: 1 })))
    expect(isRemembered()).toBe(true)

    for (const input of [{ n: 2 }, { n: 3, more: ['x'] }, { n: 1 }]) {
      const decision = told(go(rowWith(input), { payload: 7 }))

      expect(decision?.state).toEqual({
        ...first?.state,
        ...{ status, context: JSON.stringify(input) },
      })
      expect(decision?.emitted).toEqual(
        first?.emitted.map((event) => ({ ...event, context: input })),
      )
      expect(decision?.emitted.length).toBeGreaterThan(0)
      expect(decision).toMatchObject({ timers: [], actions: 0, tells: 0 })
    }
  })

  test('gives each resource a context of its own', () => {
    const states = { calm: { on: { go: { actions: went } } } }
    const { go, rowWith } = setup({ states })
    const row = rowWith({ n: 1 })
    go(row)

    const [one, other] = [go(row), go(row)]

    expect(one?.emitted[0]?.context).toEqual(other?.emitted[0]?.context)
    expect(one?.emitted[0]?.context).not.toBe(other?.emitted[0]?.context)
  })

  test('by state and command: the same command elsewhere, or another one, leads elsewhere', () => {
    const states = {
      calm: { on: { go: 'gone', rest: 'calm' } },
      gone: { on: { go: 'calm' } },
    }
    const { world, kind, go, rowWith } = setup({ states })
    const row = rowWith({})
    const rest = () => decide(kind, row, { type: 'rest' }, { id: row.id, time: 1 })?.state.status

    expect([go(row)?.state.status, rest()]).toEqual(['gone', 'calm'])
    world.send(row.id, 'go')
    expect(go(world.row(row.id) ?? expect.fail())?.state.status).toBe('calm')
    expect([go(row)?.state.status, rest()]).toEqual(['gone', 'calm'])
  })
})
