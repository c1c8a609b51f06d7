import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, emit } from 'xstate'
import { z } from 'zod'
import type { Checked } from '../../src/core/definition.ts'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { explode } from '../support/things.ts'
import { openWorld, type World } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine that keeps what it is given, until it ends. */
function keeping(config: object = {}): AnyStateMachine {
  return createMachine({
    context: ({ input }: { input: object }) => ({ ...input }),
    initial: 'calm',
    states: { calm: { on: { end: 'ended' } }, ended: { type: 'final' } },
    ...config,
  } as object)
}

function resource(type: string, parts: object = {}) {
  return define({
    ...{ type, prefix: type.slice(0, 3), input: loose, machine: keeping() },
    ...{ commands: { end: loose }, ...parts },
  })
}

/** A world with orders, and with customers and rooms that they may refer to. */
function setup(order: object, others: object = {}): World {
  return openWorld({
    orders: resource('order', order),
    customers: resource('customer', { private: ['hidden'] }),
    rooms: resource('room', others),
  })
}

/** The context of a resource as it was created. */
function contextOf(world: World, id: string): object {
  return JSON.parse(world.row(id)?.context ?? 'null')
}

describe('a new resource', () => {
  test('is at version 1 from the time of the call on', () => {
    const world = setup({})
    world.time = 7000

    const { id, planned } = world.create('order', { n: 1 })

    expect(world.row(id)).toEqual({
      ...{ id, tenant: 'default', type: 'order', status: 'calm', version: 1, final: false },
      ...{ value: '"calm"', memory: null, context: '{"n":1}', machine: expect.any(String) },
      ...{ createdAt: 7000, updatedAt: 7000, statusSince: 7000 },
      ...{ head: null, latest: 0, entries: 0 },
    })
    expect(planned).toMatchObject({ fresh: { changed: true, entries: [], secrets: {} } })
  })

  test('may have ended at once', () => {
    const { row, create } = setup({ machine: keeping({ initial: 'ended' }) })

    expect(row(create('order').id)).toMatchObject({ status: 'ended', final: true })
  })

  test('tells others, and what they do is caused by its own entry', () => {
    const machine = keeping({ entry: [emit({ type: 'order.made' }), tell('room_id', end)] })
    const world = setup({ machine, references: { room_id: 'room' } })
    const room_id = world.create('room').id

    const { overlay, entries } = world.create('order', { room_id })

    expect(overlay.entries.map(({ type }) => type)).toEqual(['order.made', 'room.end'])
    expect(overlay.entries.map(({ causation }) => causation)).toEqual([null, overlay.entries[0]])
    expect(entries).toEqual([overlay.entries[0]])
    expect(world.row(room_id)?.status).toBe('ended')
  })
})

const end = { type: 'end' }

test('a new resource is refused where those whom it has to tell refuse', async () => {
  const machine = keeping({ entry: tell('room_id', end, { required: true }) })
  const references = { room_id: { type: 'room', status: ['ended'] } }
  const { create, send } = setup({ machine, references })
  const room_id = create('room').id
  send(room_id, 'end')

  expect(await failureOf(() => create('order', { room_id }))).toMatchObject({
    ...{ code: 'illegal_transition', reason: 'reference', command: 'create', status: null },
    ...{ resource_id: null, blockers: [{ code: 'terminal', resource_id: room_id }] },
  })
})

describe('a companion', () => {
  test('is created for each field that the input leaves empty, one leading to the next', () => {
    const { create, row } = setup({
      references: { one_id: 'room', two_id: 'room', three_id: 'room' },
      companion: {
        one_id: { type: 'room', input: ({ n }: { n: number }) => ({ size: n }) },
        two_id: { type: 'room' },
        three_id: { type: 'room' },
      },
    })
    const two_id = create('room', { size: 5 }).id

    const { overlay, id } = create('order', { two_id, three_id: null, n: 3 })

    const { one_id, three_id } = JSON.parse(row(id)?.context ?? '')
    expect(overlay.entries.map(({ resourceId }) => resourceId)).toEqual([one_id, three_id, id])
    expect(overlay.entries.map(({ causation }) => causation)).toEqual([
      null,
      ...overlay.entries.slice(0, 2),
    ])
    expect([one_id, two_id, three_id].map((room) => row(room)?.context)).toEqual([
      ...['{"size":3}', '{"size":5}', '{}'],
    ])
    expect(one_id).toMatch(/^roo_/)
  })

  const companion = (input?: () => unknown) => ({
    references: { room_id: 'room' },
    companion: { room_id: { type: 'room', input } },
  })

  test('whose input throws is named', async () => {
    const { create, stored } = setup(companion(explode))

    const { code, message } = await failureOf(() => create('order'))

    expect(code).toBe('machine_invalid')
    expect(message).toBe(
      'the machine of "order" cannot work: its companion "room_id" threw: the machine exploded',
    )
    expect(stored.log).toEqual([])
  })

  test('is checked like any other input', async () => {
    const { create } = setup(
      companion(() => ({ size: 'large' })),
      { input: z.object({ size: z.number() }) },
    )

    expect(await failureOf(() => create('order'))).toMatchObject({
      ...{ code: 'invalid_input', issues: [{ path: ['size'] }] },
    })
  })

  test('that needs one of its own kind without end is stopped', async () => {
    const { create } = setup(companion(), companion())

    const { code, message } = await failureOf(() => create('order'))

    expect(code).toBe('machine_invalid')
    expect(message).toContain('more than 64 deep')
  })
})

