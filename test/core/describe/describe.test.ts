import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type AnyStateMachine,
  and,
  assign,
  createMachine,
  emit,
  enqueueActions,
  not,
  or,
  raise,
  setup,
} from 'xstate'
import { agentPlatform } from '../../../machines/index.ts'
import { describe as describeKind } from '../../../src/core/describe/describe.ts'
import type { Description } from '../../../src/core/describe/description.ts'
import { type Kind, toKind } from '../../../src/core/kind.ts'
import { createRegistry } from '../../../src/core/registry.ts'
import { tell } from '../../../src/resource.ts'
import { define } from '../../support/define.ts'
import { lifecycleOf, lifecycles } from '../../support/lifecycles.ts'
import { blueprintArbitrary, buildMachine, COMMANDS } from '../../support/random-machines.ts'
import { nothing } from '../../support/things.ts'

function kindOf(machine: AnyStateMachine, parts: object = {}): Kind {
  const commands = { go: nothing, rest: nothing }
  const definition = { type: 'thing', prefix: 'thg', input: nothing, commands, machine, ...parts }
  return toKind(define(definition), (structure) => String(structure.length))
}

function described(config: object, parts: object = {}): Description {
  return describeKind(kindOf(createMachine(config), parts))
}

/** Some members of each thing, as one line each. */
function lines<T>(things: readonly T[], ...keys: readonly (keyof T)[]): string[] {
  return things.map((thing) => keys.map((key) => thing[key]).join(' '))
}

const nested = {
  initial: 'draft',
  states: {
    draft: { on: { go: 'active' } },
    active: {
      description: 'Is worked on.',
      initial: 'writing',
      states: { writing: { on: { go: 'review' } }, review: {}, last: { type: 'history' } },
      on: { rest: 'archived' },
    },
    archived: { type: 'final' },
  },
}

const regions = {
  initial: 'both',
  states: {
    both: {
      type: 'parallel',
      states: {
        left: { initial: 'a', states: { a: { on: { go: 'b' } }, b: { type: 'final' } } },
        right: { initial: 'a', states: { a: { on: { rest: 'b' } }, b: { type: 'final' } } },
      },
      onDone: 'over',
    },
    over: { type: 'final' },
  },
}

describe('the states', () => {
  test('are the machine and all in it, with their kinds and where they begin', () => {
    const { states } = described(nested)

    expect(lines(states, 'id', 'name', 'status', 'kind', 'initial', 'parent')).toEqual([
      ' thing  compound draft ',
      'draft draft draft atomic  ',
      'active active  compound active.writing ',
      'active.writing writing writing atomic  active',
      'active.review review review atomic  active',
      'active.last last  history  active',
      'archived archived archived final  ',
    ])
    expect(states.map(({ description }) => description)).toContain('Is worked on.')
    expect(states[0]).toEqual({
      ...{ id: '', name: 'thing', status: null, kind: 'compound', history: null },
      ...{ description: null, initial: 'draft', parent: null },
    })
  })

  test('in regions have the status of what holds the regions', () => {
    const { states } = described(regions)

    expect(lines(states, 'id', 'status')).toEqual([
      ...[' ', 'both both', 'both.left both', 'both.left.a both', 'both.left.b both'],
      ...['both.right both', 'both.right.a both', 'both.right.b both', 'over over'],
    ])
  })

  test('in regions of regions have the status of the outermost', () => {
    const inner = { type: 'parallel', states: { x: {}, y: {} } }
    const { states } = described({
      initial: 'outer',
      states: { outer: { type: 'parallel', states: { inner, z: {} } } },
    })

    expect(new Set(states.slice(1).map(({ status }) => status))).toEqual(new Set(['outer']))
  })

  test.each([
    ['has no states', {}, 'atomic'],
    ['has regions only', { type: 'parallel', states: { left: {}, right: {} } }, 'parallel'],
  ])('of a machine that %s have the status active', (_, config, kind) => {
    const { states, initial } = described(config)

    expect(states[0]).toMatchObject({ id: '', kind, status: 'active' })
    expect(new Set(states.map(({ status }) => status))).toEqual(new Set(['active']))
    expect(initial).toEqual({ state: '', status: 'active', emits: [], tells: [] })
  })

  test('have no status where the definition names it', () => {
    const { states, initial } = described(nested, { status: () => 'odd' })

    expect(states.filter(({ status }) => status !== null)).toEqual([])
    expect(initial.status).toBeNull()
  })

  test('that remember say how, and where they lead the first time', () => {
    const inner = { initial: 'x', states: { x: {}, y: {} } }
    const { states } = described({
      initial: 'a',
      states: {
        a: {
          initial: 'b',
          states: {
            b: inner,
            plain: { type: 'history' },
            deep: { type: 'history', history: 'deep', target: 'b.y' },
            named: { type: 'history', history: 'shallow', target: '#far' },
          },
        },
        far: { id: 'far' },
        top: { type: 'history', target: 'a.b' },
      },
    })

    const remembering = states.filter(({ kind }) => kind === 'history')
    expect(lines(remembering, 'id', 'history', 'initial')).toEqual([
      ...['a.plain shallow ', 'a.deep deep a.b.y', 'a.named shallow far', 'top shallow a.b'],
    ])
    expect(states.find(({ id }) => id === 'a')?.history).toBeNull()
  })

  test('have ids of their own, whatever their keys are', () => {
    const keys = ['a', 'a.b', 'a\\', 'a\\.b', '\\', '', '.', '__proto']
    const inner = Object.fromEntries(keys.map((key) => [key, {}]))
    const states = Object.fromEntries(
      keys.map((key) => [key, { id: `own ${key}`, initial: 'a', states: inner }]),
    )

    const { states: found } = described({ initial: 'a', states })

    expect(found).toHaveLength(1 + keys.length + keys.length ** 2)
    expect(new Set(found.map(({ id }) => id)).size).toBe(found.length)
    expect(found.slice(1).every(({ parent }) => found.some(({ id }) => id === parent))).toBe(true)
  })
})

