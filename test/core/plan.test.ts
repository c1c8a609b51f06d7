import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, cancel, createMachine, emit, raise } from 'xstate'
import { z } from 'zod'
import { createOverlay } from '../../src/core/overlay.ts'
import { planReveal } from '../../src/core/plan.ts'
import type { Entry } from '../../src/core/rows.ts'
import { tell } from '../../src/index.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'
import { openWorld, type World } from './world-in-memory.ts'

const loose = z.looseObject({})

/** A machine in one lasting state. */
function calm(config: object, context: object = {}): AnyStateMachine {
  return createMachine({
    context: ({ input }: { input: object }) => ({ ...context, ...input }),
    initial: 'calm',
    states: { calm: { on: config }, ended: { type: 'final' } },
  } as object)
}

function resource(type: string, commands: readonly string[], machine: AnyStateMachine, parts = {}) {
  return define({
    ...{ type, prefix: type.slice(0, 3), input: loose, machine },
    commands: Object.fromEntries(commands.map((command) => [command, loose])),
    ...parts,
  })
}

/** What the log says of its entries: who and what, in order. */
function linesOf(entries: readonly Entry[]): string[] {
  return entries.map(({ resourceId, type }) => `${resourceId} ${type}`)
}

/** A tree: `go` reaches a node, then each of its children with all that is below it. */
function tree() {
  const node = resource(
    'node',
    ['go'],
    calm({
      go: { actions: [emit({ type: 'node.went' }), tell({ type: 'node', by: 'parent_id' }, go)] },
    }),
    { references: { parent_id: 'node' } },
  )
  const world = openWorld({ nodes: node })
  const root = world.create('node').id
  const child = (parent_id: string) => world.create('node', { parent_id }).id
  const [left, right] = [child(root), child(root)]
  return { world, root, left, right, below: [child(left), child(left), child(right)] as const }
}

const go = { type: 'go' }

describe('a cascade', () => {
  test('writes a change, then what it tells, each with all that this causes', () => {
    const { world, root, left, right, below } = tree()

    const { entries = [] } = world.send(root, 'go')

    const order = [root, left, below[0], below[1], right, below[2]]
    expect(linesOf(entries)).toEqual(order.map((id) => `${id} node.went`))
  })

  test('says of each entry which one led to it, and gives all one correlation', () => {
    const { world, root, left } = tree()

    const { entries = [] } = world.send(root, 'go')

    const causes = entries.map(({ causation }) => causation?.resourceId ?? null)
    expect(causes).toEqual([null, root, left, left, root, expect.any(String)])
    expect(new Set(entries.map(({ correlationId }) => correlationId))).toEqual(new Set(['corr']))
  })

  /** Nodes in a ring of two, that pass a counter on, so many times each, until it is used up. */
  function ring(times = 1) {
    const passOn = tell('peer_id', ({ event }) => {
      const { n } = event as unknown as { readonly n: number }
      return { type: 'pass', n: n - 1 }
    })
    const actions = Array<typeof passOn>(times).fill(passOn)
    const isLeft = ({ event }: { event: { n: number } }) => event.n > 0
    const machine = calm(
      { go: { actions }, pass: [{ guard: isLeft, actions }, { actions: assign({ done: true }) }] },
      { done: false },
    )
    const references = { peer_id: 'node' }
    const world = openWorld({ nodes: resource('node', ['go', 'pass'], machine, { references }) })
    const first = world.create('node').id
    const second = world.create('node', { peer_id: first }).id
    const third = world.create('node', { peer_id: second }).id
    // Closes the ring, as only a command could.
    const row = world.row(first) ?? expect.fail()
    const context = JSON.stringify({ done: false, peer_id: second })
    world.stored.resources.set(first, { ...row, context })
    return { world, third }
  }

  test('may be 64 commands deep', () => {
    const { world, third } = ring()

    const { overlay } = world.send(third, 'go', { n: 64 })

    expect(overlay.entries).toHaveLength(1)
  })

  test('that is deeper is stopped, and says which machine and how deep', async () => {
    const { world, third } = ring()

    const error = await failureOf(() => world.send(third, 'go', { n: 65 }))

    expect(error.code).toBe('machine_invalid')
    expect(error.message).toMatchInlineSnapshot(
      `"the machine of "node" cannot work: a cascade of commands that tell one another is more than 64 deep"`,
    )
  })

  test('that doubles with every step is stopped as well', async () => {
    const { world, third } = ring(2)

    const error = await failureOf(() => world.send(third, 'go', { n: 60 }))

    expect(error.code).toBe('machine_invalid')
    expect(error.message).toMatchInlineSnapshot(
      `"the machine of "node" cannot work: one call makes it and others tell more than 10000 commands"`,
    )
  })
})

