import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, emit, raise } from 'xstate'
import { type ChangeEntries, isFurther, readChange, replayChange } from '../../src/core/replay.ts'
import { checkChange, type Recorded } from '../../src/core/replay-check.ts'
import type { SealedEntry } from '../../src/core/rows.ts'
import { nothing, thing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

const count = assign((({ context }: { context: { n: number } }) => ({ n: context.n + 1 })) as never)
const went = emit({ type: 'thing.went' })

const machine = createMachine({
  id: 'm',
  context: { n: 0, text: 'a' },
  initial: 'calm',
  states: {
    calm: {
      on: {
        go: { target: 'busy', actions: [count, went] },
        rest: { actions: count },
        wait: { actions: [timer('one'), timer('two')] },
      },
    },
    busy: { always: { target: 'calm', actions: count } },
  },
} as object) as AnyStateMachine

function timer(id: string) {
  return raise({ type: 'rest' }, { delay: 10, id } as object)
}

const commands = { go: nothing, rest: nothing, wait: nothing }

/** A thing that has been sent these commands: its creation, and the change of each. */
function lived(types: readonly string[], parts: object = {}) {
  const world = openWorld({ things: thing(machine, { commands, ...parts }) })
  const { id } = world.create('thing')
  for (const type of types) {
    world.time += 10
    world.send(id, type)
  }
  return { kind: world.kind('thing'), changes: recorded(world.stored.log) }
}

function recorded(log: readonly object[]): Recorded[] {
  const entries = log.map((entry, index) => ({ ...entry, seq: index + 1 }) as SealedEntry)
  const changes: Recorded[] = []
  for (const [index, first] of entries.entries()) {
    if (isFurther(first)) continue
    const next = entries.findIndex((entry, at) => at > index && !isFurther(entry))
    const all = entries.slice(index, next === -1 ? undefined : next) as unknown as ChangeEntries
    const before = changes.at(-1)?.after ?? null
    const change = readChange(all)
    changes.push({ before, change, after: replayChange(before, change) })
  }
  return changes
}

/** The same change, of which the log says something else. */
function altered({ before, change }: Recorded, difference: object, entry: object = {}): Recorded {
  const [first, ...rest] = change.entries
  const text = JSON.stringify({ ...change.difference, ...difference })
  const read = readChange([{ ...first, ...entry, change: text }, ...rest])
  return { before, change: read, after: replayChange(before, read) }
}

function at<T>(items: readonly T[], index: number): T {
  return items[index] ?? expect.fail(`nothing at ${index}`)
}

describe('a change in the log', () => {
  test('is as its machine says', () => {
    const { kind, changes } = lived(['go', 'rest', 'wait', 'go'])

    expect(changes.flatMap((change) => checkChange(kind, change))).toEqual([])
    expect(changes).toHaveLength(5)
  })

  test('is nothing to speak of where there is no such kind any more', () => {
    const { changes } = lived(['go'])

    expect(checkChange(undefined, altered(at(changes, 1), { set: { n: 9 } }))).toEqual([])
  })

  test('of a creation cannot come from a timer', () => {
    const { kind, changes } = lived([])
    const fired = altered(at(changes, 0), { fired: ['create', 5] })

    expect(checkChange(kind, fired)).toEqual(['the timer "create" fired, which had not been set'])
  })

  test('that says another status is wrong about since when it has had it, too', () => {
    const { kind, changes } = lived(['go'])

    expect(checkChange(kind, altered(at(changes, 1), { status: 'busy' }))).toEqual([
      'its status became busy; its machine says calm',
      'its statusSince became 1010; its machine says 1000',
    ])
  })

  test('names all timers that it says, and all that its machine says', () => {
    const { kind, changes } = lived(['wait'])
    const timers = [['one'], ['three', 9]]

    expect(checkChange(kind, altered(at(changes, 1), { timers }))).toEqual([
      'its timers were: cancel one, set three {"type":"three"}; its machine says: set one {"type":"rest"}, set two {"type":"rest"}',
    ])
  })

  test('by a machine that has ended it has no timers', () => {
    const ending = createMachine({
      ...{ context: {}, initial: 'calm' },
      states: { calm: { on: { go: 'over' }, after: { 50: 'over' } }, over: { type: 'final' } },
    } as object) as AnyStateMachine
    const { kind, changes } = lived(['go'], { machine: ending })

    expect(checkChange(kind, at(changes, 1))).toEqual([])
    expect(checkChange(kind, altered(at(changes, 1), { timers: [['x', 9]] }))).toEqual([
      'its timers were: set x {"type":"x"}; its machine says: ',
    ])
  })
})

describe('what an entry showed of the context', () => {
  const today = lived([], { summary: ['text'] }).kind
  const { changes } = lived(['go', 'rest'])
  const showing = (index: number, n: number) => {
    const change = at(changes, index)
    const [{ data }] = change.change.entries
    const shown = JSON.stringify({ ...JSON.parse(data), n })
    return checkChange(today, altered(change, {}, { data: shown }))
  }

  test('may be more than it would show today', () => {
    expect(changes.flatMap((change) => checkChange(today, change))).toEqual([])
  })

  test.each([
    ['when it was told, and not after', 1, 1],
    ['after a change that no event told', 2, 3],
  ])('has to be what it was %s', (_, index, n) => {
    expect(showing(index, n)).toEqual([])
    expect(showing(index, n + 1)).toEqual([expect.stringMatching(/^data of thing\.\w+ is /)])
  })
})