describe('the start', () => {
  test('is the first innermost state, and all that is emitted and told on the way there', () => {
    const { initial } = described({
      entry: emit({ type: 'thing.created' }),
      initial: { target: 'a', actions: emit({ type: 'thing.begun' }) },
      states: {
        a: {
          entry: tell('session_id', { type: 'run_attached' }, { required: true }),
          initial: 'b',
          states: { b: { entry: [assign({}), emit({ type: 'thing.entered' })] } },
          exit: emit({ type: 'thing.left' }),
        },
      },
    })

    expect(initial).toEqual({
      state: 'a.b',
      status: 'b',
      emits: ['thing.created', 'thing.begun', 'thing.entered'],
      tells: [{ to: 'session_id', command: 'run_attached', required: true }],
    })
  })

  test('of regions is the state that holds them', () => {
    expect(described(regions).initial).toMatchObject({ state: 'both', status: 'both' })
  })
})

describe('the commands', () => {
  test('have the descriptions of their schemas, if those have one', () => {
    const plain = { '~standard': { version: 1, vendor: 'own', validate: () => ({ value: {} }) } }
    const callable = Object.assign(() => {}, plain, { description: 'Is called.' })
    const { commands } = described(nested, {
      commands: {
        go: nothing.describe('Goes on.'),
        meta: nothing.meta({ description: 'Says more.' }),
        rest: nothing,
        plain,
        odd: { ...plain, description: 42 },
        callable,
      },
      internal: ['rest'],
    })

    expect(lines(commands, 'name', 'description', 'internal')).toEqual([
      ...['go Goes on. false', 'meta Says more. false', 'rest  true'],
      ...['plain  false', 'odd  false', 'callable Is called. false'],
    ])
    expect(commands[2]?.description).toBeNull()
  })

  test('are taken by states themselves or by those around them, before the end', () => {
    const statesOf = (config: object) =>
      described(config).commands.map(({ name, states }) => `${name}: ${states}`)

    expect(statesOf(nested)).toEqual([
      'go: draft,active.writing',
      'rest: active.writing,active.review',
    ])
    expect(statesOf(regions)).toEqual(['go: both.left.a', 'rest: both.right.a'])
    expect(statesOf({ on: { go: {} } })).toEqual(['go: ', 'rest: '])
    expect(described({ on: { go: {} } }).commands[0]?.states).toEqual([''])
  })

  test('are taken in an inner end, but not in the outer one', () => {
    const { commands } = described({
      initial: 'a',
      states: {
        a: { initial: 'b', states: { b: {}, inner: { type: 'final' } } },
        outer: { type: 'final' },
      },
      on: { go: {} },
    })

    expect(commands[0]?.states).toEqual(['a.b', 'a.inner'])
  })

  test('are taken in a region that has ended, as others may go on', () => {
    const { commands } = described({
      type: 'parallel',
      states: { l: {}, r: { type: 'final' } },
      on: { go: {} },
    })

    expect(commands[0]?.states).toEqual(['l', 'r'])
  })

  test('are taken by patterns, and by no list without a transition', () => {
    const commands = Object.fromEntries(['a', 'a.b', 'ab', 'c'].map((name) => [name, nothing]))
    const { commands: found, transitions } = described(
      {
        initial: 'part',
        states: {
          part: { on: { 'a.*': {}, 'a*': {}, c: [] } },
          all: { on: { '*': {} } },
        },
      },
      { commands },
    )

    expect(lines(found, 'name', 'states')).toEqual([
      ...['a part,all', 'a.b part,all', 'ab all', 'c all'],
    ])
    expect(lines(transitions, 'from', 'on', 'kind')).toEqual([
      ...['part a.* command', 'part a* raised', 'all * command'],
    ])
  })
})