describe('a tell that is refused', () => {
  function setup(required: boolean) {
    const teller = resource(
      'teller',
      ['go'],
      calm(
        {
          go: {
            actions: [
              assign({ told: true }),
              emit({ type: 'teller.told' }),
              tell({ type: 'listener', by: 'teller_id' }, { type: 'hear' }, { required }),
            ],
          },
        },
        { told: false },
      ),
    )
    const hears = ({ context }: { context: { deaf?: boolean } }) => context.deaf !== true
    const listener = resource(
      'listener',
      ['hear'],
      calm({ hear: { guard: hears, actions: emit({ type: 'listener.heard' }) } } as object),
      { references: { teller_id: 'teller' } },
    )
    const world = openWorld({ tellers: teller, listeners: listener })
    const teller_id = world.create('teller').id
    const listen = (deaf: boolean) => world.create('listener', { teller_id, deaf }).id
    return { world, teller_id, ids: [listen(false), listen(true), listen(false)] }
  }

  test('is dropped where it is optional, and the others are told', () => {
    const { world, teller_id, ids } = setup(false)

    const { entries = [] } = world.send(teller_id, 'go')

    expect(linesOf(entries)).toEqual([
      `${teller_id} teller.told`,
      `${ids[0]} listener.heard`,
      `${ids[2]} listener.heard`,
    ])
  })

  test('refuses the whole where it is required, in the words of the command that was sent', async () => {
    const { world, teller_id, ids } = setup(true)

    const error = await failureOf(() => world.send(teller_id, 'go'))

    expect(error).toMatchObject({
      ...{ code: 'illegal_transition', reason: 'reference', command: 'go', status: 'calm' },
      ...{ resource_id: teller_id, blockers: [{ code: 'guard', resource_id: ids[1] }] },
    })
    expect(error.message).toMatchInlineSnapshot(
      `"teller tel_1 does not accept "go" because of what it refers to: listener lis_3 is "calm" and does not accept "hear" as things are: guard "hears" of state "calm" says no"`,
    )
    expect(world.row(teller_id)?.version).toBe(1)
  })
})

describe('an entry', () => {
  const moving = createMachine({
    context: { a: 1, b: [1], c: null } as object,
    initial: 'calm',
    states: {
      calm: { on: { go: 'busy', touch: { actions: assign({ a: 2 }) }, same: {} } },
      busy: {
        entry: emit({ type: 'thing.busy' }),
        exit: assign({ b: [2] }),
        on: { stop: 'stopping' },
      },
      stopping: { entry: emit({ type: 'thing.stopping' }), always: 'stopped' },
      stopped: { entry: emit({ type: 'thing.stopped' }), on: { back: 'p.h' } },
      p: { initial: 'x', states: { x: { on: { out: '#out' } }, h: { type: 'history' } } },
      out: { id: 'out', on: { back: 'p.h' } },
    },
  })
  const commands = ['go', 'touch', 'same', 'stop', 'back', 'out']
  const setup = () => {
    const world = openWorld({ things: resource('thing', commands, moving) })
    return { world, id: world.create('thing').id }
  }

  test('of a create holds the whole state', () => {
    const { world } = setup()

    expect(world.stored.log.map(({ type, command, change }) => [type, command, change])).toEqual([
      [
        'thing.create',
        '{"type":"create","input":{}}',
        '{"machine":"1:918","value":"calm","set":{"a":1,"b":[1],"c":null}}',
      ],
    ])
  })

  test('holds what is different after the change, and nothing else', () => {
    const { world, id } = setup()
    const changeOf = (command: string) =>
      world.send(id, command).overlay.entries.map(({ change }) => change)

    expect(changeOf('touch')).toEqual(['{"set":{"a":2}}'])
    expect(changeOf('go')).toEqual(['{"value":"busy"}'])
    expect(changeOf('stop')).toEqual(['{"value":"stopped","set":{"b":[2]}}', null])
    expect(changeOf('back')).toEqual(['{"value":{"p":"x"}}'])
    expect(changeOf('out')).toEqual([
      '{"value":"out","memory":{"history":{"(machine).p.h":["(machine).p.x"]}}}',
    ])
  })

  test('says which status it ended and how long that had lasted', () => {
    const { world, id } = setup()
    const lines = (command: string) =>
      world
        .send(id, command)
        .overlay.entries.map(({ type, previousStatus, previousMs }) => [
          type,
          previousStatus,
          previousMs,
        ])

    world.time += 10
    expect(lines('touch')).toEqual([['thing.touch', null, null]])
    world.time += 10
    expect(lines('go')).toEqual([['thing.busy', 'calm', 20]])
    world.time += 5
    expect(lines('stop')).toEqual([
      ['thing.stopping', 'busy', 5],
      ['thing.stopped', 'stopping', 0],
    ])
  })

  test('that is not the first of its change has no command of its own, and the one before as its cause', () => {
    const { world, id } = setup()
    world.send(id, 'go')

    const [first, second] = world.send(id, 'stop').overlay.entries

    expect(first).toMatchObject({ command: '{"type":"stop"}', cause: 'stop', causation: null })
    expect(second).toMatchObject({ command: null, change: null, cause: 'stop', causation: first })
  })

  test('is not written for a command that changes nothing', () => {
    const { world, id } = setup()

    const { changed, overlay } = world.send(id, 'same')

    expect(changed).toBe(false)
    expect(overlay).toMatchObject({ entries: [], timers: [], changed: new Set() })
  })

  test('is never dated before the one before it, should the clock go back', () => {
    const { world, id } = setup()
    world.time = 5000
    world.send(id, 'touch')

    world.time = 4000
    const { overlay } = world.send(id, 'go')

    expect(overlay.entries).toMatchObject([{ createdAt: 5000, previousMs: 4000 }])
    expect(world.row(id)).toMatchObject({ updatedAt: 5000, statusSince: 5000 })
  })
})

