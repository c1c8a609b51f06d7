import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine } from 'xstate'
import { z } from 'zod'
import type { Checked } from '../../src/core/definition.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine that keeps what it is given, until it ends. */
function keeping(): AnyStateMachine {
  const keep = assign(({ event: { type, ...fields } }) => fields)
  return createMachine({
    context: ({ input }: { input: object }) => input,
    initial: 'calm',
    states: {
      calm: { on: { change: { actions: keep }, rest: 'resting', end: 'ended' } },
      resting: { on: { wake: 'calm' } },
      ended: { type: 'final' },
    },
  } as object)
}

const commands = { change: loose, rest: loose, wake: loose, end: loose }

function resource(type: string, parts: object = {}) {
  return define({
    ...{ type, prefix: type.slice(0, 3), input: loose, commands, machine: keeping(), ...parts },
  })
}

function setup(reference: unknown = 'owner', parts: object = {}) {
  const world = openWorld({
    owners: resource('owner', { private: ['hidden'] }),
    others: resource('other'),
    items: resource('item', { references: { owner_id: reference }, ...parts }),
  })
  const owner = world.create('owner', { name: 'ada', hidden: 1 }).id
  return { world, owner }
}

describe('what is referred to', () => {
  test('has to exist', async () => {
    const { world } = setup()

    expect(await failureOf(() => world.create('item', { owner_id: 'own_none' }))).toMatchObject({
      code: 'not_found',
      resource_id: 'own_none',
      message: 'there is no owner "own_none" here; check the id and the tenant',
    })
  })

  test('has to be of the type', async () => {
    const { world } = setup()
    const { id } = world.create('other')

    expect(await failureOf(() => world.create('item', { owner_id: id }))).toMatchObject({
      code: 'not_found',
      resource_id: id,
    })
  })

  test('has to belong to the same tenant', async () => {
    const { world, owner } = setup()
    const row = world.row(owner)
    if (row) world.stored.resources.set(owner, { ...row, tenant: 'another' })

    expect(await failureOf(() => world.create('item', { owner_id: owner }))).toMatchObject({
      code: 'not_found',
      resource_id: owner,
    })
  })

  test('must not have ended', async () => {
    const { world, owner } = setup()
    world.send(owner, 'end')

    expect(await failureOf(() => world.create('item', { owner_id: owner }))).toMatchObject({
      code: 'illegal_transition',
      reason: 'reference',
      blockers: [
        {
          code: 'status',
          message: `owner ${owner} is "ended" and has to be not ended`,
          resource_id: owner,
        },
      ],
    })
  })

  test('has to be in one of the statuses that are named, which may be final', async () => {
    const { world, owner } = setup({ type: 'owner', status: ['resting', 'ended'] })

    const { blockers } = await failureOf(() => world.create('item', { owner_id: owner }))
    expect(blockers).toMatchObject([
      { message: `owner ${owner} is "calm" and has to be resting, ended` },
    ])
    world.send(owner, 'rest')
    expect(world.row(world.create('item', { owner_id: owner }).id)?.status).toBe('calm')
    world.send(owner, 'wake')
    world.send(owner, 'end')
    expect(world.row(world.create('item', { owner_id: owner }).id)?.status).toBe('calm')
  })

  test('may be nothing', () => {
    const { world } = setup()

    expect(world.row(world.create('item', { owner_id: null }).id)?.status).toBe('calm')
    expect(world.row(world.create('item', {}).id)?.status).toBe('calm')
  })
})

describe('a command', () => {
  test('may keep a reference to what has ended since', () => {
    const { world, owner } = setup()
    const { id } = world.create('item', { owner_id: owner })
    world.send(owner, 'end')

    world.send(id, 'change', { note: 'x' })
    expect(world.row(id)?.version).toBe(2)
  })

  test('cannot turn to what has ended or does not exist', async () => {
    const { world, owner } = setup()
    const { id } = world.create('item', {})
    world.send(owner, 'end')

    expect(await failureOf(() => world.send(id, 'change', { owner_id: owner }))).toMatchObject({
      ...{ code: 'illegal_transition', reason: 'reference', resource_id: id, command: 'change' },
    })
    const lost = () => world.send(id, 'change', { owner_id: 'own_none' })
    expect(await failureOf(lost)).toMatchObject({ code: 'not_found', resource_id: 'own_none' })
  })
})