describe('the events', () => {
  test('say where they are emitted, as far as that can be said', () => {
    const { events } = described(
      {
        entry: emit({ type: 'thing.created' }),
        initial: 'a',
        states: {
          a: {
            entry: emit({ type: 'thing.moved' }),
            exit: [emit({ type: 'thing.moved' }), emit({ type: 'thing.left' })],
            initial: { target: 'b', actions: emit({ type: 'thing.begun' }) },
            states: { b: {} },
            on: { go: { actions: [assign({}), emit({ type: 'thing.moved' })] } },
            after: { 1000: { actions: emit({ type: 'thing.moved' }) } },
            always: { guard: () => false, actions: emit({ type: 'thing.moved' }) },
          },
        },
        exit: enqueueActions(({ enqueue }) => enqueue.emit({ type: 'thing.hidden' })),
      },
      {
        events: ['thing.hidden', 'thing.created', 'thing.left', 'thing.moved', 'thing.begun'],
      },
    )

    const sources = events.map(
      ({ type, sources: found }) => `${type}: ${lines(found, 'when', 'state', 'on').join(', ')}`,
    )
    expect(sources).toEqual([
      'thing.hidden: ',
      'thing.created: entry  ',
      'thing.left: exit a ',
      'thing.moved: entry a , exit a , transition a go, transition a 1000, transition a ',
      'thing.begun: entry a ',
    ])
  })
})

