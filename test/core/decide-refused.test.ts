import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, enqueueActions, raise } from 'xstate'
import { failureOf } from '../support/errors.ts'
import { explode, thing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

/** A thing that does something on `go`, on its way to another state. */
function setup(actions: unknown) {
  const machine = createMachine({
    initial: 'calm',
    states: { calm: { on: { go: { target: 'busy', actions } } }, busy: {} },
  } as object) as AnyStateMachine
  const world = openWorld({ things: thing(machine) })
  return { world, id: world.create('thing').id }
}

const child = createMachine({})

describe('a machine is refused for what only running it can show', () => {
  test.each<[string, unknown, string]>([
    ['it spawns', assign(({ spawn }) => void spawn(child)), 'it spawns, which is not supported'],
    [
      'it enqueues what is not supported',
      enqueueActions(({ enqueue }) => enqueue.stopChild('other')),
      'it uses stopChild, which is not supported',
    ],
    [
      'it enqueues what is not implemented',
      enqueueActions(({ enqueue }) => enqueue('unheardOf' as never)),
      'its action "unheardOf" has no implementation',
    ],
  ])('%s', async (_, actions, reason) => {
    const { world, id } = setup(actions)

    expect(await failureOf(() => world.send(id, 'go'))).toMatchObject({
      ...{ code: 'machine_invalid', machine: 'thing', reason },
    })
    expect(world.row(id)?.version).toBe(1)
  })

  test('it throws further on, where it says how far it had come', async () => {
    const machine = createMachine({
      initial: 'calm',
      states: {
        calm: { on: { go: 'busy' } },
        busy: { always: 'late' },
        late: { entry: raise({ type: 'rest' }), on: { rest: { actions: assign(explode) } } },
      },
    } as object) as AnyStateMachine
    const world = openWorld({ things: thing(machine) })
    const { id } = world.create('thing')

    expect((await failureOf(() => world.send(id, 'go'))).reason).toBe(
      'it threw on "go" in state "late": the machine exploded',
    )
  })
})
