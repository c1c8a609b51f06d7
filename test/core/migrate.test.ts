import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, raise, setup } from 'xstate'
import { z } from 'zod'
import type { ResourceDefinition } from '../../src/core/definition.ts'
import { planMigration } from '../../src/core/migrate.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { openWorld, type World } from './world-in-memory.ts'

const loose = z.looseObject({})

function thing(machine: AnyStateMachine, parts: object = {}): ResourceDefinition {
  const commands = { go: loose, back: loose, migrate: loose }
  return define({ type: 'thing', prefix: 'thg', input: loose, commands, machine, ...parts })
}

/** A machine without timers, in these states, the first of which comes first. */
function states(names: readonly string[], context: object = {}): AnyStateMachine {
  const config = Object.fromEntries(names.map((name) => [name, {}]))
  return createMachine({
    context: ({ input }: { input: object }) => ({ ...context, ...input }),
    initial: names[0],
    states: config,
  } as object)
}

/** The same database under other definitions. */
function reopened(world: World, definition: ResourceDefinition): World {
  const next = openWorld({ things: definition })
  for (const name of ['resources', 'references', 'timers', 'outcomes'] as const) {
    for (const [key, value] of world.stored[name])
      next.stored[name].set(key as never, value as never)
  }
  next.stored.log.push(...world.stored.log)
  return Object.assign(next, { made: world.made, time: world.time })
}

function migrate(world: World, id: string) {
  return world.carryOut((run) => planMigration(run, world.kind('thing'), id))
}

/** One thing that has been migrated, and the world in which it is now. */
function migrated(before: ResourceDefinition, after: ResourceDefinition, input: object = {}) {
  const old = openWorld({ things: before })
  const { id } = old.create('thing', input)
  const world = reopened(old, after)
  const [from, overlay] = migrate(world, id)
  return { world, id, from, overlay, row: world.row(id) ?? expect.fail() }
}

/** What the engine says against what a migration gives. */
async function refusalOf(
  give: (state: { value: unknown; context: object }) => unknown,
  parts = {},
) {
  const machine = createMachine({
    context: {},
    initial: 'b',
    states: { b: { initial: 'x', states: { x: {}, y: {}, hist: { type: 'history' } } }, c: {} },
  })
  const after = thing(machine, { version: 2, migrate: { 1: give }, ...parts })
  return failureOf(() => migrated(thing(states(['a'], { n: 1 })), after))
}

const identity = <T>(state: T): T => state

