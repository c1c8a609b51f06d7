import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, emit } from 'xstate'
import { z } from 'zod'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { explode } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

const loose = z.looseObject({})

interface Args {
  readonly event: { readonly type: string; readonly act: string }
}

/** A machine that keeps what it is given, and has more to do on some of its commands. */
function keeping(on: object): AnyStateMachine {
  const keep = assign(({ event: { type, ...fields } }) => fields)
  return createMachine({
    id: 'm',
    context: ({ input }: { input: object }) => ({ ...input }),
    initial: 'calm',
    on: { always: {} },
    states: {
      calm: {
        initial: 'one',
        states: { one: {}, last: { type: 'history' } },
        on: { keep: { actions: keep }, ...on },
      },
      over: { type: 'final' },
    },
  } as object)
}

const toLoose = (name: string) => [name, loose] as const

function resource(type: string, on: object, parts: object = {}) {
  const commands = Object.fromEntries(['keep', ...Object.keys(on)].map(toLoose))
  return define({
    ...{ type, prefix: type.slice(0, 3), input: loose, commands, machine: keeping(on) },
    ...parts,
  })
}

/** One that tells a listener, and that listener, which hears in one way or another. */
function setup(required: boolean, parts: object = {}) {
  const heard = emit({ type: 'listener.heard' })
  const to = { type: 'peer', by: 'listener_id' }
  const passOn = tell(to, { type: 'go' }, { required: true })
  const world = openWorld({
    tellers: resource(
      'teller',
      {
        go: {
          actions: tell('listener_id', ({ event }) => ({ ...(event as object), type: 'hear' }), {
            required,
          }),
        },
      },
      { references: { listener_id: 'listener' } },
    ),
    listeners: resource(
      'listener',
      {
        hear: [
          { guard: ({ event }: Args) => event.act === 'nothing' },
          { guard: ({ event }: Args) => event.act === 'pass', actions: [heard, passOn] },
          { guard: ({ event }: Args) => event.act === 'break', actions: assign(explode) },
          { guard: ({ event }: Args) => event.act !== 'refuse', actions: heard },
        ],
      },
      { events: ['listener.heard'], ...parts },
    ),
    peers: resource(
      'peer',
      { go: { guard: () => false } },
      { references: { listener_id: 'listener' } },
    ),
  })
  const listener_id = world.create('listener').id
  const id = world.create('teller', { listener_id }).id
  return { world, id, listener_id }
}

const linesOf = (entries: readonly { type: string }[] = []) => entries.map(({ type }) => type)

describe('a command', () => {
  const on = {
    same: {},
    again: { target: '#m.calm', reenter: true },
    end: '#m.over',
  }
  const opened = () => {
    const commands = Object.fromEntries(['keep', 'always', ...Object.keys(on)].map(toLoose))
    const world = openWorld({ things: resource('thing', on, { commands }) })
    return { world, id: world.create('thing', { n: 1 }).id }
  }

  test.each([
    ['keep', { n: 1 }, false],
    ['keep', { n: 2 }, true],
    ['same', {}, false],
    ['again', {}, true],
    ['end', {}, true],
  ])('that leaves all as it was is no change: %s %j', (type, payload, changed) => {
    const { world, id } = opened()

    const { overlay, ...result } = world.send(id, type, payload)

    expect(result.changed).toBe(changed)
    expect(overlay.entries).toHaveLength(changed ? 1 : 0)
    expect(world.row(id)?.version).toBe(changed ? 2 : 1)
  })

  test('is refused by what has ended, whatever its machine says', async () => {
    const { world, id } = opened()
    world.send(id, 'end')

    expect(await failureOf(() => world.send(id, 'always'))).toMatchObject({
      ...{ code: 'illegal_transition', reason: 'terminal', status: 'over' },
      ...{ accepts: [], blockers: [] },
    })
  })

  test('that makes a secret is a change, although its machine does nothing', () => {
    const secrets = { token: { generate: 'tok_', on: ['same'] } }
    const world = openWorld({ things: resource('thing', on, { secrets }) })
    const { id } = world.create('thing')

    const { changed, overlay, secrets: made } = world.send(id, 'same')

    expect({ changed, made }).toEqual({ changed: true, made: { token: 'tok_made' } })
    expect(linesOf(overlay.entries)).toEqual(['thing.same'])
  })
})

describe('to tell', () => {
  test('reaches the one that a field names after the command', () => {
    const { world, id } = setup(false)
    const other = world.create('listener').id
    world.send(id, 'keep', { listener_id: other })

    const { overlay } = world.send(id, 'go', { act: 'hear' })

    expect(overlay.entries).toMatchObject([{ resourceId: other, type: 'listener.heard' }])
  })

  test.each([true, false])('nobody is no mistake, required %s', (required) => {
    const { world, id, listener_id } = setup(required)
    const none = world.create('teller', { listener_id: null }).id
    expect(world.send(none, 'go', { act: 'hear' }).overlay.entries).toEqual([])

    const row = world.row(listener_id) ?? expect.fail()
    world.stored.resources.set(listener_id, { ...row, tenant: 'another' })
    expect(world.send(id, 'go', { act: 'hear' }).overlay.entries).toEqual([])

    world.stored.resources.delete(listener_id)
    expect(world.send(id, 'go', { act: 'hear' }).overlay.entries).toEqual([])
  })

  test('what changes nothing leaves no trace', () => {
    const { world, id } = setup(true)

    expect(world.send(id, 'go', { act: 'nothing' })).toMatchObject({ changed: false, entries: [] })
  })

  test('what breaks fails, also where it is optional', async () => {
    const { world, id } = setup(false)

    expect(await failureOf(() => world.send(id, 'go', { act: 'break' }))).toMatchObject({
      ...{ code: 'machine_invalid', machine: 'listener' },
    })
  })
})

describe('what is refused further down', () => {
  test('leaves nothing of what came before it on the way, where it was optional', () => {
    const { world, id, listener_id } = setup(false)
    world.create('peer', { listener_id })

    const { overlay, changed } = world.send(id, 'go', { act: 'pass' })

    expect(changed).toBe(false)
    expect(overlay).toMatchObject({ entries: [], references: [], changed: new Set() })
    expect(world.row(listener_id)?.version).toBe(1)
  })

  test('is passed up where it was required, in the words of each', async () => {
    const { world, id, listener_id } = setup(true)
    const peer = world.create('peer', { listener_id }).id

    const { blockers, ...error } = await failureOf(() => world.send(id, 'go', { act: 'pass' }))

    expect(error).toMatchObject({ reason: 'reference', resource_id: id, command: 'go' })
    expect(blockers).toMatchObject([{ code: 'reference', resource_id: listener_id }])
    expect(blockers?.[0]?.message).toContain(`listener ${listener_id} does not accept "hear"`)
    expect(blockers?.[0]?.message).toContain(`peer ${peer} is "one" and does not accept "go"`)
  })

  const issue = { path: ['act'], code: 'odd', message: 'is odd' }
  const check = { hear: () => [issue] }

  test('may be the content of a command: dropped where it is optional', () => {
    const { world, id } = setup(false, { check })

    expect(world.send(id, 'go', { act: 'hear' }).changed).toBe(false)
  })

  test('may be the content of a command: it refuses all where it is required', async () => {
    const { world, id, listener_id } = setup(true, { check })

    expect(await failureOf(() => world.send(id, 'go', { act: 'hear' }))).toMatchObject({
      ...{ code: 'illegal_transition', reason: 'reference', resource_id: id },
      blockers: [{ code: 'invalid_input', resource_id: listener_id }],
    })
  })
})
