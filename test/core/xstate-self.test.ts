import { describe, expect, test } from 'vitest'
import { type AnyActorRef, assign, createMachine, emit, log, raise, stopChild } from 'xstate'
import {
  lastingSelf,
  type Self,
  StepFailure,
  takeFirstStep,
  takeStep,
  wouldTake,
} from '../../src/core/xstate.ts'
import { caught } from '../support/errors.ts'
import { explode } from '../support/things.ts'

const self: Self = { id: 'thg_1', time: 1000 }

type Clocked = AnyActorRef & { readonly clock: { now(): number } }

/** What a callback can read of itself. */
function seen(own: unknown): unknown[] {
  const { id, clock } = own as Clocked
  return [id, clock.now()]
}

describe('what a callback knows of itself', () => {
  test('is who it is in this step, and the time of this step', () => {
    const found: unknown[] = []
    const machine = createMachine({
      context: ({ self: own }) => ({ first: seen(own) }),
      on: { go: { actions: assign(({ self: own }) => void found.push(seen(own))) } },
    })

    const { snapshot } = takeFirstStep(machine, {}, self)
    takeStep(machine, snapshot, { type: 'go' }, { id: 'thg_2', time: 2000 })

    expect(snapshot.context).toEqual({ first: ['thg_1', 1000] })
    expect(found).toEqual([['thg_2', 2000]])
  })

  test('stays what it was for an action that runs later', () => {
    const lasting = lastingSelf(self)
    const machine = createMachine({})
    takeFirstStep(machine, {}, { id: 'thg_2', time: 2000 })

    expect(seen(lasting)).toEqual(['thg_1', 1000])
  })

  test('does not let it send to its own resource, and says what does', () => {
    expect(() => lastingSelf(self).send({ type: 'go' })).toThrow(
      'an action cannot send to its own resource: use raise, or engine.send outside',
    )
  })
})

describe('a failure of a step', () => {
  test('says what was thrown, by its name', async () => {
    const machine = createMachine({ context: explode })

    const error = await caught(() => takeFirstStep(machine, {}, self))

    expect(error).toMatchObject({
      ...{ name: 'StepFailure', message: 'the machine exploded', reached: undefined },
      cause: { message: 'the machine exploded' },
    })
  })

  test('may be an error that nobody handles', async () => {
    const machine = createMachine({ initial: 'a', states: { a: {} } })
    const { snapshot } = takeFirstStep(machine, {}, self)
    const event = { type: 'xstate.error.actor.x', error: new Error('the child is lost') }

    const error = await caught(() => takeStep(machine, snapshot, event, self))

    expect(error).toBeInstanceOf(StepFailure)
    expect(error).toMatchObject({ cause: event.error })
  })

  test('at first says how far it came', async () => {
    const machine = createMachine({
      initial: 'a',
      states: { a: { always: 'b' }, b: { always: 'c' }, c: { entry: assign(explode) } },
    })

    const error = await caught(() => takeFirstStep(machine, {}, self))

    expect(error).toMatchObject({ reached: { value: 'b' } })
  })
})

describe('the microsteps of a step', () => {
  const effectsOf = (step: ReturnType<typeof takeStep>) =>
    step.microsteps.map(({ snapshot, effects }) => [
      snapshot.value,
      effects.map(({ type }) => type),
    ])

  test('have the effects that each of them had', () => {
    const machine = createMachine({
      initial: 'a',
      states: {
        a: { exit: emit({ type: 'left' }), on: { go: { target: 'b', actions: log('x') } } },
        b: { entry: [raise({ type: 'on' }), emit({ type: 'b' })], on: { on: 'c' } },
        c: { entry: stopChild('none'), always: 'd' },
        d: {},
      },
    })
    const { snapshot } = takeFirstStep(machine, {}, self)

    expect(effectsOf(takeStep(machine, snapshot, { type: 'go' }, self))).toEqual([
      ['b', ['xstate.emit', 'xstate.log', 'xstate.raise', 'xstate.emit']],
      ['c', ['xstate.stopChild']],
      ['d', []],
    ])
  })

  test('begin, in a machine that goes on at once, with the entry, and run nothing twice', () => {
    let guards = 0
    const guard = () => {
      guards += 1
      return true
    }
    const machine = createMachine({
      initial: 'a',
      states: { a: { entry: emit({ type: 'a' }), always: [{ guard, target: 'b' }] }, b: {} },
    })

    expect(effectsOf(takeFirstStep(machine, {}, self))).toEqual([
      ['a', ['xstate.emit']],
      ['b', []],
    ])
    expect(effectsOf(takeFirstStep(machine, {}, self))).toHaveLength(2)
    expect(guards).toBeGreaterThan(0)
    expect(machine.root.states.a?.always).toHaveLength(1)
  })
})

describe('whether an event would be taken', () => {
  test('is found out without running an action', () => {
    const machine = createMachine({
      initial: 'a',
      states: { a: { on: { go: { actions: explode }, no: { guard: () => false } } } },
    })
    const { snapshot } = takeFirstStep(machine, {}, self)

    expect(['go', 'no', 'other'].map((type) => wouldTake(snapshot, { type }))).toEqual([
      ...[true, false, false],
    ])
  })
})