describe('what a migration gives', () => {
  test('is the value and the context of the new version', () => {
    const after = thing(states(['c', 'b']), {
      version: 2,
      migrate: {
        1: ({ value, context }: { value: string; context: { n: number } }) => ({
          value: value === 'a' ? 'b' : value,
          context: { count: context.n },
        }),
      },
    })

    const { row, from } = migrated(thing(states(['a'], { n: 7 })), after)

    expect(from).toBe(1)
    expect(row).toMatchObject({ status: 'b', value: '"b"', context: '{"count":7}', version: 2 })
    expect(row.machine).toMatch(/^2:/)
  })

  test.each([
    [1, ['1', '2', '4']],
    [2, ['2', '4']],
    [3, ['4']],
    [4, ['4']],
  ])('goes from version to version, from %i on', (version, path) => {
    const step = (name: string) => (state: { value: unknown; context: { path: string[] } }) => ({
      ...state,
      context: { path: [...state.context.path, name] },
    })
    const steps = { 4: step('4'), 1: step('1'), 2: step('2') }

    const { row, from } = migrated(
      thing(states(['a'], { path: [] }), { version }),
      thing(states(['a', 'b']), { version: 6, migrate: steps }),
    )

    expect(from).toBe(version)
    expect(JSON.parse(row.context)).toEqual({ path })
  })

  test.each([5, 6, 7])('is not asked for at version %i of 6', (version) => {
    const { from, overlay } = migrated(
      thing(states(['a']), { version }),
      thing(states(['a', 'b']), { version: 6, migrate: { 1: identity, 4: identity } }),
    )

    expect(from).toBeNull()
    expect(overlay.entries).toEqual([])
  })

  test.each<[unknown, unknown]>([
    ['b', { b: { one: 'x', two: 'p' } }],
    [{ b: {} }, { b: { one: 'x', two: 'p' } }],
    [{ b: { two: 'q' } }, { b: { one: 'x', two: 'q' } }],
    [{ c: {} }, 'c'],
  ])('%j is completed to %j', (value, whole) => {
    const region = (...names: string[]) => ({
      initial: names[0],
      states: Object.fromEntries(names.map((name) => [name, {}])),
    })
    const regions = { one: region('x', 'y'), two: region('p', 'q') }
    const machine = createMachine({
      initial: 'c',
      states: { c: {}, b: { type: 'parallel', states: regions } },
    } as object)

    const { row } = migrated(
      thing(states(['a'])),
      thing(machine, { version: 2, migrate: { 1: () => ({ value, context: {} }) } }),
    )

    expect(JSON.parse(row.value)).toEqual(whole)
  })

  test('may be an argument that it has changed: it gets copies', async () => {
    const old = openWorld({ things: thing(states(['a'], { n: { m: 1 } })) })
    const { id } = old.create('thing')
    const before = old.row(id)
    const spoil = (state: { value: unknown; context: { n: { m: number } } }) => {
      state.context.n.m += 1
      return state
    }
    const fail = ({ value }: { value: unknown }) => ({ value, context: [] })
    const parts = { version: 3, migrate: { 1: spoil, 2: fail } }

    await failureOf(() => migrate(reopened(old, thing(states(['a']), parts)), id))
    expect(old.row(id)).toEqual(before)

    const world = reopened(old, thing(states(['a']), { ...parts, migrate: { 1: spoil } }))
    migrate(world, id)
    expect(world.row(id)?.context).toBe('{"n":{"m":2}}')
  })

  test('keeps fields in the order in which the log can give them back', () => {
    const { row } = migrated(
      thing(states(['a'], { a: 1, b: 2, c: 3 })),
      thing(states(['a', 'b']), {
        version: 2,
        migrate: {
          1: ({ value, context }: { value: unknown; context: { a: number; c: number } }) => ({
            value,
            context: { x: 1, c: context.c, a: context.a },
          }),
        },
      }),
    )

    expect(row.context).toBe('{"a":1,"c":3,"x":1}')
  })

  test.each<[string, (state: { value: unknown; context: object }) => unknown]>([
    ['it throws', () => expect.fail('no idea')],
    ['nothing', () => undefined],
    ['a promise', async (state) => state],
    ['no value', ({ context }) => ({ context })],
    ['no context', () => ({ value: 'b' })],
    ['a number', () => ({ value: 1, context: {} })],
    ['a list', () => ({ value: 'b', context: [] })],
    ['a value that is a list', () => ({ value: ['b'], context: {} })],
    ['a lost state', identity],
    ['a state within that is none', ({ context }) => ({ value: { b: 'z' }, context })],
    ['a state within one that has none', ({ context }) => ({ value: { c: 'z' }, context })],
    ['two states at once', ({ context }) => ({ value: { b: 'x', c: {} }, context })],
    ['a state by its id', ({ context }) => ({ value: { '#(machine).c': {} }, context })],
    ['a property of all objects', ({ context }) => ({ value: 'constructor', context })],
    ['a history state', ({ context }) => ({ value: { b: 'hist' }, context })],
    ['a date', () => ({ value: 'b', context: { at: new Date(0) } })],
    ["a field of the engine's", () => ({ value: 'b', context: { version: 1 } })],
  ])('is refused when it is wrong: %s', async (_, give) => {
    const error = await refusalOf(give)

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toMatchSnapshot()
  })

  test('is refused when the status function cannot name it', async () => {
    const error = await refusalOf(() => ({ value: 'c', context: {} }), {
      status: ({ context }: { context: { n: { m: string } } }) => context.n.m,
    })

    expect(error.message).toContain('its status threw')
  })

  test('is refused when it refers to what is not there', async () => {
    const error = await refusalOf(() => ({ value: 'c', context: { peer_id: 'thg_9' } }), {
      references: { peer_id: 'thing' },
    })

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toContain('thg_9')
  })
})

