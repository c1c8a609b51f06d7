import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, createMachine, emit, setup } from 'xstate'
import { z } from 'zod'
import { createRegistry } from '../../src/core/registry.ts'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'

const nothing = z.object({})
const plain = createMachine({ initial: 'calm', states: { calm: {} } })

/** A machine with one action on `go`. */
function acting(action: unknown): AnyStateMachine {
  return createMachine({
    initial: 'calm',
    states: { calm: { on: { go: { actions: action } } } },
  } as object)
}

const identity = <T>(state: T): T => state

function thing(parts: object) {
  const commands = { go: nothing }
  return define({
    type: 'thing',
    prefix: 'thg',
    input: nothing,
    commands,
    machine: plain,
    ...parts,
  })
}

function register(parts: object, property = 'things', others: object = {}): unknown {
  return createRegistry({ [property]: thing(parts), ...others }, (structure) => structure)
}

// What test/engine/machines-refused.test.ts does not have already: names, tells, events, secrets.
describe('a definition is refused', () => {
  const peers = { references: { peer_id: 'thing' } }

  test.each<[string, object]>([
    ['with a type in camel case', { type: 'taskRun' }],
    ['with a type that begins with a digit', { type: '2nd' }],
    ['with a prefix that has a hyphen', { prefix: 'a-b' }],
    ['with an empty prefix', { prefix: '' }],
    ['with a command called create', { commands: { create: nothing } }],
    ["with a command in XState's name", { commands: { 'xstate.init': nothing } }],
    ['with a command without a name', { commands: { '': nothing } }],
    ['with a command for all there are', { commands: { '*': nothing } }],
    ['with an internal command that it does not have', { internal: ['other'] }],
    [
      'that tells through a field that is no reference',
      { machine: acting(tell('peer_id', { type: 'go' })) },
    ],
    [
      'that tells a type that nobody registered',
      { machine: acting(tell({ type: 'nobody', by: 'x' }, { type: 'go' })) },
    ],
    [
      'that tells those who do not refer to it',
      { machine: acting(tell({ type: 'thing', by: 'x' }, { type: 'go' })) },
    ],
    [
      'that tells a command that is none',
      { ...peers, machine: acting(tell('peer_id', { type: 'other' })) },
    ],
    [
      'that emits what it did not list',
      { events: ['thing.a'], machine: acting(emit({ type: 'thing.b' })) },
    ],
    [
      'that emits what it did not list among more',
      { events: ['thing.a', 'thing.c'], machine: acting(emit({ type: 'thing.b' })) },
    ],
    ['that refers to a type that nobody registered', { references: { peer_id: 'nobody' } }],
    [
      'that restricts a command that is none',
      { references: { peer_id: { type: 'thing', restricts: ['x'] } } },
    ],
    ['whose companion is no reference', { companion: { peer_id: { type: 'thing' } } }],
    [
      'whose companion is a reference to something else',
      { ...peers, companion: { peer_id: { type: 'other' } } },
    ],
    [
      'whose secret comes with a command that is none',
      { secrets: { s: { path: 's', on: ['x'] } } },
    ],
    [
      'whose secret is made on a command that is none',
      { secrets: { s: { generate: 's_', on: ['x'] } } },
    ],
    [
      'whose secret has the name of those that were replaced',
      { secrets: { 's.retired': { path: 's' } } },
    ],
    [
      'whose secret retires in the past',
      { secrets: { s: { generate: 's_', on: [], retire: -1 } } },
    ],
    [
      'whose secret retires after part of a millisecond',
      { secrets: { s: { generate: 's_', on: [], retire: 0.5 } } },
    ],
    [
      'whose secret retires after a text',
      { secrets: { s: { generate: 's_', on: [], retire: '24h' } } },
    ],
    ['whose version is no whole number', { version: 1.5 }],
    ['whose version is 0', { version: 0 }],
    ['whose version is a text', { version: '2' }],
    ['that migrates from its own version', { version: 2, migrate: { 2: identity } }],
    ['that migrates from version 0', { version: 2, migrate: { 0: identity } }],
    ['that migrates from what is no version', { version: 2, migrate: { one: identity } }],
    ['that migrates by something else than a function', { version: 2, migrate: { 1: 'b' } }],
    ['that migrates by one function', { version: 2, migrate: identity }],
    ['whose migrate is null', { version: 2, migrate: null }],
  ])('%s', async (_, parts) => {
    const error = await failureOf(() => register(parts))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: expect.any(String) })
    expect(error.message).toMatchSnapshot()
  })

  test.each(['then', 'events', 'consume', 'a.b', '', '1st', '_private', 'with space'])(
    'under the property %j',
    async (property) => {
      const error = await failureOf(() => register({}, property))

      expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    },
  )
})

describe('a definition is accepted', () => {
  test.each<[string, object]>([
    ['with nothing but what it needs', {}],
    [
      'that tells itself',
      { references: { peer_id: 'thing' }, machine: acting(tell('peer_id', { type: 'go' })) },
    ],
    [
      'that tells what only running it can show',
      { references: { peer_id: 'thing' }, machine: acting(tell('peer_id', () => ({ type: 'x' }))) },
    ],
    ['with an action, a guard and a delay by name', { machine: named() }],
    [
      'that emits what it listed',
      { events: ['thing.b', 'thing.c'], machine: acting(emit({ type: 'thing.b' })) },
    ],
    [
      'that migrates from all versions before',
      { version: 3, migrate: { 1: identity, 2: identity } },
    ],
    ['whose secret comes with create', { secrets: { s: { path: 'a.s', on: ['create'] } } }],
    ['whose secret is called retired', { secrets: { retired: { path: 's' } } }],
    ...[0, 1000, undefined].map((retire): [string, object] => [
      ...([`whose secret retires after ${retire}`] as const),
      { secrets: { s: { generate: 's_', on: ['create'], retire } } },
    ]),
  ])('%s', (_, parts) => {
    expect(register(parts)).toMatchObject({ byType: new Map([['thing', expect.anything()]]) })
  })

  function named() {
    return setup({
      actions: { act: () => {} },
      guards: { may: () => true },
      delays: { soon: 5, computed: () => 5 },
    }).createMachine({
      initial: 'a',
      states: {
        a: {
          entry: 'act',
          on: { go: { target: 'b', guard: { type: 'may' } } },
          after: { soon: 'b', computed: 'b', 10: 'b' },
        },
        b: { always: { guard: 'may', target: 'c' } },
        c: {},
      },
    })
  }
})