describe('the timers', () => {
  test('have their delays where these do not depend on the resource', () => {
    const machine = setup({
      delays: {
        fixed: 600_000,
        constant: () => 1000,
        counted: ({ context }) => (context as { n: number }).n,
        spread: (args) => Object.keys(args).length,
        asked: (args) => ('context' in args ? 1 : 2),
        drawn: () => Math.random(),
        endless: Number.POSITIVE_INFINITY,
      },
    }).createMachine({
      initial: 'a',
      states: {
        a: {
          after: {
            ...{ fixed: 'b', constant: 'b', counted: 'b', spread: 'b', asked: 'b', drawn: 'b' },
            ...{ 250: 'b', endless: 'b' },
          },
        },
        b: {},
      },
    })

    const { timers } = describeKind(kindOf(machine))

    expect(lines(timers, 'name', 'state', 'delay', 'to').sort()).toEqual([
      ...['250 a 250 b', 'asked a  b', 'constant a 1000 b', 'counted a  b', 'drawn a  b'],
      ...['endless a  b', 'fixed a 600000 b', 'spread a  b'],
    ])
    expect(timers.find(({ name }) => name === 'counted')?.delay).toBeNull()
  })

  test('lead to each state that they can lead to, once', () => {
    const { timers, transitions } = described({
      initial: 'a',
      after: { 60000: { actions: [] } },
      states: {
        a: {
          after: {
            1000: [
              { guard: () => false, target: 'b' },
              { guard: () => false, target: 'c' },
              { guard: () => true, target: 'b' },
              { actions: [] },
            ],
          },
        },
        b: {},
        c: {},
      },
    })

    expect(timers).toEqual([
      { name: '60000', state: '', delay: 60_000, to: [] },
      { name: '1000', state: 'a', delay: 1000, to: ['b', 'c'] },
    ])
    expect(lines(transitions, 'from', 'on', 'kind', 'to')).toEqual([
      ...[' 60000 timer ', 'a 1000 timer b', 'a 1000 timer c', 'a 1000 timer b', 'a 1000 timer '],
    ])
  })

  test('are not what a pattern of commands waits for', () => {
    const { timers } = described({
      initial: 'a',
      states: { a: { after: { 1000: 'b' }, on: { '*': 'c' } }, b: {}, c: {} },
    })

    expect(timers).toEqual([{ name: '1000', state: 'a', delay: 1000, to: ['b'] }])
  })

  test('that never end have no delay', () => {
    const { timers } = described({
      entry: raise({ type: 'go' }, { delay: Number.POSITIVE_INFINITY }),
    } as object)

    expect(timers).toEqual([{ name: 'go', state: '', delay: null, to: [] }])
  })

  test('are also what a machine raises later, wherever that is taken', () => {
    const { timers, transitions } = described({
      initial: 'a',
      entry: raise({ type: 'rest' }, { delay: 5 }),
      states: {
        a: {
          on: {
            go: { target: 'b', actions: raise({ type: 'remind' }, { delay: 3_600_000 }) },
            rest: { actions: raise({ type: 'remind' }, { delay: 3_600_000 }) },
          },
        },
        b: {
          entry: [raise({ type: 'now' }), raise(() => ({ type: 'computed' }), { delay: 1 })],
          on: { remind: 'c', now: 'a' },
        },
        c: { on: { remind: {} } },
      },
    } as object)

    expect(timers).toEqual([
      { name: 'rest', state: '', delay: 5, to: [] },
      { name: 'remind', state: 'a', delay: 3_600_000, to: ['c'] },
    ])
    expect(lines(transitions, 'from', 'on', 'kind')).toEqual([
      ...['a go command', 'a rest command', 'b remind timer', 'b now raised', 'c remind timer'],
    ])
  })
})

