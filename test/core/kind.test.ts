import { describe, expect, test } from 'vitest'
import { createMachine, setup } from 'xstate'
import { z } from 'zod'
import { calling, toKind } from '../../src/core/kind.ts'
import { PawlError } from '../../src/errors.ts'
import { define } from '../support/define.ts'
import { caught, failureOf } from '../support/errors.ts'

const nothing = z.strictObject({})
const plain = { initial: 'calm', states: { calm: {} } }

function kindOf(config: object, parts: object = {}) {
  const definition = {
    ...{ type: 'thing', prefix: 'thg', input: nothing, commands: { go: nothing } },
    machine: createMachine(config),
    ...parts,
  }
  return toKind(define(definition), (structure) => structure)
}

describe('the statuses of a machine', () => {
  test.each<[string, object, readonly string[]]>([
    ['are its innermost states', plain, ['calm']],
    ['are the root alone where it has no states', {}, ['active']],
    [
      'are without those that hold others, and with those that are final',
      {
        initial: 'a',
        states: {
          a: { initial: 'b', states: { b: {}, c: {} } },
          d: { type: 'final' },
          e: { type: 'history' },
        },
      },
      ['b', 'c', 'd'],
    ],
    [
      'are without what is within a parallel state',
      {
        initial: 'both',
        states: {
          both: {
            type: 'parallel',
            states: { x: {}, y: { initial: 'z', states: { z: {}, w: { type: 'parallel' } } } },
          },
          end: {},
        },
      },
      ['both', 'end'],
    ],
    [
      'are the root alone where it is parallel',
      { type: 'parallel', states: { x: {} } },
      ['active'],
    ],
    [
      'are told once where two states have one name',
      { initial: 'a', states: { a: { initial: 'x', states: { x: {} } }, x: {} } },
      ['x'],
    ],
  ])('%s', (_, config, statuses) => {
    expect(kindOf(config).statuses).toEqual(statuses)
  })

  test('are unknown where the definition names them', () => {
    const kind = kindOf(plain, { status: ({ value }: { value: string }) => `is ${value}` })

    expect(kind.statuses).toEqual([])
    expect(kind.status?.({ value: 'calm', context: {} })).toBe('is calm')
  })
})

test('the causes of a change are the commands, the timers and what the engine does, each once', () => {
  const machine = { on: { go: {}, hidden: {} }, after: { 100: {} } }

  expect(kindOf(machine).causes).toEqual(
    expect.arrayContaining(['create', 'reveal', 'migrate', 'go', 'hidden']),
  )
  expect(kindOf(machine).causes.filter((cause) => cause === 'go')).toHaveLength(1)
  expect(kindOf(machine).causes).toHaveLength(6)
})

describe('the fingerprint of a machine', () => {
  const base = { id: 'm', initial: 'a', states: { a: { on: { go: 'b' } }, b: {} } }
  const print = (config: object, parts: object = {}) => kindOf(config, parts).fingerprint

  test('begins with its version, 1 by default', () => {
    expect(print(base)).toMatch(/^1:/)
    expect(print(base, { version: 12 })).toMatch(/^12:/)
  })

  test('is the same for the same machine', () => {
    expect(print(structuredClone(base))).toBe(print(base))
    expect(print(base, { references: { a_id: 'thing' } })).toBe(
      print(base, { references: { a_id: { type: 'thing' } } }),
    )
  })

  test.each<[string, object, object]>([
    ['another target', { states: { a: { on: { go: 'a' } }, b: {} } }, {}],
    ['another command', { states: { a: { on: { run: 'b' } }, b: {} } }, {}],
    ['another state', { states: { a: { on: { go: 'b' } }, b: {}, c: {} } }, {}],
    ['another type of state', { states: { a: { on: { go: 'b' } }, b: { type: 'final' } } }, {}],
    ['another initial state', { initial: 'b' }, {}],
    ['a step without an event', { states: { a: { on: { go: 'b' } }, b: { always: 'a' } } }, {}],
    ['a timer', { states: { a: { on: { go: 'b' }, after: { 10: 'b' } }, b: {} } }, {}],
    ['a reference', {}, { references: { a_id: 'thing' } }],
    ['a reference to another type', {}, { references: { a_id: 'other' } }],
  ])('is another one with %s', (_, change, parts) => {
    const others = new Set([print(base), print({ ...base, ...change }, parts)])

    expect(others.size).toBe(2)
    expect(print(base, { references: { a_id: 'thing' } })).not.toBe(
      print(base, { references: { a_id: 'other' } }),
    )
  })

  test('tells deep and shallow histories apart', () => {
    const withHistory = (history: string) => ({
      ...{ initial: 'a', states: { a: {}, h: { type: 'history', history } } },
    })

    expect(print(withHistory('deep'))).not.toBe(print(withHistory('shallow')))
  })
})

