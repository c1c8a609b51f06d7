import { describe, expect, test } from 'vitest'
import { assign, createMachine, emit, enqueueActions, raise, setup } from 'xstate'
import {
  actionName,
  allActions,
  allStates,
  builtinType,
  causeOf,
  implementation,
  staticEmits,
} from '../../src/core/structure.ts'

const idsOf = (machine: Parameters<typeof allStates>[0]) => allStates(machine).map(({ id }) => id)

describe('all states', () => {
  test('are the root and all below it, in document order', () => {
    const machine = createMachine({
      id: 'm',
      initial: 'a',
      states: {
        a: { initial: 'x', states: { x: {}, h: { type: 'history' } } },
        p: {
          type: 'parallel',
          states: { y: {}, z: { initial: 'f', states: { f: { type: 'final' } } } },
        },
      },
    })

    expect(idsOf(machine)).toEqual([
      ...['m', 'm.a', 'm.a.x', 'm.a.h'],
      ...['m.p', 'm.p.y', 'm.p.z', 'm.p.z.f'],
    ])
  })

  test('of a machine without any are its root', () => {
    expect(idsOf(createMachine({ id: 'm' }))).toEqual(['m'])
  })
})

describe('all actions', () => {
  test('are those on the way in and out, of the first state, and of every transition', () => {
    const machine = createMachine({
      id: 'm',
      entry: 'rootEntry',
      initial: { target: 'a', actions: 'initial' } as unknown as string,
      on: { any: { actions: 'rootOn' } },
      states: {
        a: {
          entry: ['entry1', { type: 'entry2', params: { n: 1 } }],
          exit: 'exit',
          on: { go: [{ guard: () => true, actions: 'on1' }, { actions: ['on2', 'on3'] }] },
          after: { 10: { actions: 'after' } },
          always: { guard: () => false, actions: 'always' },
        },
        p: { type: 'parallel', states: { y: { onDone: { actions: 'done' } } } },
      },
    } as object)

    const found = allActions(machine).map(
      ({ state, action }) => `${state.id} ${actionName(action)}`,
    )

    const named = found.filter((line) => !/undefined|xstate\./.test(line))
    expect(named).toEqual([
      ...['m rootEntry', 'm initial', 'm rootOn'],
      ...['m.a entry1', 'm.a entry2', 'm.a exit', 'm.a on1', 'm.a on2', 'm.a on3', 'm.a after'],
      ...['m.a always', 'm.p.y done'],
    ])
  })
})

describe('the static emits', () => {
  test('are those whose types can be seen, each once', () => {
    const machine = setup({
      actions: { named: emit({ type: 'thing.named' }), unused: emit({ type: 'thing.unused' }) },
    }).createMachine({
      entry: [
        emit({ type: 'thing.made' }),
        emit(() => ({ type: 'thing.computed' })),
        enqueueActions(({ enqueue }) => enqueue.emit({ type: 'thing.enqueued' })),
        raise({ type: 'thing.raised' }),
        'named',
      ],
      on: { go: { actions: emit({ type: 'thing.made' }) } },
    } as object)

    expect(staticEmits(machine)).toEqual(['thing.made', 'thing.named'])
  })
})

describe('an action', () => {
  const inline = () => {}
  const machine = setup({ actions: { named: inline } }).createMachine({})

  test.each([
    ['a name', 'named', 'named', inline],
    ['a name with parameters', { type: 'named', params: {} }, 'named', inline],
    ['a name that nobody implements', 'unheard', 'unheard', undefined],
    ['a function', inline, undefined, inline],
    ['an object without a name', {}, undefined, {}],
    ['nothing', null, undefined, null],
  ])('given as %s', (_, action, name, behind) => {
    expect(actionName(action)).toBe(name)
    expect(implementation(machine, action)).toEqual(behind)
  })

  test.each([
    ['emit', emit({ type: 'x' }), 'xstate.emit'],
    ['assign', assign({}), 'xstate.assign'],
    ['a function', inline, undefined],
    ['a name', 'xstate.emit', undefined],
    ['nothing', null, undefined],
  ])('of XState has its type: %s', (_, action, type) => {
    expect(builtinType(action)).toBe(type)
  })
})

describe('the cause of a change', () => {
  const nodes = new Map(['m', 'm.a', 'm.a.b', 'a', 'custom id', 'm.a.5'].map((id) => [id, null]))

  test.each([
    ['go', 'go'],
    ['order.paid', 'order.paid'],
    ['xstate.after.600000.m.a', '600000'],
    ['xstate.after.600000.m.a.b', '600000'],
    ['xstate.after.idle.m', 'idle'],
    ['xstate.after.idle.timeout.m.a', 'idle.timeout'],
    ['xstate.after.0.5.m', '0.5'],
    ['xstate.after.idle.custom id', 'idle'],
    ['xstate.after.idle.unknown', 'idle.unknown'],
  ])('of the event %s is %s', (event, cause) => {
    expect(causeOf(nodes, event)).toBe(cause)
  })
})
