import { describe, expect, test } from 'vitest'
import {
  type AnyStateMachine,
  and,
  assign,
  cancel,
  createMachine,
  emit,
  enqueueActions,
  fromPromise,
  log,
  not,
  raise,
  sendTo,
  setup,
  spawnChild,
  stateIn,
  stopChild,
} from 'xstate'
import { createRegistry } from '../../src/core/registry.ts'
import { failureOf } from '../support/errors.ts'
import { thing } from '../support/things.ts'

function register(machine: AnyStateMachine): void {
  createRegistry({ things: thing(machine) }, String)
}

/** Why a machine with such states is refused. */
async function reasonOf(states: object, parts: object = {}): Promise<string | undefined> {
  const machine = createMachine({ initial: Object.keys(states)[0], states, ...parts } as object)
  const { code, message } = await failureOf(() => register(machine))
  expect(code).toBe('machine_invalid')
  return /^the machine of "thing" cannot work: (.*)$/.exec(message)?.[1]
}

const later = fromPromise(async () => 1)
const deep = (inner: object) => ({ outer: { initial: 'inner', states: { inner } } })

describe('a machine is refused with the state at fault', () => {
  test.each<[string, object, string]>([
    ['invokes', { a: { invoke: { src: later } } }, 'state "a" uses invoke, which is not supported'],
    [
      'invokes deep within',
      deep({ invoke: { src: later } }),
      'state "outer.inner" uses invoke, which is not supported',
    ],
    [
      'names an unknown guard',
      { a: { on: { go: { guard: 'may' } } } },
      'state "a" uses the guard "may", which is not implemented',
    ],
    [
      'names an unknown guard with parameters',
      { a: { on: { go: { guard: { type: 'may', params: { n: 1 } } } } } },
      'state "a" uses the guard "may", which is not implemented',
    ],
    [
      'names an unknown guard of a transition that goes by itself',
      { a: { always: { guard: 'may', target: 'b' } }, b: {} },
      'state "a" uses the guard "may", which is not implemented',
    ],
    [
      'names an unknown guard within others',
      { a: { on: { go: { guard: and([stateIn('a'), not('may')]) } } } },
      'state "a" uses the guard "may", which is not implemented',
    ],
    [
      'names a guard that only all objects have',
      { a: { on: { go: { guard: 'toString' } } } },
      'state "a" uses the guard "toString", which is not implemented',
    ],
    [
      'names an unknown delay of its own',
      { a: { after: { soon: 'b' } }, b: {} },
      'state "a" uses the delay "soon", which is not implemented',
    ],
    [
      'waits for ever',
      { a: { after: { Infinity: 'b' } }, b: {} },
      'state "a" uses the delay "Infinity", which is not implemented',
    ],
    [
      'names a delay that only all objects have',
      { a: { after: { toString: 'b' } }, b: {} },
      'state "a" uses the delay "toString", which is not implemented',
    ],
    [
      'raises after an unknown delay',
      { a: { entry: raise({ type: 'go' }, { delay: 'soon' } as object) } },
      'state "a" uses the delay "soon", which is not implemented',
    ],
    [
      'names an unknown action',
      { a: { on: { go: { actions: 'act' } } } },
      'state "a" uses the action "act", which is not implemented',
    ],
    [
      'names an unknown action with parameters',
      { a: { exit: { type: 'act', params: { n: 1 } } } },
      'state "a" uses the action "act", which is not implemented',
    ],
    [
      'sends to an actor',
      { a: { entry: sendTo('other', { type: 'x' }) } },
      'state "a" uses sendTo, which is not supported',
    ],
    [
      'spawns a child',
      { a: { entry: spawnChild(later) } },
      'state "a" uses spawnChild, which is not supported',
    ],
    [
      'stops a child',
      deep({ entry: stopChild('x') }),
      'state "outer.inner" uses stopChild, which is not supported',
    ],
  ])('that %s', async (_, states, reason) => {
    expect(await reasonOf(states)).toBe(reason)
  })

  test('that is the root, by its name', async () => {
    const parts = { id: 'door', on: { go: { actions: 'act' } } }

    expect(await reasonOf({ a: {} }, parts)).toBe(
      'state "door" uses the action "act", which is not implemented',
    )
  })
})

describe('a machine is accepted', () => {
  const acting = (action: unknown) =>
    createMachine({ initial: 'a', states: { a: { entry: action, on: { go: {} } } } } as object)

  test.each<[string, unknown]>([
    ['assigns', assign({})],
    ['emits', emit({ type: 'thing.went' })],
    ['raises', raise({ type: 'go' })],
    ['raises after a number', raise({ type: 'go' }, { delay: 5 } as object)],
    ['raises after what a function says', raise({ type: 'go' }, { delay: () => 5 } as object)],
    ['cancels', cancel('x')],
    ['logs', log('x')],
    ['enqueues', enqueueActions(() => {})],
    ['acts', () => {}],
  ])('that %s', (_, action) => {
    expect(() => register(acting(action))).not.toThrow()
  })

  test('that raises after a delay by name', () => {
    const machine = setup({ delays: { soon: 5 } }).createMachine({
      entry: raise({ type: 'go' }, { delay: 'soon' }),
    })

    expect(() => register(machine)).not.toThrow()
  })

  test.each<[string, unknown]>([
    ['a function', () => true],
    ['one that combines others', and([() => true, not(() => false)])],
    ['one that looks at the state', stateIn('a')],
    ['none', undefined],
  ])('that has for a guard %s', (_, guard) => {
    const states = { a: { on: { go: { guard, target: 'b' } } }, b: {} }

    expect(() => register(createMachine({ initial: 'a', states } as object))).not.toThrow()
  })

  test.each(['10', '0', '1.5'])('that waits for %s milliseconds', (delay) => {
    const states = { a: { after: { [delay]: 'b' } }, b: {} }

    expect(() => register(createMachine({ initial: 'a', states } as object))).not.toThrow()
  })
})