describe('a migration in the log', () => {
  test('is a change of its own', () => {
    const after = thing(states(['b']), {
      version: 3,
      migrate: { 1: () => ({ value: 'b', context: { m: 1 } }) },
    })
    const old = openWorld({ things: thing(states(['a'], { n: 1 })) })
    const { id } = old.create('thing')
    const world = reopened(old, after)
    world.time += 500

    const [, { entries }] = migrate(world, id)

    expect(entries).toMatchObject([
      {
        type: 'thing.migrate',
        internal: true,
        resourceVersion: 2,
        cause: 'migrate',
        previousStatus: 'a',
        previousMs: 500,
        createdAt: 1500,
      },
    ])
    expect(JSON.parse(entries[0]?.command ?? '')).toEqual({ type: 'migrate', from: 1, to: 3 })
    expect(JSON.parse(entries[0]?.change ?? '')).toMatchObject({
      machine: world.row(id)?.machine,
      value: 'b',
      set: { m: 1 },
      unset: ['n'],
    })
  })

  test('shows what became of the timers', () => {
    const { overlay } = migrated(
      thing(timed('a', { soon: 1000, 50: 50 })),
      thing(timed('b', { soon: 9, late: 5000 }), {
        version: 2,
        migrate: { 1: () => ({ value: 'b', context: {} }) },
      }),
    )

    const { timers } = JSON.parse(overlay.entries[0]?.change ?? '')
    expect(timers).toEqual([
      ['xstate.after.50.m.a'],
      ['xstate.after.soon.m.a'],
      ['xstate.after.soon.m.b', 2000],
      ['xstate.after.late.m.b', 6000],
    ])
  })
})

/** A machine that waits in one state; it has the delays by name, but for those that are numbers. */
function timed(state: string, delays: object, parts: object = {}): AnyStateMachine {
  const after = Object.fromEntries(Object.keys(delays).map((name) => [name, 'over']))
  return setup({ delays } as object).createMachine({
    id: 'm',
    context: {},
    initial: state,
    states: { [state]: { after }, over: {}, ended: { type: 'final' } },
    ...parts,
  } as object)
}

/** The timers of a world, by name, with their deadlines. */
function timersIn({ stored }: World): Record<string, number> {
  return Object.fromEntries([...stored.timers.values()].map(({ name, dueAt }) => [name, dueAt]))
}