describe('the checks of a definition', () => {
  const check = () => []

  test('can be one for all commands', () => {
    expect(kindOf(plain, { check }).check('anything')).toBe(check)
  })

  test('can be one for each', () => {
    const { check: checkOf } = kindOf(plain, { check: { go: check } })

    expect(checkOf('go')).toBe(check)
    expect([checkOf('other'), checkOf('toString')]).toEqual([undefined, undefined])
  })

  test('can be none', () => {
    expect(kindOf(plain).check('go')).toBeUndefined()
  })
})

describe('the migrations of a definition', () => {
  test('come in the order of their versions, as numbers', () => {
    const step = (state: object) => state
    const migrate = Object.fromEntries([
      ['10', step],
      ['9', step],
      ['02', step],
    ])

    expect([...kindOf(plain, { migrate }).migrations.keys()]).toEqual([2, 9, 10])
    expect([...kindOf(plain).migrations]).toEqual([])
  })

  test.each([['a text'], [null], [5], [() => 1]])(
    'have to be an object: %s is none',
    async (migrate) => {
      expect(await failureOf(() => kindOf(plain, { migrate }))).toMatchObject({
        code: 'machine_invalid',
        reason: 'its migrate has to be an object of functions, by version',
      })
    },
  )
})

describe('a function of a definition', () => {
  test('that throws is named', async () => {
    const cause = new Error('no idea')
    const explode = () => {
      throw cause
    }

    const error = await caught(() => calling({ type: 'thing' }, 'summary', explode))

    expect(error).toMatchObject({
      code: 'machine_invalid',
      message: 'the machine of "thing" cannot work: its summary threw: no idea',
      cause,
    })
  })

  test('may throw an error of the engine', async () => {
    const own = new PawlError('not_found', 'not there', { resource_id: 'x' })
    const refuse = () => {
      throw own
    }

    expect(await caught(() => calling({ type: 'thing' }, 'check', refuse))).toBe(own)
  })
})

describe('the delays of a machine', () => {
  const delayed = (delay: unknown) =>
    setup({ delays: { soon: delay as number } }).createMachine({
      initial: 'a',
      states: { a: { after: { soon: 'b' } }, b: {} },
    })
  const delayOf = (delay: unknown) => {
    const { machine } = kindOf({}, { machine: delayed(delay) })
    return machine.implementations.delays.soon as (args: object) => number
  }

  test.each([[0], [10], [-5], [() => 10]])(
    'are numbers, or functions that give one: %s',
    (delay) => {
      expect(Number.isFinite(delayOf(delay)({}))).toBe(true)
    },
  )

  test('are given what they depend on', () => {
    expect(delayOf(({ context }: { context: number }) => context * 2)({ context: 21 })).toBe(42)
  })

  test.each([['10'], [Number.NaN], [Number.POSITIVE_INFINITY], [null], [() => undefined]])(
    'are nothing else: %s',
    async (delay) => {
      expect(await failureOf(() => delayOf(delay)({}))).toMatchObject({
        code: 'machine_invalid',
        reason: expect.stringMatching(
          /^its delay "soon" is .+ instead of a number of milliseconds$/,
        ),
      })
    },
  )
})

test('a machine is bounded in its microsteps, by itself where it says less', () => {
  const bound = (options: object) => kindOf({ ...plain, options }).machine.options.maxIterations

  expect(bound({})).toBe(1001)
  expect(bound({ maxIterations: 5 })).toBe(5)
  expect(bound({ maxIterations: 5000 })).toBe(1001)
})
