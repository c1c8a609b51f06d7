import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, raise } from 'xstate'
import { z } from 'zod'
import { referenceIn, timeFor } from '../../src/core/change.ts'
import { planMigration } from '../../src/core/migrate.ts'
import type { ResourceRow } from '../../src/core/rows.ts'
import type { Run } from '../../src/core/run.ts'
import { define } from '../support/define.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine that keeps what it is given, does something after that, and ends. */
function keeping(act: () => void = () => {}): AnyStateMachine {
  const keep = assign(({ event: { type, ...fields } }) => fields)
  return createMachine({
    context: ({ input }: { input: object }) => ({ ...input }),
    initial: 'calm',
    states: {
      calm: { on: { change: { actions: [keep, act] }, touch: { actions: act }, end: 'ended' } },
      ended: {
        type: 'final',
        entry: raise({ type: 'touch' }, { delay: 10, id: 'late' } as object),
      },
    },
  } as object)
}

function setup(parts: object = {}, act?: () => void) {
  const commands = { change: loose, touch: loose, end: loose }
  const machine = keeping(act)
  const world = openWorld({
    things: define({ type: 'thing', prefix: 'thg', input: loose, commands, machine, ...parts }),
  })
  return { world, peers: [world.create('thing').id, world.create('thing').id] as const }
}

describe('the time of a change', () => {
  test.each([
    [1000, 900, 1000],
    [1000, 1100, 1100],
  ])('at %i after %i is %i', (time, updatedAt, expected) => {
    expect(timeFor({ time } as Run, { updatedAt } as ResourceRow)).toBe(expected)
  })
})

describe('the references that a change writes', () => {
  const references = { a_id: 'thing', b_id: 'thing' }
  const set = (resourceId: string, field: string, targetId: string | null) => ({
    ...{ resourceId, type: 'thing', field, targetId },
  })

  test('are those that a new resource has', () => {
    const { world, peers } = setup({ references })

    const { id, overlay } = world.create('thing', { a_id: peers[0], b_id: null })

    expect(overlay.references).toEqual([set(id, 'a_id', peers[0])])
  })

  test('are those that are different, the ones that are gone included', () => {
    const { world, peers } = setup({ references })
    const { id } = world.create('thing', { a_id: peers[0], b_id: peers[0] })
    const written = (fields: object) => world.send(id, 'change', fields).overlay.references

    expect(written({ n: 1 })).toEqual([])
    expect(written({ a_id: peers[1] })).toEqual([set(id, 'a_id', peers[1])])
    expect(written({ a_id: null, b_id: peers[1] })).toEqual([
      ...[set(id, 'a_id', null), set(id, 'b_id', peers[1])],
    ])
  })

  test('are none of a type without any', () => {
    const { world, peers } = setup()

    expect(world.send(peers[0], 'change', { a_id: peers[1] }).overlay.references).toEqual([])
  })

  test('are all of them after a migration, those that are empty included', () => {
    const migrate = { 1: (state: object) => state }
    const { world, peers } = setup({ references, version: 2, migrate })
    const { id } = world.create('thing', { a_id: peers[0], b_id: null })
    const row = world.row(id) ?? expect.fail()
    world.stored.resources.set(id, { ...row, machine: '1:other' })

    const [, overlay] = world.carryOut((run) => planMigration(run, world.kind('thing'), id))

    expect(overlay.references).toEqual([set(id, 'a_id', peers[0]), set(id, 'b_id', null)])
  })

  test.each([
    ['an id', 'thg_1', 'thg_1'],
    ['null', null, null],
    ['a number', 5, null],
    ['an object', { id: 'thg_1' }, null],
  ])('come from texts alone: %s', (_, value, expected) => {
    expect(referenceIn({ a_id: value }, 'a_id')).toBe(expected)
    expect(referenceIn({ b_id: value }, 'a_id')).toBeNull()
  })
})

describe('the end of a resource', () => {
  test.each([
    ['and erases the secrets that were kept', { s: { path: 's' } }, ['erase']],
    ['and there were none to erase', {}, []],
    ['and none of its secrets had been kept', { s: { path: 's', keep: false } }, []],
  ])('clears its timers and sets no other, %s', (_, secrets, erased) => {
    const { world, peers } = setup({ secrets })

    const { overlay } = world.send(peers[0], 'end')

    expect(overlay.timers).toEqual([{ change: 'clear', resourceId: peers[0] }])
    expect(overlay.secrets).toEqual(
      erased.map((change) => ({ change, resourceId: peers[0], name: null })),
    )
  })
})

describe("the user's own actions", () => {
  test('run later, whether anything has changed or not', () => {
    let count = 0
    const { world, peers } = setup({}, () => {
      count += 1
    })

    const results = [world.send(peers[0], 'change', { n: 1 }), world.send(peers[0], 'touch')]

    expect(count).toBe(0)
    expect(results.map(({ changed }) => changed)).toEqual([true, false])
    for (const { overlay } of results) for (const action of overlay.actions) action()
    expect(count).toBe(2)
  })
})