describe('timers', () => {
  const to = (value: unknown, context: object = {}) => ({
    version: 2,
    migrate: { 1: () => ({ value, context }) },
  })

  test('of a state that stays keep their deadline, whatever the delay is now', () => {
    const { world } = migrated(
      thing(timed('a', { soon: 1000 })),
      thing(timed('a', { soon: 99 }), to('a')),
    )

    expect(timersIn(world)).toEqual({ 'xstate.after.soon.m.a': 2000 })
  })

  test('of a state that has another name keep their deadline under the new one', () => {
    const { world } = migrated(
      thing(timed('a', { 'so.on': 1000, 70: 70 })),
      thing(timed('b', { 'so.on': 99, 70: 70 }, { id: 'n' }), to('b')),
    )

    expect(timersIn(world)).toEqual({ 'xstate.after.so.on.n.b': 2000, 'xstate.after.70.n.b': 1070 })
  })

  test('go to the state that is most alike', () => {
    const region = (delay: number) => ({
      initial: 'wait',
      states: { wait: { after: { [delay]: 'over' } }, over: {} },
    })
    const machine = (id: string, names: readonly string[]) =>
      createMachine({
        ...{ id, context: {}, type: 'parallel' },
        states: Object.fromEntries(names.map((name) => [name, region(60)])),
      } as object)
    const old = openWorld({ things: thing(machine('m', ['x', 'y'])) })
    const { id } = old.create('thing')
    // Tells them apart.
    for (const [position, timer] of old.stored.timers)
      old.stored.timers.set(position, { ...timer, dueAt: timer.dueAt + position })
    const world = reopened(old, thing(machine('n', ['y', 'x']), to({})))

    migrate(world, id)

    expect(timersIn(world)).toEqual({
      'xstate.after.60.n.x.wait': 1061,
      'xstate.after.60.n.y.wait': 1062,
    })
  })

  test('of a state that is still there, and left, are canceled', () => {
    const both = (initial: string) =>
      timed(
        '',
        {},
        {
          initial,
          states: { a: { after: { 100: 'a' } }, b: { after: { 100: 'b' } } },
        },
      )
    const old = openWorld({ things: thing(both('a')) })
    const { id } = old.create('thing')
    const world = reopened(old, thing(both('b'), to('b')))
    world.time += 5

    migrate(world, id)

    expect(timersIn(world)).toEqual({ 'xstate.after.100.m.b': 1105 })
  })

  test('that are lacking are set from now, with the new context', () => {
    const wait = ({ context }: { context: { n: number } }) => context.n * 10
    const old = openWorld({ things: thing(timed('a', {})) })
    const { id } = old.create('thing')
    const world = reopened(old, thing(timed('a', { wait, 30: 30 }), to('a', { n: 4 })))
    world.time += 500

    migrate(world, id)

    expect(timersIn(world)).toEqual({ 'xstate.after.wait.m.a': 1540, 'xstate.after.30.m.a': 1530 })
  })

  test.each<[string, () => unknown]>([
    ['throws', () => expect.fail('no idea')],
    ['gives no number', () => 'soon'],
    ['goes beyond all times', () => 1e300],
  ])('whose delay %s make the migration fail', async (_, wait) => {
    const error = await failureOf(() =>
      migrated(thing(timed('a', {})), thing(timed('a', { wait }), to('a'))),
    )

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
  })

  test('of delayed raises stay', () => {
    const entry = [
      raise({ type: 'go' }, { delay: 100 }),
      raise({ type: 'go' }, { delay: 7, id: 'x' }),
    ]
    const machine = (state: string) =>
      createMachine({ context: {}, initial: state, states: { [state]: { entry } } } as object)

    const { world } = migrated(thing(machine('a')), thing(machine('b'), to('b')))

    expect([...world.stored.timers.values()]).toMatchObject([
      { name: null, dueAt: 1100 },
      { name: 'x', dueAt: 1007 },
    ])
  })

  test('are cleared when the migration ends the resource', () => {
    const { world, row } = migrated(
      thing(timed('a', { soon: 1000 }, { entry: raise({ type: 'go' }, { delay: 5 }) })),
      thing(timed('b', { soon: 1000 }), to('ended')),
    )

    expect(row).toMatchObject({ status: 'ended', final: true })
    expect(timersIn(world)).toEqual({})
  })

  test('that have come late move along, and fire under their new name', () => {
    const old = openWorld({ things: thing(timed('a', { soon: 1000 })) })
    const { id } = old.create('thing')
    const world = reopened(old, thing(timed('b', { soon: 1000 }), to('b')))
    world.time = 5000

    world.fire(1)
    expect(world.row(id)).toMatchObject({ status: 'b' })
    expect(timersIn(world)).toEqual({ 'xstate.after.soon.m.b': 2000 })

    for (const position of [...world.stored.timers.keys()]) world.fire(position)
    expect(world.row(id)).toMatchObject({ status: 'over', version: 3 })
    expect(timersIn(world)).toEqual({})
  })
})

describe('what XState remembers', () => {
  function remembering(inner: readonly string[]): AnyStateMachine {
    const within = Object.fromEntries(inner.map((name) => [name, { on: { go: inner.at(-1) } }]))
    return createMachine({
      id: 'm',
      context: {},
      initial: 'in',
      states: {
        in: {
          initial: inner[0],
          states: { ...within, hist: { type: 'history' } },
          on: { back: 'out' },
        },
        out: { on: { back: 'in.hist' } },
      },
    } as object)
  }

  test.each([
    ['is kept where its states are still there', ['new', 'one', 'two'], 'two'],
    ['is forgotten where they are not', ['new', 'one'], 'new'],
  ])('%s', (_, inner, status) => {
    const old = openWorld({ things: thing(remembering(['one', 'two'])) })
    const { id } = old.create('thing')
    old.send(id, 'go')
    old.send(id, 'back')
    const world = reopened(old, thing(remembering(inner), { version: 2, migrate: { 1: identity } }))

    migrate(world, id)
    world.send(id, 'back')

    expect(world.row(id)?.status).toBe(status)
  })
})