describe('what a new resource refers to', () => {
  type View = Readonly<Record<string, unknown>>
  const copying = (copy: (view: View) => object) => ({
    references: { room_id: 'room', customer_id: { type: 'customer', copy }, friend_id: 'customer' },
  })

  test('gives what the input lacks, and nothing that it has', () => {
    const world = setup(copying(({ a, b, c, d }) => ({ a, b, c, d })))
    const customer_id = world.create('customer', { a: 1, b: 2, c: 3, d: 4 }).id

    const { id } = world.create('order', { customer_id, a: null, b: 0, c: '' })

    expect(contextOf(world, id)).toEqual({ customer_id, a: 1, b: 0, c: '', d: 4 })
  })

  test('shows for that what only machines see', () => {
    const world = setup(copying(({ hidden }) => ({ seen: hidden })))
    const customer_id = world.create('customer', { hidden: 'x' }).id

    expect(contextOf(world, world.create('order', { customer_id }).id)).toMatchObject({ seen: 'x' })
  })

  test('may give another reference, which is checked as well', async () => {
    const world = setup(copying(({ friend_id }) => ({ friend_id })))
    const friend_id = world.create('customer').id
    const customer_id = world.create('customer', { friend_id }).id
    world.send(friend_id, 'end')

    const { blockers, command } = await failureOf(() => world.create('order', { customer_id }))

    expect(command).toBe('create')
    expect(blockers).toMatchObject([{ code: 'status', resource_id: friend_id }])
  })

  test('is named in full where it stands in the way', async () => {
    const world = setup(copying(() => ({})))
    const ids = ['room', 'customer', 'customer'].map((type) => world.create(type).id)
    for (const id of ids) world.send(id, 'end')
    const [room_id, customer_id, friend_id] = ids

    const error = await failureOf(() => world.create('order', { room_id, customer_id, friend_id }))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reference' })
    expect(error.blockers?.map(({ resource_id }) => resource_id)).toEqual(ids)
  })

  test('is named where copying from it throws', async () => {
    const world = setup(copying(explode))
    const customer_id = world.create('customer').id

    expect((await failureOf(() => world.create('order', { customer_id }))).message).toBe(
      'the machine of "order" cannot work: its copy of "customer_id" threw: the machine exploded',
    )
  })

  test('may be what the machine alone says, which is checked as well', async () => {
    const room_id = ({ event }: { event: { input: View } }) => event.input.wish
    const machine = keeping({ entry: assign({ room_id } as object) })
    const { create, send } = setup({ machine, references: { room_id: 'room' } })
    const room = create('room').id
    send(room, 'end')

    expect(await failureOf(() => create('order', { wish: 'roo_none' }))).toMatchObject({
      ...{ code: 'not_found', resource_id: 'roo_none' },
    })
    expect(await failureOf(() => create('order', { wish: room }))).toMatchObject({
      ...{ code: 'illegal_transition', command: 'create', blockers: [{ resource_id: room }] },
    })
  })
})

describe('the secrets of a new resource', () => {
  const secrets = {
    pin: { path: 'pin', on: ['create'] },
    later: { path: 'n', on: ['end'] },
    token: { generate: 'tok_', on: ['create'] },
  }

  test('are kept for it, and neither its machine nor the log sees them', () => {
    const world = setup({ secrets })

    const { id, overlay, secrets: made } = world.create('order', { n: 1, pin: 1234 })

    const kept = overlay.secrets.map((change) =>
      change.change === 'set' ? JSON.parse(change.secret.envelope.toString()) : change,
    )
    expect(kept).toEqual([
      [{ type: 'order', id, name: 'pin' }, 1234],
      [{ type: 'order', id, name: 'token' }, 'tok_made'],
    ])
    expect(made).toEqual({ token: 'tok_made' })
    expect(contextOf(world, id)).toEqual({ n: 1 })
    expect(overlay.entries[0]?.command).toBe('{"type":"create","input":{"n":1}}')
  })

  test('are seen by its check, with all that the input has come to', () => {
    const seen: unknown[] = []
    const check = ({ command, payload, resource, references }: Checked) => {
      seen.push({ command, payload, resource, references: Object.keys(references) })
      return []
    }
    const copy = () => ({ size: 3 })
    const references = { customer_id: { type: 'customer', copy } }
    const world = setup({ secrets, check, references })
    const customer_id = world.create('customer').id

    world.create('order', { pin: 1234, customer_id })

    expect(seen).toEqual([
      {
        ...{ command: 'create', payload: { pin: 1234, customer_id, size: 3 }, resource: null },
        references: ['customer_id'],
      },
    ])
  })
})