describe('the transitions', () => {
  test('come in document order, with what sets them off', () => {
    const { transitions } = described({
      initial: 'a',
      on: { rest: {} },
      states: {
        a: {
          initial: 'x',
          states: { x: { always: 'y' }, y: { type: 'final' } },
          onDone: 'b',
          on: { go: ['b', { target: 'a', reenter: true }] },
        },
        b: { on: { unheard: 'a' } },
      },
    } as object)

    expect(lines(transitions, 'from', 'kind', 'on', 'to', 'reenter')).toEqual([
      ' command rest  false',
      'a command go b false',
      'a command go a true',
      'a done  b false',
      'a.x always  a.y false',
      'b raised unheard a false',
    ])
    expect(transitions[0]).toMatchObject({ to: null })
    expect(transitions[4]).toMatchObject({ on: null, guard: null })
  })

  test('into several regions are listed once for each', () => {
    const { transitions } = described({
      initial: 'off',
      states: {
        off: { on: { go: ['#x', '#y'].map((target) => ({ target })) } },
        idle: { on: { go: { target: ['#x', '#y'] } } },
        on: {
          type: 'parallel',
          states: {
            l: { initial: 'z', states: { z: {}, x: { id: 'x' } } },
            r: { initial: 'z', states: { z: {}, y: { id: 'y' } } },
          },
        },
      },
    } as object)

    expect(lines(transitions.slice(2), 'from', 'to')).toEqual(['idle on.l.x', 'idle on.r.y'])
  })

  test('name their guards', () => {
    const machine = setup({ guards: { ready: () => true, big: () => true } }).createMachine({
      on: {
        go: [
          { guard: 'ready' },
          { guard: { type: 'big' } },
          { guard: and(['ready', not('big'), or(['big', { type: 'ready' }])]) },
          { guard: isSunday },
          {
            guard: (
              () => () =>
                true
            )(),
          },
          {},
        ],
      },
    })

    const { transitions } = describeKind(kindOf(machine))

    expect(transitions.map(({ guard }) => guard)).toEqual([
      ...['ready', 'big', 'and(ready, not(big), or(big, ready))', 'isSunday', 'inline guard', null],
    ])
  })

  test('tell what is emitted on the way out, on the way, and on the way in', () => {
    const noisy = (name: string, rest: object = {}) => ({
      entry: emit({ type: `+${name}` }),
      exit: emit({ type: `-${name}` }),
      ...rest,
    })
    const { transitions } = described({
      initial: 'a',
      states: {
        a: noisy('a', {
          initial: 'x',
          states: {
            x: noisy('x', {
              id: 'x',
              on: {
                out: { target: '#b', actions: emit({ type: 'gone' }) },
                over: 'y',
                stay: { actions: emit({ type: 'stayed' }) },
                self: 'x',
                again: { target: 'x', reenter: true },
                remembered: '#before',
              },
            }),
            y: noisy('y'),
          },
          on: { inside: '.y', restart: { target: '.y', reenter: true } },
        }),
        b: noisy('b', {
          id: 'b',
          type: 'parallel',
          states: {
            l: noisy('l', { initial: 'm', states: { m: noisy('m'), n: noisy('n', { id: 'n' }) } }),
            r: noisy('r', { initial: 'm', states: { m: noisy('o'), h: { type: 'history' } } }),
            before: { id: 'before', type: 'history' },
          },
          on: { rejoin: '#n', fresh: { target: '#b', reenter: true } },
        }),
      },
    } as object)

    expect(transitions.map(({ on, emits }) => `${on}: ${emits.join(' ')}`)).toEqual([
      'inside: +y',
      'restart: -a +a +y',
      'out: -x -a gone +b +l +m +r +o',
      'over: -x +y',
      'stay: stayed',
      'self: ',
      'again: -x +x',
      'remembered: -x -a +b',
      'rejoin: +l +n +r +o',
      'fresh: -b +b +l +m +r +o',
    ])
  })

  test('tell who is told, and with what', () => {
    const { transitions } = described({
      initial: 'a',
      states: {
        a: {
          exit: tell('parent_id', () => ({ type: 'made' })),
          on: { go: { target: 'b', actions: 'named' } },
        },
        b: { entry: tell({ type: 'child', by: 'thing_id' }, { type: 'stop', why: 'over' }) },
      },
    })

    expect(transitions[0]?.tells).toEqual([
      { to: 'parent_id', command: null, required: false },
      { to: { type: 'child', by: 'thing_id' }, command: 'stop', required: false },
    ])
  })
})

function isSunday(): boolean {
  return false
}

describe('a description', () => {
  test('says what the definition says', () => {
    expect(described(nested, { version: 7 })).toMatchObject({
      ...{ type: 'thing', prefix: 'thg', version: 7 },
    })
    expect(described(nested).version).toBe(1)
  })

  test('is plain data, and the same for the same machine', () => {
    fc.assert(
      fc.property(blueprintArbitrary, (blueprint) => {
        const commands = Object.fromEntries(COMMANDS.map((name) => [name, nothing]))
        const once = describeKind(kindOf(buildMachine(blueprint), { commands }))
        const again = describeKind(kindOf(buildMachine(blueprint), { commands }))

        expect(JSON.parse(JSON.stringify(once))).toStrictEqual(once)
        expect(structuredClone(once)).toStrictEqual(again)
        expectReferences(once)
      }),
      { numRuns: 100 },
    )
  })
})

/** Every id that a description mentions is that of a state. */
function expectReferences({ states, transitions, timers, commands, initial }: Description): void {
  const ids = new Set(states.map(({ id }) => id))
  const mentioned = [
    initial.state,
    ...states.flatMap((state) => [state.initial, state.parent]),
    ...transitions.flatMap(({ from, to }) => [from, to]),
    ...timers.flatMap(({ state, to }) => [state, ...to]),
    ...commands.flatMap((command) => command.states),
  ]
  expect(mentioned.filter((id) => id !== null && !ids.has(id))).toEqual([])
}