describe('a create', () => {
  const owner = resource('owner', [], calm({}), {
    references: { room_id: { type: 'room', copy: ({ size }: { size?: number }) => ({ size }) } },
    companion: {
      room_id: { type: 'room', input: ({ wish }: { wish?: number }) => ({ size: wish }) },
    },
  })
  const room = resource('room', ['close'], calm({ close: 'ended' }))

  test('writes its companion first, which causes it, and refers to it', () => {
    const world = openWorld({ owners: owner, rooms: room })

    const { id, overlay } = world.create('owner', { wish: 3 })

    const companion = [...overlay.created].find((each) => each !== id) ?? ''
    expect(linesOf(overlay.entries)).toEqual([`${companion} room.create`, `${id} owner.create`])
    expect(overlay.entries[1]?.causation).toBe(overlay.entries[0])
    expect(JSON.parse(world.row(id)?.context ?? '')).toEqual({
      wish: 3,
      room_id: companion,
      size: 3,
    })
  })

  test('needs no companion where the input names one, and takes over what it leaves out', () => {
    const world = openWorld({ owners: owner, rooms: room })
    const room_id = world.create('room', { size: 5 }).id

    const { resource: view } = world.create('owner', { room_id, size: null })

    expect(view).toMatchObject({ room_id, size: 5 })
    expect(world.stored.resources.size).toBe(2)
  })

  test('is refused where what it refers to has ended, without a status or an id of its own', async () => {
    const world = openWorld({ owners: owner, rooms: room })
    const room_id = world.create('room').id
    world.send(room_id, 'close')

    const error = await failureOf(() => world.create('owner', { room_id }))

    expect(error).toMatchObject({
      ...{ code: 'illegal_transition', reason: 'reference', resource_id: null, status: null },
      ...{ accepts: [], blockers: [{ code: 'status', resource_id: room_id }] },
    })
  })

  test('is refused where there is no such thing', async () => {
    const world = openWorld({ owners: owner, rooms: room })

    const error = await failureOf(() => world.create('owner', { room_id: 'roo_99' }))

    expect(error).toMatchObject({ code: 'not_found', resource_id: 'roo_99' })
  })
})

describe('what is in use', () => {
  function setup() {
    const house = resource('house', ['tear_down'], calm({ tear_down: 'ended' }))
    const tenant = resource('tenant', ['leave'], calm({ leave: 'ended' }), {
      references: { house_id: { type: 'house', restricts: ['tear_down'] } },
    })
    const world = openWorld({ houses: house, tenants: tenant })
    const house_id = world.create('house').id
    const tenants = Array.from({ length: 12 }, () => world.create('tenant', { house_id }).id)
    return { world, house_id, tenants }
  }

  test('is not ended, and the refusal names the first ten who use it', async () => {
    const { world, house_id, tenants } = setup()

    const error = await failureOf(() => world.send(house_id, 'tear_down'))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'in_use' })
    expect(error.blockers?.map(({ resource_id }) => resource_id)).toEqual(tenants.slice(0, 10))
  })

  test('is seen through what the same batch has decided', async () => {
    const { world, house_id, tenants } = setup()
    const batch = createOverlay()
    world.commit = false
    for (const id of tenants.slice(0, 11)) world.send(id, 'leave', {}, {}, batch)

    const error = await failureOf(() => world.send(house_id, 'tear_down', {}, {}, batch))
    world.send(tenants[11] ?? '', 'leave', {}, {}, batch)

    expect(error.blockers?.map(({ resource_id }) => resource_id)).toEqual([tenants[11]])
    expect(world.send(house_id, 'tear_down', {}, {}, batch).resource?.status).toBe('ended')
  })
})

