import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, createMachine, emit } from 'xstate'
import { decide } from '../../src/core/decide.ts'
import { knownDecision } from '../../src/core/fixed-steps.ts'
import { thing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

const went = emit({ type: 'thing.went' })

const machine = createMachine({
  context: ({ input }: { input: object }) => ({ n: 0, ...input }),
  initial: 'calm',
  states: {
    calm: { on: { go: { target: 'busy', actions: went }, rest: { guard: () => true } } },
    busy: {},
  },
} as object) as AnyStateMachine

function setup() {
  const world = openWorld({ things: thing(machine) })
  const kind = world.kind('thing')
  const row = world.row(world.create('thing').id) ?? expect.fail()
  const send = (type: string) => decide(kind, row, { type }, { id: row.id, time: 1000 })
  return { kind, row, send }
}

describe('a decision is known', () => {
  test('once it has been made for any resource in the same state', () => {
    const { kind, row, send } = setup()
    expect(knownDecision(kind, row, 'go')).toBeUndefined()
    send('go')

    expect(knownDecision(kind, { ...row, id: 'thg_2', context: '{"n":7}' }, 'go')).toEqual({
      state: { status: 'busy', final: false, value: '"busy"', memory: null, context: '{"n":7}' },
      emitted: [{ type: 'thing.went', status: 'busy', context: { n: 7 } }],
      ...{ timers: [], tells: [], actions: [] },
    })
  })

  test.each([
    ['in another state', { value: '"busy"' }, 'go'],
    ['with something to remember', { memory: '{"history":{}}' }, 'go'],
    ['for another command', {}, 'rest'],
  ])('for no resource %s', (_, parts, command) => {
    const { kind, row, send } = setup()
    for (const type of ['go', 'rest']) send(type)

    expect(knownDecision(kind, { ...row, ...parts }, command)).toBeUndefined()
  })

  test.each([
    [999, 1000],
    [1000, 1],
  ])('of %i at most a thousand: %i are left after another one', (count, left) => {
    const { kind, send } = setup()
    for (let n = 0; n < count; n++) kind.fixedSteps.set(`${n}`, null)

    send('go')
    send('go')

    expect(kind.fixedSteps.size).toBe(left)
  })
})
