import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  assign,
  createMachine,
  emit,
  getInitialMicrosteps,
  getMicrosteps,
  initialTransition,
  raise,
  transition,
} from 'xstate'
import {
  candidates,
  type Step,
  StepFailure,
  takeFirstStep,
  takeStep,
  wouldTake,
} from '../../src/core/xstate.ts'
import { blueprintArbitrary, buildMachine, COMMANDS } from '../support/random-machines.ts'
import { explode } from '../support/things.ts'

const self = { id: 'thg_1', time: 1000 }

/** How often each property is tried; set PAWL_NUM_RUNS for a longer night. */
const numRuns = Number(process.env.PAWL_NUM_RUNS ?? 100)

/** What a step says, from either side. */
interface View {
  readonly value: unknown
  readonly context: unknown
  readonly effects: readonly string[]
}

/** XState's microsteps, without those in which an event was dropped that nobody waits for. */
type Microsteps = readonly (readonly [AnyMachineSnapshot, readonly { readonly type: string }[]])[]

function viewsOf(microsteps: Microsteps, from: AnyMachineSnapshot | null): View[] {
  const taken = microsteps.filter(
    ([snapshot], index) => snapshot !== (microsteps[index - 1]?.[0] ?? from),
  )
  return taken.map(([{ value, context }, effects]) => ({
    value,
    context: context as unknown,
    effects: effects.map(({ type }) => type),
  }))
}

function expectSame(step: Step, microsteps: Microsteps, from: AnyMachineSnapshot | null): void {
  const own: Microsteps = step.microsteps.map(({ snapshot, effects }) => [snapshot, effects])
  expect(viewsOf(own, from)).toEqual(viewsOf(microsteps, from))
}

function expectSameEnd(
  { snapshot, microsteps }: Step,
  [expected, effects]: ReturnType<typeof transition<AnyStateMachine>>,
): void {
  const { value, context, status, historyValue } = snapshot
  expect({ value, context, status }).toEqual({
    ...{ value: expected.value, context: expected.context as unknown, status: expected.status },
  })
  expect(Object.keys(historyValue as object)).toEqual(Object.keys(expected.historyValue as object))
  const own = microsteps.flatMap((microstep) => microstep.effects.map(({ type }) => type))
  expect(own).toEqual(effects.map(({ type }) => type))
}

const commands = fc.array(fc.record({ type: fc.constantFrom(...COMMANDS), n: fc.nat(3) }), {
  minLength: 1,
  maxLength: 10,
})

describe('a step of any machine is what XState says', () => {
  test('at first', { timeout: 60_000 }, () => {
    const property = fc.property(blueprintArbitrary, (blueprint) => {
      const machine = buildMachine(blueprint)
      const step = takeFirstStep(machine, {}, self)
      expectSame(step, getInitialMicrosteps(machine, {}), null)
      expectSameEnd(step, initialTransition(machine, {}))
    })

    fc.assert(property, { numRuns })
  })

  test('on every command after it', { timeout: 60_000 }, () => {
    const property = fc.property(blueprintArbitrary, commands, (blueprint, sent) => {
      const machine = buildMachine(blueprint)
      let snapshot: AnyMachineSnapshot = takeFirstStep(machine, {}, self).snapshot
      for (const command of sent) {
        if (snapshot.status !== 'active') return
        const step = takeStep(machine, snapshot, command, self)
        expect(step.accepted).toBe(machine.getTransitionData(snapshot, command).length > 0)
        expect(wouldTake(snapshot, command)).toBe(step.accepted)
        // XState goes on to look at `always`, whose guards may read any event; a refusal leaves all as it is.
        if (!step.accepted) continue
        expectSame(step, getMicrosteps(machine, snapshot, command), snapshot)
        expectSameEnd(step, transition(machine, snapshot, command))
        snapshot = step.snapshot
      }
    })

    fc.assert(property, { numRuns })
  })
})

