import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, cancel, createMachine, emit, raise } from 'xstate'
import {
  type ChangeEntries,
  isFurther,
  isNote,
  type Replayed,
  readChange,
  replayChange,
} from '../../src/core/replay.ts'
import { checkChange } from '../../src/core/replay-check.ts'
import { passTime } from '../../src/core/replay-silence.ts'
import { findFired } from '../../src/core/replay-timers.ts'
import type { SealedEntry } from '../../src/core/rows.ts'
import { explode, nothing, thing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

interface Fields {
  readonly n: number
}

const count = assign(({ context }: { context: Fields }) => ({ n: context.n + 1 }))

/** A machine with some of everything that a log has to tell; its last step on `go` is silent. */
function machineOf(parts: object = {}): AnyStateMachine {
  return createMachine({
    id: 'thing',
    context: { n: 0, text: 'a' },
    initial: 'calm',
    states: {
      calm: { on: { go: 'busy', rest: { actions: assign({ text: undefined }) } } },
      busy: { entry: [count, emit({ type: 'thing.went' })], always: 'waiting' },
      waiting: {
        entry: [
          raise({ type: 'ping' }, { delay: 10, id: 'ping' } as object),
          raise({ type: 'pong', n: 1 } as { type: string }, { delay: 20 } as object),
        ],
        on: {
          ping: { actions: [count, emit({ type: 'thing.went' }), emit({ type: 'thing.came' })] },
          go: { target: 'calm', actions: cancel('ping') },
          rest: 'over',
        },
      },
      over: { type: 'final' },
    },
    ...parts,
  } as object)
}

const commands = { go: nothing, rest: nothing, ping: nothing, pong: nothing }
const events = ['thing.went', 'thing.came']

/** A world with one thing. */
function open(machine = machineOf(), parts: object = {}) {
  const world = openWorld({ things: thing(machine, { commands, events, ...parts }) as never })
  const { id } = world.create('thing', {})
  const changes = () => changesIn(world.stored.log)
  const states = () => {
    let state: Replayed | null = null
    return changes().map((entries) => {
      const before: Replayed | null = state
      state = replayChange(before, readChange(entries))
      return { before, entries, after: state }
    })
  }
  return { world, id, kind: world.kind('thing'), states, latest: () => lastOf(states()) }
}

function lastOf<T>(items: readonly T[]): T {
  const last = items.at(-1)
  if (last === undefined) throw new Error('there is nothing')
  return last
}

function changesIn(log: readonly object[]): ChangeEntries[] {
  const changes: [SealedEntry, ...SealedEntry[]][] = []
  for (const [index, entry] of log.entries()) {
    const sealed = { ...entry, seq: index + 1 } as SealedEntry
    if (isFurther(sealed)) changes.at(-1)?.push(sealed)
    else if (!isNote(sealed)) changes.push([sealed])
  }
  return changes
}

/** The same change with another difference in its first entry. */
function withDifference([first, ...rest]: ChangeEntries, parts: object): ChangeEntries {
  const change = JSON.stringify({ ...JSON.parse(first.change ?? ''), ...parts })
  return [{ ...first, change }, ...rest]
}

describe('a log', () => {
  test('leads to the row after each change, and to its timers', () => {
    const { world, id, latest } = open()
    const steps = [
      () => world.send(id, 'go'),
      () => world.fire(1),
      () => world.send(id, 'go'),
      () => world.send(id, 'rest'),
      () => world.send(id, 'go'),
      () => world.send(id, 'rest'),
    ]
    for (const step of steps) {
      world.time += 10
      step()

      const { row, timers } = latest().after
      expect({ ...row, head: null }).toEqual({ ...world.row(id), head: null })
      const stored = [...world.stored.timers.values()]
      expect(timers.map(({ event, dueAt }) => [event, dueAt])).toEqual(
        stored.map(({ event, dueAt }) => [event, dueAt]),
      )
    }
    expect(latest().after.row).toMatchObject({ status: 'over', final: true })
  })

  test('names the status that no event shows', () => {
    const { world, id, latest } = open()
    world.send(id, 'go')

    const { entries, after } = latest()

    expect(JSON.parse(entries[0].data).status).toBe('busy')
    expect(after.row.status).toBe('waiting')
  })

  test('takes the name of a timer away when it is given to another one', () => {
    const { world, id, latest } = open(
      machineOf({ on: { again: { actions: raise({ type: 'ping' }, ping(5)) } } }),
      { commands: { ...commands, again: nothing } },
    )
    world.send(id, 'go')
    world.send(id, 'again')

    const names = latest().after.timers.map(({ name, dueAt }) => [name, dueAt - world.time])

    expect(names).toEqual([
      [null, 10],
      [null, 20],
      ['ping', 5],
    ])
  })

  test('knows a timer that fired with the name that it had when it was loaded', () => {
    const pending = [
      { name: null, event: '{"type":"ping"}', dueAt: 5, gone: true },
      { name: null, event: '{"type":"ping"}', dueAt: 5, gone: false },
      { name: 'ping', event: '{"type":"ping"}', dueAt: 9, gone: false },
    ]
    expect(findFired(pending, ['ping', 9])).toBe(pending[2])
    // One that is there for sure comes before one that may have fired unseen.
    expect(findFired(pending, ['ping', 5])).toBe(pending[1])
    expect(findFired(pending, ['ping', 6])).toBeUndefined()
    expect(findFired(pending, ['pong', 5])).toBeUndefined()
  })

  test.each([
    ['begins in the middle', { command: '{"type":"go"}' }, 'it begins with "go"'],
    ['carries no command', { command: '"create"' }, 'it does not carry a command'],
    ['carries no difference', { change: '[]' }, 'it does not say what it changed'],
    ['names no state', { change: '{"machine":"1:x"}' }, 'in which state it begins'],
    ['shows nothing', { data: 'null' }, 'it does not show what it is'],
    ['shows no status', { data: '{"object":"thing"}' }, 'it does not show a status'],
    ['is no JSON', { change: '{' }, 'JSON'],
  ])('that %s makes no sense', (_, parts, message) => {
    const [[first, ...rest] = expect.fail('no entries')] = changesIn(open().world.stored.log)

    const replay = () => replayChange(null, readChange([{ ...first, ...parts }, ...rest]))

    expect(replay).toThrow(message)
  })
})

function ping(delay: number) {
  return { delay, id: 'ping' } as object
}

describe('a machine that decides again', () => {
  /** A life in which everything happens that a log can tell. */
  function lived(parts: object = {}) {
    const opened = open(machineOf(), parts)
    const { world, id } = opened
    for (const step of [
      () => world.send(id, 'go'),
      () => world.fire(1),
      () => world.send(id, 'go'),
      () => world.send(id, 'go'),
      () => world.send(id, 'rest'),
    ]) {
      world.time += 10
      step()
    }
    return opened
  }

  test('says the same', () => {
    const { kind, states } = lived()
    const found = states().flatMap(({ entries, ...around }) =>
      checkChange(kind, { ...around, change: readChange(entries) }),
    )
    expect(found).toEqual([])
  })

  /** What the machine says of the change at an index, once its entries have been altered. */
  function checked(index: number, alter: (entries: ChangeEntries) => ChangeEntries, parts = {}) {
    const { states } = lived()
    const { before, entries } = states()[index] ?? expect.fail(`no change ${index}`)
    const change = readChange(alter(entries))
    const { kind } = open(machineOf(parts))
    return checkChange(kind, { before, change, after: replayChange(before, change) })
  }

  const first = (parts: object) => (entries: ChangeEntries) =>
    [{ ...entries[0], ...parts }, ...entries.slice(1)] as ChangeEntries
  const difference = (parts: object) => (entries: ChangeEntries) => withDifference(entries, parts)

  test.each([
    ['a context', 1, difference({ set: { n: 7 } }), 'its context became {"n":7,"text":"a"}'],
    ['a value', 1, difference({ value: 'calm' }), 'its value became "calm"'],
    ['a memory', 1, difference({ memory: { history: {} } }), 'its memory became {"history":{}}'],
    ['a status', 1, difference({ status: 'calm' }), 'its status became calm'],
    ['an end', 1, difference({ final: true }), 'its final became true'],
    ['an end that is not told', 5, difference({ final: false }), 'its final became false'],
    ['no timers', 1, difference({ timers: [] }), 'its timers were: '],
    [
      'another timer',
      1,
      difference({
        timers: [
          ['ping', 9],
          [null, 9],
        ],
      }),
      'its timers were: set',
    ],
    ['no cancel', 3, difference({ timers: undefined }), 'its machine says: cancel ping'],
    ['a cause', 1, first({ cause: 'rest' }), 'cause of thing.went is rest; its machine says go'],
    ['an event', 1, first({ type: 'thing.came' }), 'it was told as thing.came'],
    ['one event less', 2, (entries: ChangeEntries) => [entries[0]] as const, 'it was told as'],
    ['a status before', 1, first({ previousStatus: 'over' }), 'previousStatus of thing.went'],
    ['a duration', 1, first({ previousMs: 3 }), 'previousMs of thing.went is 3'],
    ['internal', 1, first({ internal: true }), 'internal of thing.went is true'],
    ['data', 1, first({ data: '{"object":"thing","status":"busy","n":9}' }), 'data of thing.went'],
    [
      'a command',
      1,
      first({ command: '{"type":"ping"}' }),
      'does not take "ping" in status "calm"',
    ],
    [
      'a strange timer',
      2,
      difference({ fired: ['ping', 5] }),
      'the timer "ping" fired, which had not',
    ],
    ['a wrong timer', 2, difference({ fired: ['pong', 5] }), 'sends "pong", not "ping"'],
    ['a broken timer', 2, difference({ fired: [null, 5, {}] }), 'it cannot be decided again'],
  ])('finds %s that it does not say', (_, index, alter, message) => {
    expect(checked(index, alter).join('\n')).toContain(message)
  })

  test('finds what is thrown', () => {
    const states = { calm: { on: { go: { guard: explode } } }, waiting: {}, over: {}, busy: {} }
    const { kind } = open(machineOf({ states }))
    const { before, entries, after } = lived().states()[1] ?? expect.fail('no change')
    const machine = { ...after.row, machine: kind.fingerprint }

    const found = checkChange(kind, {
      before,
      change: readChange(entries),
      after: { ...after, row: machine },
    })

    expect(found.join()).toContain('the machine exploded')
  })

  test('does not mind other due times: timeouts may have been configured otherwise', () => {
    const later = difference({
      timers: [
        ['ping', 999],
        [null, 999, { type: 'pong', n: 1 }],
      ],
    })
    expect(checked(1, later)).toEqual([])
  })

  test('does not mind which fields events showed then', () => {
    const { states } = lived({ summary: ['text'] })
    const { kind } = open()
    const found = states().flatMap(({ entries, ...around }) =>
      checkChange(kind, { ...around, change: readChange(entries) }),
    )
    expect(found).toEqual([])
  })

  test('is not asked where another one decided', () => {
    const other = difference({ machine: '0:other', set: { n: 7 } })
    expect(checked(1, other)).toEqual([])
  })
})

describe('a timer', () => {
  /** The timers of a thing that waits, by whether they may have fired unseen until a time after `go`. */
  function goneAfter(ms: number, machine = machineOf(), parts: object = {}) {
    const { world, id, kind, latest } = open(machine, parts)
    world.send(id, 'go')
    const { timers } = passTime(kind, latest().after, world.time + ms)
    return timers.map(({ event, gone }) => `${JSON.parse(event).type} ${gone}`)
  }

  test('that is not due has not fired', () => {
    expect(goneAfter(9)).toEqual(['ping false', 'pong false'])
  })

  test('may have fired unseen once the machine would have ignored it', () => {
    expect(goneAfter(20)).toEqual(['ping false', 'pong true'])
  })

  function waiting(pong: object): AnyStateMachine {
    const timer = raise({ type: 'pong' }, { delay: 10 } as object)
    const states = { calm: { on: { go: { actions: timer }, pong } } }
    return machineOf({ states, initial: 'calm' })
  }

  interface Acting {
    readonly context: Fields
    readonly self: { readonly clock: { now(): number } }
  }

  const early = assign((({ context: { n }, self }: Acting) => ({
    n: self.clock.now() < 1015 ? n + 1 : n,
  })) as never)

  test.each([
    ['changes nothing', { actions: () => {} }, true],
    ['cancels nothing', { actions: cancel('nobody') }, true],
    ['says something', { actions: emit({ type: 'thing.went' }) }, false],
    ['sets a timer', { actions: raise({ type: 'pong' }, { delay: 9 } as object) }, false],
    ['only acts', { actions: explode }, true],
    ['fails in a guard, and is put off', { guard: explode }, false],
    ['changes something only when it is early', { actions: early }, true],
  ])('that %s leaves a trace or not', (_, transition, gone) => {
    expect(goneAfter(20, waiting(transition))).toEqual([`pong ${gone}`])
  })

  test('of another machine may have done anything', () => {
    const { world, id, kind, latest } = open()
    world.send(id, 'go')
    const { after } = latest()
    const old = { ...after, row: { ...after.row, machine: '0:other' } }
    const gones = (state: Replayed, of = kind) =>
      passTime(of, state, world.time + 10).timers.map(({ gone }) => gone)

    expect(gones(old)).toEqual([true, false])
    expect(passTime(undefined, after, world.time + 10).timers[0]?.gone).toBe(true)
  })
})