describe('a command that those who refer to a resource forbid', () => {
  const restricting = { type: 'owner', restricts: ['rest'] }

  test('is refused as long as they live, and names them', async () => {
    const { world, owner } = setup(restricting)
    const { id } = world.create('item', { owner_id: owner })

    expect(await failureOf(() => world.send(owner, 'rest'))).toMatchObject({
      code: 'illegal_transition',
      reason: 'in_use',
      resource_id: owner,
      blockers: [{ code: 'in_use', message: `item ${id} ("calm") refers to it`, resource_id: id }],
    })
    world.send(id, 'end')
    world.send(owner, 'rest')
    expect(world.row(owner)?.status).toBe('resting')
  })

  test('names ten of them at most', async () => {
    const { world, owner } = setup(restricting, {
      references: { owner_id: restricting, second_id: restricting },
    })
    for (let i = 0; i < 8; i++) world.create('item', { owner_id: owner, second_id: owner })

    const { blockers } = await failureOf(() => world.send(owner, 'rest'))

    expect(blockers).toHaveLength(10)
  })

  test('is that one alone', () => {
    const { world, owner } = setup(restricting)
    world.create('item', { owner_id: owner })

    world.send(owner, 'change', { name: 'eve' })
    expect(world.row(owner)?.version).toBe(2)
  })
})

describe('the check of a definition', () => {
  const seen: Checked[] = []
  const looking = (checked: Checked) => {
    seen.push(checked)
    return []
  }

  test('sees the command, its payload, the resource and what it refers to, in full', () => {
    const { world, owner } = setup('owner', { check: looking })
    seen.length = 0
    const { id } = world.create('item', { owner_id: owner, n: 1 })
    world.send(id, 'change', { n: 2 })

    const references = { owner_id: { id: owner, status: 'calm', name: 'ada', hidden: 1 } }
    expect(seen).toMatchObject([
      { command: 'create', payload: { owner_id: owner, n: 1 }, resource: null, references },
      { command: 'change', payload: { n: 2 }, resource: { id, version: 1, n: 1 }, references },
    ])
  })

  test('sees null where a field is empty', () => {
    const { world } = setup('owner', { check: looking })
    seen.length = 0
    world.create('item', {})

    expect(seen).toMatchObject([{ references: { owner_id: null } }])
  })

  const issue = { path: ['n'], code: 'odd', message: 'has to be even' }
  const blocker = { code: 'busy', message: 'not now' }
  const finding = (found: unknown) => {
    const { world } = setup('owner', { check: { change: () => found } })
    const { id } = world.create('item', { n: 1 })
    return failureOf(() => world.send(id, 'change', { n: 2 }))
  }

  test('that finds issues makes the payload invalid, even beside what stands in the way', async () => {
    expect(await finding([blocker, issue])).toMatchObject({
      code: 'invalid_input',
      message: '"change" of item is not valid: n: has to be even',
      issues: [issue],
    })
  })

  test('that finds what stands in the way refuses the command', async () => {
    const { code, reason, blockers } = await finding([blocker])

    expect({ code, reason, blockers }).toEqual({
      ...{ code: 'illegal_transition', reason: 'reference', blockers: [blocker] },
    })
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['an object', {}],
    ['a text', 'busy'],
    ['a text in a list', ['busy']],
    ['null in a list', [null]],
    ['what has no code', [{ message: 'x' }]],
    ['what has no message', [{ code: 'x' }]],
    ['what has a path that is no list', [{ code: 'x', message: 'x', path: 'n' }]],
    ['what is half right', [blocker, { code: 'x' }]],
    ['later', Promise.resolve([])],
  ])('that gives %s makes the machine invalid', async (_, found) => {
    expect(await finding(found)).toMatchObject({
      code: 'machine_invalid',
      reason:
        'its check threw: it has to give a list of { code, message } and { path, code, message }',
    })
  })

  test('that throws is named', async () => {
    const check = () => {
      throw new Error('no idea')
    }
    const { world } = setup('owner', { check })

    expect(await failureOf(() => world.create('item', {}))).toMatchObject({
      reason: 'its check threw: no idea',
    })
  })
})