describe('an idempotency key', () => {
  const counting = calm(
    { go: { actions: assign({ n: ({ context }: { context: { n: number } }) => context.n + 1 }) } },
    { n: 0 },
  )
  const idempotency = { key: 'k', fingerprints: ['key.1'], since: 0 } as const
  const setup = () => {
    const world = openWorld({ things: resource('thing', ['go'], counting) })
    return { world, id: world.create('thing').id }
  }

  test('gives what is stored under it', () => {
    const { world, id } = setup()
    world.send(id, 'go', {}, { idempotency })

    const { planned, overlay } = world.send(id, 'go', {}, { idempotency })

    expect(planned).toMatchObject({ replayed: { key: 'k', changed: true } })
    expect(overlay.entries).toEqual([])
    expect(world.row(id)?.version).toBe(2)
  })

  test('gives what the same batch has decided under it', () => {
    const { world, id } = setup()
    const batch = createOverlay()
    const first = world.send(id, 'go', {}, { idempotency }, batch)

    const { planned } = world.send(id, 'go', {}, { idempotency }, batch)

    expect(planned).toMatchObject({ replayed: { entries: first.entries } })
  })

  test('is known by the fingerprint under any of the encryption keys', () => {
    const { world, id } = setup()
    world.send(id, 'go', {}, { idempotency })

    const rotated = { ...idempotency, fingerprints: ['other.2', 'key.1'] } as const

    expect(world.send(id, 'go', {}, { idempotency: rotated }).planned).toHaveProperty('replayed')
  })

  test('is refused for another request', async () => {
    const { world, id } = setup()
    world.send(id, 'go', {}, { idempotency })
    const other = { ...idempotency, fingerprints: ['key.3'] } as const

    const error = await failureOf(() => world.send(id, 'go', {}, { idempotency: other }))

    expect(error).toMatchObject({ code: 'idempotency_mismatch', key: 'k' })
    expect(error.message).toMatchInlineSnapshot(
      `"the idempotency key "k" was used for another request; use a new key"`,
    )
  })

  test.each([
    [999, 'replayed'],
    [1000, 'fresh'],
  ])('from 1000 is, for those kept since %i, %s', (since, expected) => {
    const { world, id } = setup()
    world.send(id, 'go', {}, { idempotency })

    const { planned } = world.send(id, 'go', {}, { idempotency: { ...idempotency, since } })

    expect(Object.keys(planned)).toEqual([expected])
  })
})