describe('the built-in resources', () => {
  const kinds = createRegistry({ ...agentPlatform() }, () => '').byType

  function descriptionOf(type: string): Description {
    const kind = kinds.get(type)
    if (kind === undefined) throw new Error(`no ${type}`)
    return describeKind(kind)
  }

  /** The statuses within a state. */
  function statusesIn({ states }: Description, id: string): string[] {
    const within = states.filter((state) => state.id === id || state.id.startsWith(`${id}.`))
    return within.flatMap(({ status }) => status ?? [])
  }

  function statusAfter(description: Description, id: string): string {
    const state = description.states.find((candidate) => candidate.id === id)
    return state?.status ?? statusAfter(description, state?.initial ?? '')
  }

  interface TimerRow {
    readonly name: string
    readonly in: string
    readonly after: string
    readonly to: string
    readonly event: string
  }

  const MILLISECONDS = { m: 60_000, d: 86_400_000 } as const

  const types = Object.keys(lifecycles.resources)

  test.each(types)('%s has the statuses and the start of its table', (type) => {
    const description = descriptionOf(type)
    const { statuses, create, prefix } = lifecycleOf(type)

    expect(description.states.flatMap(({ status }) => status ?? [])).toEqual(Object.keys(statuses))
    expect(
      description.states.filter(({ kind }) => kind === 'final').map(({ status }) => status),
    ).toEqual(Object.keys(statuses).filter((status) => statuses[status]?.terminal))
    expect(description.initial.status).toBe(create.status)
    expect(description.initial.emits).toEqual(create.event === null ? [] : [create.event])
    expect(description.prefix).toBe(prefix)
  })

  test.each(types)('%s has the commands of its table, in the statuses of its table', (type) => {
    const description = descriptionOf(type)
    const { commands, transitions } = lifecycleOf(type)

    const found = description.commands.map(({ name, internal, states, description: text }) => ({
      ...{ name, internal, described: text !== null },
      statuses: states.flatMap((id) => statusesIn(description, id)).sort(),
    }))

    expect(found).toEqual(
      Object.entries(commands).map(([name, { internal }]) => {
        const rows = transitions.filter(({ command }) => command === name)
        const statuses = [...new Set(rows.map(({ from }) => from))].sort()
        return { name, internal, described: true, statuses }
      }),
    )
  })

  test.each(types)('%s has the transitions of its table, with their events', (type) => {
    const description = descriptionOf(type)

    const found = description.transitions
      .filter(({ kind }) => kind === 'command')
      .flatMap(({ from, to, on, emits }) =>
        statusesIn(description, from).map((status) => {
          const after = to === null ? status : statusAfter(description, to)
          return `${status} ${on} ${after} ${emits.join()}`
        }),
      )

    const rows = lifecycleOf(type).transitions.map(
      ({ from, command, to, event }) => `${from} ${command} ${to} ${event ?? ''}`,
    )
    expect(found.sort()).toEqual(rows.sort())
  })

  test.each(types)('%s has the timers of its table', (type) => {
    const description = descriptionOf(type)

    const found = description.timers.map(({ name, state, delay, to }) => ({
      ...{ name, delay, to },
      in: statusesIn(description, state),
      emits: description.transitions.find(({ kind, on }) => kind === 'timer' && on === name)?.emits,
    }))

    expect(found).toEqual(
      (lifecycleOf(type).timers as readonly TimerRow[]).map(
        ({ name, in: statuses, after, to, event }) => {
          const [, amount = '', unit = ''] = /^(\d+)([md])$/.exec(after) ?? []
          const length = MILLISECONDS[unit as keyof typeof MILLISECONDS]
          return {
            ...{ name, delay: length === undefined ? null : Number(amount) * length, to: [to] },
            in: (statuses.split(', counted')[0] ?? '').split(/, | or /),
            emits: [event],
          }
        },
      ),
    )
  })

  test('have the 32 public events, each of them emitted somewhere', () => {
    const events = types.flatMap((type) => descriptionOf(type).events)

    expect(events.map(({ type }) => type).sort()).toEqual([...lifecycles.events].sort())
    expect(events.filter(({ sources }) => sources.length === 0)).toEqual([])
  })
})
