import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, cancel, createMachine, emit, raise } from 'xstate'
import { z } from 'zod'
import type { Difference } from '../../src/core/entries.ts'
import { planMigration } from '../../src/core/migrate.ts'
import { planReveal } from '../../src/core/plan.ts'
import type { Entry } from '../../src/core/rows.ts'
import { define } from '../support/define.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine with each kind of change. */
const machine = createMachine({
  id: 'm',
  context: { a: 1, b: { c: 2 }, hidden: 3 },
  initial: 'calm',
  states: {
    calm: {
      on: {
        replace: { actions: assign(({ event: { fields } }) => fields) },
        drop: { actions: assign({ a: undefined }) },
        wait: { actions: [timer('plain', { type: 'plain' }), timer('full', { type: 'go', n: 1 })] },
        more: { actions: timer('plain', { type: 'plain', n: 1 }) },
        twice: { actions: [emit({ type: 'thing.went' }), emit({ type: 'thing.late' })] },
        unwait: { actions: [cancel('plain'), timer('plain', { type: 'go' })] },
        go: { target: 'busy', actions: emit({ type: 'thing.went' }) },
        end: { target: 'over', actions: raise({ type: 'go' }, { delay: 1, id: 'late' } as object) },
      },
      after: { 50: { actions: emit({ type: 'thing.late' }) } },
    },
    busy: { always: 'idle' },
    quiet: {},
    idle: {
      entry: emit({ type: 'thing.idle' }),
      on: { quietly: { target: 'hurry', actions: emit({ type: 'thing.went' }) } },
    },
    hurry: { always: 'quiet' },
    over: { type: 'final', entry: emit({ type: 'thing.over' }) },
  },
} as object) as AnyStateMachine

function timer(id: string, event: object) {
  return raise(event as { type: string }, { delay: 10, id } as object)
}

function setup() {
  const names = ['replace', 'drop', 'wait', 'more', 'twice', 'unwait', 'go', 'end', 'quietly']
  const commands = Object.fromEntries(names.map((name) => [name, loose]))
  const world = openWorld({
    things: define({
      ...{ type: 'thing', prefix: 'thg', input: loose, commands, machine },
      ...{ private: ['hidden'], summary: ['a', 'hidden'] },
    }),
  })
  const { id } = world.create('thing')
  /** What the log says of what a command made different. */
  const difference = (type: string, payload: object = {}): Difference =>
    JSON.parse(world.send(id, type, payload).overlay.entries[0]?.change ?? 'null')
  return { world, id, difference }
}

describe('the difference that a change made', () => {
  test('has the fields that are new or have another value', () => {
    const { difference } = setup()

    expect(difference('replace', { fields: { a: 1, b: { c: 3 }, d: null } })).toEqual({
      set: { b: { c: 3 }, d: null },
    })
    expect(difference('replace', { fields: { a: 2, b: { c: 3 } } })).toEqual({ set: { a: 2 } })
  })

  test('has those that are gone', () => {
    expect(setup().difference('drop')).toEqual({ set: {}, unset: ['a'] })
  })

  test('has the timers that were set, with their events where these say more', () => {
    const { difference } = setup()

    expect(difference('wait')).toEqual({
      timers: [
        ['plain', 1010],
        ['full', 1010, { type: 'go', n: 1 }],
      ],
    })
    expect(difference('more')).toEqual({
      timers: [['plain', 1010, { type: 'plain', n: 1 }]],
    })
    expect(difference('unwait')).toEqual({
      timers: [['plain'], ['plain', 1010, { type: 'go' }]],
    })
  })

  test('has the timer that fired', () => {
    const { world } = setup()
    world.time = 1050

    const { entries } = world.fire(1)

    expect(entries).toMatchObject([{ type: 'thing.late', cause: '50' }])
    expect(JSON.parse(entries[0]?.change ?? '')).toEqual({
      fired: ['xstate.after.50.m.calm', 1050],
    })
  })

  test('has the end, and no timers after it', () => {
    const difference = setup().difference('end')

    expect(difference).toMatchObject({ value: 'over', final: true })
    expect(difference).not.toHaveProperty('timers')
    expect(difference).not.toHaveProperty('status')
  })

  test('has the status that it led to where the last event shows another one', () => {
    const { world, id, difference } = setup()

    expect(difference('go')).toEqual({
      ...{ value: 'idle', timers: [['xstate.after.50.m.calm']] },
    })
    const [entry] = world.send(id, 'quietly').overlay.entries
    expect(JSON.parse(entry?.data ?? '').status).toBe('hurry')
    expect(JSON.parse(entry?.change ?? '')).toEqual({ value: 'quiet', status: 'quiet' })
  })
})