describe('references', () => {
  const peers = { references: { peer_id: 'thing' } }
  const ending = (name: string) =>
    createMachine({
      context: ({ input }: { input: object }) => ({ ...input }),
      initial: 'a',
      states: { a: {}, [name]: { type: 'final' } },
    } as object)

  test('follow the new context, also through a field that was none before', () => {
    const old = openWorld({ things: thing(states(['a'])) })
    const peer = old.create('thing').id
    const { id } = old.create('thing', { peer_id: peer })
    const world = reopened(
      old,
      thing(states(['a', 'b']), { version: 2, migrate: { 1: identity }, ...peers }),
    )
    expect(world.stored.references.get(id)).toBeUndefined()

    migrate(world, id)

    expect(world.stored.references.get(id)).toEqual(new Map([['peer_id', peer]]))
  })

  test('of a resource that lives again are set anew', () => {
    const old = openWorld({ things: thing(ending('b'), peers) })
    const peer = old.create('thing').id
    const { id } = old.create('thing', { peer_id: peer })
    const row = old.row(id) ?? expect.fail()
    old.stored.resources.set(id, { ...row, value: '"b"', status: 'b', final: true })
    const alive = createMachine({ context: {}, initial: 'a', states: { a: {}, b: {} } })
    const world = reopened(old, thing(alive, { version: 2, migrate: { 1: identity }, ...peers }))

    const [, overlay] = migrate(world, id)

    expect(world.row(id)).toMatchObject({ status: 'b', final: false })
    expect(overlay.references).toContainEqual(
      expect.objectContaining({ resourceId: id, field: 'peer_id', targetId: peer }),
    )
  })
})

describe('a command that reaches a resource of an earlier version', () => {
  const counting = (state: string) =>
    createMachine({
      context: { n: 0 },
      initial: state,
      states: {
        [state]: {
          on: {
            go: {
              actions: assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 }),
            },
          },
        },
      },
    } as object)
  const renamed = { version: 2, migrate: { 1: () => ({ value: 'b', context: { n: 10 } }) } }

  function opened() {
    const old = openWorld({ things: thing(counting('a')) })
    const { id } = old.create('thing')
    return { world: reopened(old, thing(counting('b'), renamed)), id }
  }

  test('migrates it first', () => {
    const { world, id } = opened()

    const { changed, entries, overlay } = world.send(id, 'go', {}, { expectedVersion: 1 })

    expect({ changed, entries }).toEqual({ changed: true, entries: [] })
    expect(overlay.entries.map(({ type }) => type)).toEqual(['thing.migrate', 'thing.go'])
    expect(world.row(id)).toMatchObject({ status: 'b', context: '{"n":11}', version: 3 })
  })

  test.each<[string, object]>([
    ['back', {}],
    ['go', { expectedVersion: 2 }],
  ])('and is refused writes nothing: %s %j', async (command, options) => {
    const { world, id } = opened()
    const before = world.row(id)

    await failureOf(() => world.send(id, command, {}, options))

    expect(world.row(id)).toEqual(before)
    expect(world.stored.log).toHaveLength(1)
  })
})

test('a command of the same name is one like any other', () => {
  const own = (state: string) =>
    createMachine({
      context: {},
      initial: state,
      states: { [state]: { on: { migrate: { actions: assign({ m: true }) } } } },
    } as object)
  const old = openWorld({ things: thing(own('a')) })
  const { id } = old.create('thing')
  const parts = { version: 2, migrate: { 1: () => ({ value: 'b', context: {} }) } }
  const world = reopened(old, thing(own('b'), parts))

  const { overlay } = world.send(id, 'migrate', { from: 1 })

  expect(overlay.entries.map(({ type, command }) => [type, JSON.parse(command ?? '')])).toEqual([
    ['thing.migrate', { type: 'migrate', from: 1, to: 2 }],
    ['thing.migrate', { type: 'migrate', from: 1 }],
  ])
  expect(world.row(id)?.context).toBe('{"m":true}')
})