describe('a timer', () => {
  const timed = createMachine({
    context: {},
    initial: 'calm',
    states: {
      calm: { on: { arm: 'armed', drop: { actions: cancel('own') }, set: { actions: own() } } },
      armed: {
        after: { 50: 'gone' },
        on: { calm: 'calm', drop: { actions: cancel('own') }, end: 'ended' },
      },
      gone: { entry: emit({ type: 'thing.gone' }) },
      ended: { type: 'final' },
    },
  })
  function own() {
    return raise({ type: 'unheard' }, { delay: 10, id: 'own' })
  }
  const setup = () => {
    const commands = ['arm', 'drop', 'set', 'calm', 'end']
    const world = openWorld({ things: resource('thing', commands, timed) })
    return { world, id: world.create('thing').id }
  }
  const changesOf = (world: World, id: string, command: string) =>
    world.send(id, command).overlay.timers.map(({ change }) => change)

  test('is set for its due time, with its event', () => {
    const { world, id } = setup()
    world.time = 2000

    const { overlay } = world.send(id, 'arm')

    expect(overlay.timers).toMatchObject([
      {
        change: 'set',
        timer: {
          ...{ resourceId: id, tenant: 'default', name: 'xstate.after.50.(machine).armed' },
          ...{ event: '{"type":"xstate.after.50.(machine).armed"}', dueAt: 2050 },
        },
      },
    ])
  })

  test('is canceled on the way out, and cleared at the end', () => {
    const { world, id } = setup()
    world.send(id, 'arm')

    expect(changesOf(world, id, 'calm')).toEqual(['cancel'])
    world.send(id, 'arm')
    expect(changesOf(world, id, 'end')).toEqual(['clear'])
  })

  test('that is not there is canceled without a trace', () => {
    const { world, id } = setup()

    expect(world.send(id, 'drop').changed).toBe(false)
    world.send(id, 'set')
    expect(world.send(id, 'drop').changed).toBe(true)
    expect(world.send(id, 'drop').changed).toBe(false)
  })

  test('that fires is gone, and its entry tells which delay it was', () => {
    const { world, id } = setup()
    world.send(id, 'arm')

    const overlay = world.fire(1)

    expect(overlay.timers[0]).toEqual({ change: 'fired', position: 1 })
    expect(overlay.entries).toMatchObject([{ type: 'thing.gone', cause: '50', internal: false }])
  })

  test('that is gone already does nothing', () => {
    const { world } = setup()

    expect(world.fire(1)).toMatchObject({ timers: [], entries: [] })
  })

  test('that nobody waits for any more fires without a trace', () => {
    const { world, id } = setup()
    world.send(id, 'set')

    const overlay = world.fire(1)

    expect(overlay).toMatchObject({ timers: [{ change: 'fired' }], entries: [] })
    expect(world.row(id)?.version).toBe(2)
  })
})

test('revealing shows the secrets of a definition, and none that were replaced', () => {
  const secrets = { token: { generate: 't_', on: ['create', 'go'], retire: 1000 } }
  const world = openWorld({ things: resource('thing', ['go'], calm({ go: {} }), { secrets }) })
  const batch = createOverlay()
  const { id } = world.create('thing', {}, {}, batch)
  world.send(id, 'go', {}, {}, batch)

  const [revealed] = world.carryOut((run) => planReveal(run, world.kind('thing'), id), batch)

  expect(revealed).toEqual({ token: 't_made' })
  const names = batch.secrets.map((each) => each.change === 'set' && each.secret.name)
  expect(names).toEqual(['token', 'token.retired', 'token'])
})

describe('a command from outside', () => {
  const guarded = calm({ go: { guard: () => false }, inner: {} } as object)
  const setup = () => {
    const definition = resource('thing', ['go', 'inner'], guarded, { internal: ['inner'] })
    const world = openWorld({ things: definition })
    return { world, id: world.create('thing').id }
  }

  test.each([
    ['inner', 7, 'reserved'],
    ['xstate.init', 7, 'reserved'],
    ['go', 7, undefined],
    ['go', 1, 'guard'],
  ])('%s at version %i is refused: %s', async (type, expectedVersion, reason) => {
    const { world, id } = setup()

    const error = await failureOf(() => world.send(id, type, {}, { expectedVersion }))

    expect(error.reason).toBe(reason)
    expect(error.code).toBe(reason === undefined ? 'version_conflict' : 'illegal_transition')
  })

  test('is taken where it is internal and the engine itself sends it', async () => {
    const { world, id } = setup()

    expect(world.send(id, 'inner', {}, { own: true }).resource?.id).toBe(id)

    const error = await failureOf(() => world.send(id, 'xstate.init', {}, { own: true }))
    expect(error.reason).toBe('reserved')
  })

  test('of the engine itself is refused like any other', async () => {
    const { world, id } = setup()

    const guarded = await failureOf(() => world.send(id, 'go', {}, { own: true }))
    const stale = { own: true, expectedVersion: 7 } as const
    const error = await failureOf(() => world.send(id, 'inner', {}, stale))

    expect([guarded.reason, error.code]).toEqual(['guard', 'version_conflict'])
  })

  test('that expects another version is told which', async () => {
    const { world, id } = setup()

    const error = await failureOf(() => world.send(id, 'go', {}, { expectedVersion: 2 }))

    expect(error.message).toMatchInlineSnapshot(
      `"thing thi_1 is at version 1, not 2; read it again and decide anew"`,
    )
  })

  test('asks for each row once in a batch', () => {
    const { world, root } = tree()
    world.asked.length = 0
    const batch = createOverlay()

    world.send(root, 'go', {}, {}, batch)
    world.send(root, 'go', {}, {}, batch)

    const ids = world.asked.flatMap((question) =>
      question.ask === 'resource' ? [question.id] : [],
    )
    expect(ids).toHaveLength(6)
  })
})
