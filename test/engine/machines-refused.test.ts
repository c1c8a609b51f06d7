import { describe, expect, test } from 'vitest'
import {
  type AnyStateMachine,
  assign,
  createMachine,
  fromPromise,
  sendParent,
  sendTo,
  spawnChild,
} from 'xstate'
import { createEngine } from '../../src/index.ts'
import { fullLog, handleOf, openEngine } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { openThing, thing, withThings } from '../support/things.ts'

/** Registers a machine and gives what the engine says against it. */
async function refusalOf(make: () => unknown) {
  return failureOf(async () => {
    const options = { database: ':memory:', ...(make() as object) }
    const engine = await createEngine(options as Parameters<typeof createEngine>[0])
    await engine.close()
  })
}

describe('a machine that cannot work is refused when the engine opens', () => {
  const child = createMachine({})
  const later = fromPromise(async () => 1)
  const on = (actions: unknown) =>
    ({ initial: 'a', states: { a: { on: { go: { actions } } } } }) as object

  test.each<[string, () => AnyStateMachine]>([
    ['invokes', () => createMachine({ initial: 'a', states: { a: { invoke: { src: later } } } })],
    [
      'invokes by name',
      () => createMachine({ initial: 'a', states: { a: { invoke: { src: 'x' } } } }),
    ],
    ['invokes at its root', () => createMachine({ invoke: { src: later } } as object)],
    ['spawns a child', () => createMachine(on(spawnChild(child)))],
    ['sends to an actor', () => createMachine(on(sendTo('other', { type: 'x' })))],
    ['sends to its parent', () => createMachine(on(sendParent({ type: 'x' })))],
    ['names an unknown action', () => createMachine(on('unheardOf'))],
    ['names an unknown action with parameters', () => createMachine(on({ type: 'unheardOf' }))],
    [
      'names an unknown guard',
      () =>
        createMachine({
          initial: 'a',
          states: { a: { on: { go: { target: 'a', guard: 'unheardOf' } } } },
        }),
    ],
    [
      'names an unknown delay',
      () => createMachine({ initial: 'a', states: { a: { after: { unheardOf: 'a' } } } }),
    ],
  ])('one that %s', async (_, make) => {
    const error = await refusalOf(() => withThings(make()))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.reason?.length).toBeGreaterThan(0)
    expect(error.message).toContain('thing')
  })

  test('one that spawns where only running it can show', async () => {
    const { engine, things, id } = await openThing(
      createMachine(on(assign(({ spawn }) => void spawn(child)))),
    )
    const before = await fullLog(engine)

    const error = await failureOf(things.send(id, { type: 'go' }))

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(await fullLog(engine)).toEqual(before)
  })

  const plain = createMachine({ initial: 'a', states: { a: {} } })

  test.each([
    ['type', { prefix: 'other' }],
    ['prefix', { type: 'other' }],
  ])('two with the same %s', async (_, parts) => {
    const error = await refusalOf(() => ({
      resources: { things: thing(plain), others: thing(plain, parts) },
    }))

    expect(['machine_invalid', 'invalid_input']).toContain(error.code)
  })

  test('one whose reference is to a type that nobody registered', async () => {
    const machine = createMachine({ context: { peer_id: null }, initial: 'a', states: { a: {} } })

    const error = await refusalOf(() => withThings(machine, { references: { peer_id: 'nobody' } }))

    expect(['machine_invalid', 'invalid_input']).toContain(error.code)
  })

  test.each(['events', 'close', 'tenant', 'clock', '__proto__'])(
    'one whose property would hide engine.%s',
    async (property) => {
      const error = await refusalOf(() => ({
        resources: Object.fromEntries([[property, thing(plain)]]),
      }))

      expect(['machine_invalid', 'invalid_input']).toContain(error.code)
    },
  )

  test('one that has lost a state in which a stored resource still is', async () => {
    const database = temporaryFile()
    const before = createMachine({ initial: 'a', states: { a: { on: { go: 'b' } }, b: {} } })
    const engine = await openEngine({ database, ...withThings(before) })
    const things = handleOf(engine, 'things')
    for (let i = 0; i < 3; i++) {
      await things.send((await things.create({})).resource.id, { type: 'go' })
    }
    await engine.close()

    const error = await failureOf(async () => {
      const again = await openEngine({ database, ...withThings(plain, { version: 2 }) })
      await again.start().finally(() => again.close())
    })

    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toMatch(/\bb\b/)
    expect(error.message).toContain('3')
  })
})