describe('the entries of a change', () => {
  test('show the resource as it was at each of them, without what is private', () => {
    const { world, id } = setup()
    world.time = 1010

    const { entries } = world.send(id, 'go').overlay

    const times = {
      created_at: '1970-01-01T00:00:01.000Z',
      updated_at: '1970-01-01T00:00:01.010Z',
    }
    expect(entries.map(({ data }) => JSON.parse(data))).toEqual([
      { id, object: 'thing', status: 'busy', a: 1, ...times },
      { id, object: 'thing', status: 'idle', a: 1, ...times },
    ])
    expect(entries).toMatchObject([
      { type: 'thing.went', previousStatus: 'calm', previousMs: 10, createdAt: 1010 },
      { type: 'thing.idle', previousStatus: 'busy', previousMs: 0, createdAt: 1010 },
    ])
  })

  test('leave a status alone that stays', () => {
    const { world, id } = setup()

    expect(world.send(id, 'twice').overlay.entries).toMatchObject([
      { type: 'thing.went', previousStatus: null, previousMs: null },
      { type: 'thing.late', previousStatus: null, previousMs: null },
    ])
  })
})

describe('the end of a life in the log', () => {
  const opened = (initial: string, parts: object = {}) => {
    const states = { calm: {}, over: { type: 'final' } }
    const of = createMachine({ context: {}, initial, states } as object)
    const world = openWorld({
      things: define({
        ...{ type: 'thing', prefix: 'thg', input: loose, commands: {}, machine: of, ...parts },
      }),
    })
    return { world, id: world.create('thing').id }
  }
  const changeIn = (entries: readonly Entry[]) => JSON.parse(entries.at(-1)?.change ?? 'null')

  test('is told where it ends as soon as it begins', () => {
    expect(changeIn(opened('over').world.stored.log)).toHaveProperty('final', true)
    expect(changeIn(opened('calm').world.stored.log)).not.toHaveProperty('final')
  })

  test('is taken back where a migration lets it go on', () => {
    const { world, id } = opened('calm', { version: 2, migrate: { 1: (state: object) => state } })
    const row = world.row(id) ?? expect.fail()
    world.stored.resources.set(id, { ...row, machine: '1:x', final: true })

    const [, overlay] = world.carryOut((run) => planMigration(run, world.kind('thing'), id))

    expect(changeIn(overlay.entries)).toEqual({ machine: row.machine, final: false })
  })
})

describe('a note', () => {
  test('says what was done with a resource that did not change', () => {
    const { world, id } = setup()
    world.time = 1005

    const [secrets, overlay] = world.carryOut((run) => planReveal(run, world.kind('thing'), id))

    expect(secrets).toEqual({})
    expect(overlay.entries).toEqual([
      {
        ...{ tenant: 'default', type: 'thing.reveal', internal: true, cause: 'reveal' },
        ...{ resourceId: id, resourceVersion: 1, previousStatus: null, previousMs: null },
        ...{ command: null, change: null, actor: null, correlationId: 'corr', causation: null },
        ...{ createdAt: 1005, data: expect.stringContaining('"status":"calm","a":1,') },
      },
    ])
    expect(world.row(id)?.version).toBe(1)
  })

  test('is never dated before the latest change, should the clock go back', () => {
    const { world, id } = setup()
    world.time = 900

    const [, { entries }] = world.carryOut((run) => planReveal(run, world.kind('thing'), id))

    expect(entries).toMatchObject([{ createdAt: 1000 }])
  })
})
