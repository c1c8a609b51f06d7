import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, createMachine, emit } from 'xstate'
import { z } from 'zod'
import { planMigration } from '../../src/core/migrate.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

const machine = createMachine({
  context: ({ input }: { input: object }) => ({ ...input }),
  initial: 'calm',
  states: { calm: { on: { go: { actions: emit({ type: 'thing.went' }) } } } },
} as object) as AnyStateMachine

/** A thing that another version of the machine wrote, and things that are up to date. */
function setup(fingerprint: string, parts: object = {}) {
  const resource = (type: string, more: object = {}) =>
    define({
      type,
      prefix: type.slice(0, 3),
      input: loose,
      commands: { go: loose },
      machine,
      ...more,
    })
  const migrate = { 1: (state: object) => state }
  const world = openWorld({
    things: resource('thing', { version: 2, migrate, ...parts }),
    others: resource('other'),
  })
  const { id } = world.create('thing')
  const row = world.row(id) ?? expect.fail()
  world.stored.resources.set(id, { ...row, machine: fingerprint })
  world.stored.log.length = 0
  return {
    world,
    id,
    migrated: (of = id) => world.carryOut((run) => planMigration(run, world.kind('thing'), of)),
  }
}

describe('a command that reaches a resource of another version', () => {
  test.each([
    [
      'of an earlier one that leads here, migrates it first',
      '1:x',
      {},
      ['thing.migrate', 'thing.went'],
    ],
    [
      'of an earlier one that leads nowhere, leaves it there',
      '1:x',
      { migrate: {} },
      ['thing.went'],
    ],
    ['of the same one with another structure, leaves it there', '2:x', {}, ['thing.went']],
  ])('%s', (_, fingerprint, parts, types) => {
    const { world, id } = setup(fingerprint, parts)

    world.send(id, 'go')

    expect(world.stored.log.map(({ type }) => type)).toEqual(types)
  })

  test('of a later one, is refused until the engine is of that version too', async () => {
    const { world, id } = setup('3:x')

    const { code, message } = await failureOf(() => world.send(id, 'go'))

    expect(code).toBe('machine_invalid')
    expect(message).toBe(
      `the machine of "thing" cannot work: ${id} is of version 3, and this engine has version 2; start it with the later one`,
    )
    expect(world.stored.log).toEqual([])
  })
})

describe('a migration', () => {
  test('says from which version it was, and writes nothing but the change', () => {
    const { id, migrated } = setup('1:x')

    const [from, overlay] = migrated()

    expect(from).toBe(1)
    expect(overlay).toMatchObject({ secrets: [], actions: [], timers: [], changed: new Set([id]) })
    expect(overlay.entries.map(({ type }) => type)).toEqual(['thing.migrate'])
  })

  test.each(['2:x', '3:x'])('is not needed from %s on', (fingerprint) => {
    expect(setup(fingerprint).migrated()[0]).toBeNull()
  })

  test('is not needed once it has been done', () => {
    const { migrated } = setup('1:x')
    migrated()

    const [from, { entries }] = migrated()

    expect({ from, entries }).toEqual({ from: null, entries: [] })
  })

  test.each([
    ['null', null],
    ['null for a context', { value: 'calm', context: null }],
    ['null for a value', { value: null, context: {} }],
  ])('cannot give %s', async (_, given) => {
    const { migrated } = setup('1:x', { migrate: { 1: () => given } })

    expect((await failureOf(() => migrated())).message).toBe(
      'the machine of "thing" cannot work: its migrate from version 1 has to give { value, context }: a state value, and an object',
    )
  })

  test('is not needed for what is not there', () => {
    expect(setup('1:x').migrated('thi_none')[0]).toBeNull()
  })

  test.each([
    ['is of another type', 'other'],
    ['is not there', 'none'],
    ['belongs to another tenant', 'tenant'],
  ])('cannot lead to a reference to what %s', async (_, what) => {
    const ids: Record<string, string> = { none: 'thi_none' }
    const { world, migrated } = setup('1:x', {
      references: { peer_id: 'thing' },
      migrate: { 1: () => ({ value: 'calm', context: { peer_id: ids[what] } }) },
    })
    ids.other = world.create('other').id
    ids.tenant = world.create('thing').id
    const row = world.row(ids.tenant) ?? expect.fail()
    world.stored.resources.set(ids.tenant, { ...row, tenant: 'another' })

    expect((await failureOf(() => migrated())).message).toBe(
      `the machine of "thing" cannot work: its migrate leaves "${ids[what]}" in "peer_id", but there is no such thing`,
    )
  })

  test('may lead to a reference to what is there', () => {
    const context: Record<string, unknown> = {}
    const { world, id, migrated } = setup('1:x', {
      references: { peer_id: 'thing', none_id: 'thing' },
      migrate: { 1: () => ({ value: 'calm', context }) },
    })
    context.peer_id = world.create('thing').id

    expect(migrated()[0]).toBe(1)
    expect(world.stored.references.get(id)).toEqual(new Map([['peer_id', context.peer_id]]))
  })
})
