import { describe, expect, test } from 'vitest'
import {
  type AnyStateMachine,
  assign,
  createMachine,
  emit,
  enqueueActions,
  log,
  raise,
} from 'xstate'
import { z } from 'zod'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine in one state that does something on `go`. */
function doing(actions: unknown, context: object = {}): AnyStateMachine {
  return createMachine({
    context: ({ input }: { input: object }) => ({ ...context, ...input }),
    initial: 'calm',
    states: { calm: { on: { go: { actions } } } },
  } as object)
}

function setup(machine: AnyStateMachine, parts: object = {}) {
  const world = openWorld({
    things: define({
      ...{ type: 'thing', prefix: 'thg', input: loose, commands: { go: loose }, machine },
      ...parts,
    }),
  })
  return { world, id: world.create('thing', {}).id }
}

/** Why a machine is invalid, once it is sent `go`. */
async function reasonOf(actions: unknown, parts: object = {}): Promise<string | undefined> {
  const { world, id } = setup(doing(actions), parts)
  const { code, message } = await failureOf(() => world.send(id, 'go', { n: 1 }))
  expect(code).toBe('machine_invalid')
  return /^the machine of "thing" cannot work: (.*)$/.exec(message)?.[1]
}

const set = (fields: object) => assign(() => fields)

describe('a context', () => {
  test.each(['id', 'object', 'status', 'version', 'created_at', 'updated_at'])(
    'cannot have a field that every resource has: %s',
    async (field) => {
      expect(await reasonOf(set({ [field]: 1 }))).toBe(
        `its context has a field "${field}", which the engine gives every resource`,
      )
    },
  )

  test('has to be JSON', async () => {
    expect(await reasonOf(set({ a: { b: 1n } }))).toBe(
      'its context cannot be stored: a.b is of type bigint, which JSON cannot hold',
    )
  })

  test('stays the same text where nothing is assigned', () => {
    const { world, id } = setup(doing(emit({ type: 'thing.went' }), { a: 1 }))
    const before = world.row(id)?.context

    world.send(id, 'go')

    expect(world.row(id)?.context).toBe(before)
  })
})

describe('what a machine does that cannot be', () => {
  const enqueued = (emitted: string) =>
    enqueueActions(({ enqueue }) => enqueue.emit({ type: emitted } as never))

  test('is named: an event that nobody knows', async () => {
    const parts = { events: ['thing.a', 'thing.b'] }

    expect(await reasonOf(enqueued('thing.c'), parts)).toBe(
      'it emits "thing.c", which is not among its events: thing.a, thing.b',
    )
  })

  test('is named: a timer whose event is no JSON', async () => {
    const actions = raise(() => ({ type: 'go', a: { b: Number.NaN } }), { delay: 10 } as object)

    expect(await reasonOf(actions)).toBe(
      'it sets a timer with "go", whose a.b is NaN, which JSON cannot hold',
    )
  })

  test('is named: a timer beyond all times', async () => {
    const actions = raise({ type: 'go' }, { delay: () => 8.64e15 } as object)

    expect(await reasonOf(actions)).toBe('it sets a timer with a delay of 8640000000000000 ms')
  })

  test('may set a timer at the last moment there is', () => {
    const { world, id } = setup(
      doing(raise({ type: 'go' }, { delay: () => 8.64e15 - 1000 } as object)),
    )

    world.send(id, 'go')

    expect([...world.stored.timers.values()].map(({ dueAt }) => dueAt)).toEqual([8.64e15])
  })

  test('is named: a throw, with where it was', async () => {
    const throwing = assign(() => {
      throw new Error('no idea')
    })
    const start = createMachine({
      context: () => {
        throw new Error('at once')
      },
    })

    expect(await reasonOf(throwing)).toBe('it threw on "go" in state "calm": no idea')
    expect((await failureOf(() => setup(start))).message).toBe(
      'the machine of "thing" cannot work: it threw on "create": at once',
    )
  })

  test('is told as its own when it comes from the engine', async () => {
    const parts = {
      machine: createMachine(
        { initial: 'calm', states: { calm: { on: { go: {} }, after: { soon: {} } } } },
        {
          delays: { soon: () => Number.NaN },
        } as object,
      ),
    }

    expect((await failureOf(() => setup(doing([]), parts))).message).toBe(
      'the machine of "thing" cannot work: its delay "soon" is null instead of a number of milliseconds',
    )
  })

  test('is named: to tell what the other does not take', async () => {
    const wrong = { type: 'go', n: 1n }
    const { world, id } = setup(doing(tell('peer_id', () => wrong)), {
      references: { peer_id: 'thing' },
    })
    const peer = world.create('thing', { peer_id: id }).id

    expect((await failureOf(() => world.send(peer, 'go'))).message).toBe(
      'the machine of "thing" cannot work: on "go" it tells thing what that does not take',
    )
  })
})

describe('what a machine does besides', () => {
  test('may be to log, which leaves no trace', () => {
    const { world, id } = setup(doing(log('hello')))

    expect(world.send(id, 'go').overlay.entries).toEqual([])
  })

  test('is done after the commit, with the context, the event, the parameters and itself', () => {
    const calls: unknown[][] = []
    const note = (
      { context, event, self }: { context: object; event: object; self: { id: string } },
      params: unknown,
    ) => {
      calls.push([context, event, self.id, params])
    }
    const machine = doing({ type: 'note', params: { loud: true } }, { a: 1 })
    const { world, id } = setup(machine.provide({ actions: { note } } as object))

    const { overlay } = world.send(id, 'go', { n: 1 })
    const before = calls.length
    for (const action of overlay.actions) action()

    expect(before).toBe(0)
    expect(calls).toEqual([[{ a: 1 }, { type: 'go', n: 1 }, id, { loud: true }]])
  })
})
