import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, emit, raise } from 'xstate'
import { z } from 'zod'
import { planTimer } from '../../src/core/plan.ts'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { explode } from '../support/things.ts'
import { openWorld, type World } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine that sets a timer on `arm`, and takes its event as it is told. */
function waiting(ring: object): AnyStateMachine {
  return createMachine({
    context: ({ input }: { input: object }) => ({ ...input }),
    initial: 'calm',
    states: {
      calm: { on: { arm: { actions: raise({ type: 'ring' }, { delay: 10, id: 'bell' }) }, ring } },
      over: { type: 'final' },
    },
  } as object)
}

/** A thing whose timer is set. */
function armed(ring: object, parts: object = {}) {
  const commands = { arm: loose, ring: loose }
  const machine = waiting(ring)
  const world = openWorld({
    things: define({ type: 'thing', prefix: 'thg', input: loose, commands, machine, ...parts }),
  })
  const { id } = world.create('thing')
  world.send(id, 'arm')
  return { world, id, row: world.row(id) ?? expect.fail() }
}

const fire = (world: World) => world.carryOut((run) => planTimer(run, 1))

const fired = { change: 'fired', position: 1 }

describe('a timer that is due', () => {
  test('says whether it was still there', () => {
    const { world } = armed({ actions: emit({ type: 'thing.rang' }) })

    expect(fire(world)[0]).toBe(true)
    expect(fire(world)[0]).toBe(false)
  })

  test('is asked for once', () => {
    const { world } = armed({ actions: emit({ type: 'thing.rang' }) })
    world.asked.length = 0

    fire(world)

    expect(world.asked.filter(({ ask }) => ask === 'timer')).toHaveLength(1)
  })

  test.each([
    ['of a resource that has ended', true],
    ['of a resource that is not there', false],
  ])('is done away with: one %s', (_, isThere) => {
    const { world, id, row } = armed({ actions: emit({ type: 'thing.rang' }) })
    if (isThere) world.stored.resources.set(id, { ...row, status: 'over', final: true })
    else world.stored.resources.delete(id)

    const [found, { timers, entries }] = fire(world)

    expect({ found, timers, entries }).toEqual({ found: true, timers: [fired], entries: [] })
  })
})

describe('a timer whose event is refused', () => {
  test('is done away with when a guard says no', () => {
    const { world } = armed({ guard: () => false, target: 'over' })

    const [found, { timers, entries }] = fire(world)

    expect({ found, timers, entries }).toEqual({ found: true, timers: [fired], entries: [] })
  })

  test('by those whom it tells fails, and stays', async () => {
    const { world, id } = armed(
      { actions: tell('peer_id', { type: 'ring' }, { required: true }) },
      { references: { peer_id: 'thing' } },
    )
    const peer = world.create('thing').id
    const row = world.row(id) ?? expect.fail()
    world.stored.resources.set(id, { ...row, context: JSON.stringify({ peer_id: peer }) })
    const peerRow = world.row(peer) ?? expect.fail()
    world.stored.resources.set(peer, { ...peerRow, status: 'over', final: true })

    const error = await failureOf(() => fire(world))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reference' })
    expect(world.stored.timers.size).toBe(1)
  })

  test('by a machine that is broken fails, and stays', async () => {
    const { world } = armed({ guard: explode })

    expect(await failureOf(() => fire(world))).toMatchObject({ code: 'machine_invalid' })
    expect(world.stored.timers.size).toBe(1)
  })
})

describe('a timer of a resource of an earlier version', () => {
  const count = assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 })

  /** A thing as if its timer had been set by version 1. */
  function outdated(machine: { value: string }, ring: object = { actions: count }) {
    const migrate = { 1: () => ({ value: machine.value, context: { n: 10 } }) }
    const found = armed(ring, { version: 2, migrate })
    found.world.stored.resources.set(found.id, { ...found.row, machine: '1:other' })
    return found
  }

  test('fires after the migration', () => {
    const { world, id } = outdated({ value: 'calm' })

    const [found, { entries }] = fire(world)

    expect(found).toBe(true)
    expect(entries.map(({ type }) => type)).toEqual(['thing.migrate', 'thing.ring'])
    expect(world.row(id)?.context).toBe('{"n":11}')
    expect(world.stored.timers.size).toBe(0)
  })

  test('is gone when the migration ends the resource', () => {
    const { world, id } = outdated({ value: 'over' })

    const [found, { timers, entries }] = fire(world)

    expect(found).toBe(false)
    expect(entries.map(({ type }) => type)).toEqual(['thing.migrate'])
    expect(timers).toEqual([{ change: 'clear', resourceId: id }])
  })
})