describe('a first step', () => {
  test('of a machine that goes on at once has the context of each microstep', () => {
    const machine = createMachine({
      context: { n: 0 },
      initial: 'a',
      states: {
        a: { entry: [emit({ type: 'x' }), assign({ n: 1 })], always: 'b' },
        b: { entry: [assign({ n: 2 }), emit({ type: 'y' })] },
      },
    })

    const { microsteps } = takeFirstStep(machine, {}, self)

    expect(microsteps.map(({ snapshot }) => [snapshot.value, snapshot.context])).toEqual([
      ['a', { n: 1 }],
      ['b', { n: 2 }],
    ])
  })
})

describe('a callback of a machine sees', () => {
  test('who it is and what time it is', () => {
    const seen: unknown[] = []
    const machine = createMachine({
      context: ({ self: own }) => ({ id: own.id }),
      on: { go: { actions: assign(({ self: own }) => void seen.push(own.id)) } },
    })

    const first = takeFirstStep(machine, {}, { id: 'thg_1', time: 1 })
    takeStep(machine, first.snapshot, { type: 'go' }, { id: 'thg_2', time: 2 })

    expect(first.snapshot.context).toEqual({ id: 'thg_1' })
    expect(seen).toEqual(['thg_2'])
  })
})

describe('a step that throws', () => {
  const machine = createMachine({
    initial: 'a',
    states: {
      a: { on: { early: { actions: assign(explode) }, late: 'b', guarded: { guard: explode } } },
      b: { always: { target: 'c' } },
      c: { entry: assign(explode) },
    },
  })
  const { snapshot } = takeFirstStep(machine, {}, self)

  test.each([
    ['early', undefined],
    ['guarded', undefined],
    ['late', 'b'],
  ])('on %s says how far it came', (type, reached) => {
    const step = () => takeStep(machine, snapshot, { type }, self)

    expect(step).toThrow(StepFailure)
    expect(step).toThrow(
      expect.objectContaining({
        cause: expect.objectContaining({ message: expect.stringContaining('exploded') }),
        reached: reached === undefined ? undefined : expect.objectContaining({ value: reached }),
      }),
    )
  })

  test('leaves nothing behind for the next one', () => {
    expect(() => takeStep(machine, snapshot, { type: 'early' }, self)).toThrow(StepFailure)

    const calm = createMachine({ on: { go: { actions: emit({ type: 'x' }) } } })
    const step = takeStep(calm, takeFirstStep(calm, {}, self).snapshot, { type: 'go' }, self)

    expect(step.microsteps.map(({ effects }) => effects.map(({ type }) => type))).toEqual([
      ['xstate.emit'],
    ])
  })
})

describe('an event that nobody waits for', () => {
  const machine = createMachine({
    initial: 'a',
    states: {
      a: { on: { go: { actions: raise({ type: 'unheard' }) }, no: { guard: () => false } } },
    },
  })
  const { snapshot } = takeFirstStep(machine, {}, self)

  test.each(['unknown', 'no'])('is not accepted: %s', (type) => {
    expect(takeStep(machine, snapshot, { type }, self)).toEqual({
      snapshot,
      microsteps: [],
      accepted: false,
    })
  })

  test('but was raised is no microstep', () => {
    expect(takeStep(machine, snapshot, { type: 'go' }, self).microsteps).toHaveLength(1)
  })
})

describe('the candidates for an event', () => {
  const machine = createMachine({
    initial: 'a',
    on: { '*': { guard: () => false } },
    states: {
      a: { on: { 'order.*': 'b', 'order.paid': 'b', go: { target: 'b', guard: () => false } } },
      b: {},
    },
  })
  const { snapshot } = takeFirstStep(machine, {}, self)

  test.each([
    ['go', ['go', '*']],
    ['order.paid', ['order.paid', 'order.*', '*']],
    ['order.sent.late', ['order.*', '*']],
    ['order', ['order.*', '*']],
    ['orders', ['*']],
  ])('%s are %j', (type, expected) => {
    const found = candidates(snapshot, type).map(({ eventType }) => eventType)

    expect(found.toSorted()).toEqual(expected.toSorted())
  })
})
