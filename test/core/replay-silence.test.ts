import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, cancel, createMachine, emit, raise } from 'xstate'
import { z } from 'zod'
import { passTime } from '../../src/core/replay-silence.ts'
import type { PendingTimer } from '../../src/core/replay-timers.ts'
import { explode, thing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

interface Args {
  readonly context: { readonly n: number }
  readonly event: object
  readonly self: { readonly clock: { now(): number } }
}

const loose = z.looseObject({})
const count = assign((({ context }: Args) => ({ n: context.n + 1 })) as never)

/** Takes an event without a change at those times alone. */
const unless = (isQuiet: (time: number) => boolean) => ({
  actions: assign((({ context, self }: Args) =>
    isQuiet(self.clock.now()) ? {} : { n: context.n + 1 }) as never),
})

const on = {
  quiet: {},
  counts: { actions: count },
  says: { actions: emit({ type: 'thing.said' }) },
  moves: 'moved',
  remembers: { target: '#in', reenter: true },
  sets: { actions: raise({ type: 'quiet' }, { delay: 5, id: 'later' } as object) },
  drops: { actions: cancel('x') },
  dropsBoth: { actions: [cancel('x'), cancel('y')] },
  explodes: { guard: explode },
  keeps: { actions: assign((({ event }: Args) => ('s' in event ? { n: 9 } : {})) as never) },
  quietEarly: unless((time) => time <= 1100),
  quietLate: unless((time) => time >= 1900),
  quietBetween: unless((time) => time > 1100 && time < 1900),
}

/** A machine that remembers how it left `in`. */
const machine = createMachine({
  context: { n: 0 },
  initial: 'in',
  states: {
    in: {
      id: 'in',
      initial: 'calm',
      states: { calm: { on }, moved: {}, last: { type: 'history' } },
    },
  },
} as object) as AnyStateMachine

const commands = Object.fromEntries(Object.keys(on).map((type) => [type, loose]))

function setup(parts: object = {}) {
  const secrets = { s: { path: 's', keep: false } }
  const world = openWorld({ things: thing(machine, { commands, secrets, ...parts }) })
  const { id } = world.create('thing', {})
  const row = world.row(id) ?? expect.fail()
  const kind = world.kind('thing')
  /** Those that may have fired unseen, when they wait until a time. */
  const goneOf = (timers: readonly PendingTimer[], until = 2000, changed = row) =>
    passTime(kind, { row: changed, born: 1, place: 1, timers }, until)
      .timers.filter(({ gone }) => gone)
      .map(({ event }) => JSON.parse(event).type as string)
  return { kind, row, goneOf }
}

function timer(type: string, parts: Partial<PendingTimer> & { payload?: object } = {}) {
  const { payload = {}, ...others } = parts
  const event = JSON.stringify({ ...payload, type })
  return { name: null, event, dueAt: 1100, gone: false, ...others } satisfies PendingTimer
}

describe('a timer may have fired unseen', () => {
  test.each([
    [1099, []],
    [1100, ['quiet']],
  ])('once it is due, which at %i is %j', (until, expected) => {
    expect(setup().goneOf([timer('quiet')], until)).toEqual(expected)
  })

  test.each([
    ['quiet', true],
    ['unheard', true],
    ['drops', true],
    ['dropsBoth', true],
    ['counts', false],
    ['says', false],
    ['moves', false],
    ['remembers', false],
    ['sets', false],
    ['explodes', false],
  ])('where it leaves no trace: %s %s', (type, isGone) => {
    expect(setup().goneOf([timer(type)])).toEqual(isGone ? [type] : [])
  })

  test('where its event is none, it fails and stays', () => {
    expect(setup().goneOf([{ ...timer('quiet'), event: '{}' }])).toEqual([])
  })

  test('and leaves the others as they were', () => {
    const { kind, row } = setup()
    const timers = [timer('counts'), timer('quiet', { name: 'q' }), timer('quiet', { gone: true })]

    const passed = passTime(kind, { row, born: 3, place: 7, timers }, 2000)

    expect(passed).toEqual({
      ...{ row, born: 3, place: 7 },
      timers: [timers[0], { ...timers[1], gone: true }, timers[2]],
    })
  })

  test('without what the machine does not get to see of its event', () => {
    const timers = [timer('keeps', { payload: { s: 'secret' } })]

    expect(setup().goneOf(timers)).toEqual(['keeps'])
    expect(setup({ secrets: {} }).goneOf(timers)).toEqual([])
  })
})

describe('a timer that cancels others', () => {
  const x = (parts: Partial<PendingTimer>) => timer('counts', { name: 'x', ...parts })

  test.each<[string, readonly PendingTimer[], boolean]>([
    ['leaves a trace where one is there', [timer('drops'), x({})], false],
    ['leaves a trace where only one of them is there', [timer('dropsBoth'), x({})], false],
    ['leaves none where that one has gone', [timer('drops'), x({ gone: true })], true],
    ['leaves none where others are there', [timer('drops'), x({ name: 'y' })], true],
    ['leaves none where it means itself', [timer('drops', { name: 'x' })], true],
    [
      'leaves none where that one fell due before and went unseen',
      [timer('drops', { dueAt: 1200 }), timer('quiet', { name: 'x' })],
      true,
    ],
    [
      'leaves a trace where that one falls due later',
      [timer('drops'), timer('quiet', { name: 'x', dueAt: 1200 })],
      false,
    ],
  ])('%s', (_, timers, isGone) => {
    expect(
      setup()
        .goneOf(timers)
        .some((type) => type.startsWith('drops')),
    ).toBe(isGone)
  })
})

describe('a machine that looks at the time', () => {
  test.each([
    ['the first possible one', 'quietEarly', true],
    ['the last possible one', 'quietLate', true],
    ['neither', 'quietBetween', false],
  ])('is asked about the first and the last possible: quiet at %s', (_, type, isGone) => {
    expect(setup().goneOf([timer(type)])).toEqual(isGone ? [type] : [])
  })

  test('is asked about no time before the latest change', () => {
    const { row, goneOf } = setup()
    const changed = { ...row, updatedAt: 1500 }

    expect(goneOf([timer('quietEarly')], 1400, changed)).toEqual([])
    expect(goneOf([timer('quietBetween')], 1400, changed)).toEqual(['quietBetween'])
  })
})

describe('where another machine decided', () => {
  test('any timer that was due may have fired, and no other', () => {
    const { row, goneOf } = setup()
    const timers = [timer('counts'), timer('says', { dueAt: 2001 })]

    expect(goneOf(timers, 2000, { ...row, machine: '0:other' })).toEqual(['counts'])
  })
})
