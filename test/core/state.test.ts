import { describe, expect, test } from 'vitest'
import { createMachine, initialTransition, transition } from 'xstate'
import { z } from 'zod'
import type { Kind } from '../../src/core/kind.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type { ResourceRow } from '../../src/core/rows.ts'
import {
  fullViewOf,
  hasState,
  keptMemory,
  memoryOf,
  snapshotOf,
  statusOf,
  summaryOf,
  viewOf,
} from '../../src/core/state.ts'
import type { Snapshot } from '../../src/core/xstate.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'

const loose = z.looseObject({})

const nested = createMachine({
  id: 'm',
  initial: 'off',
  states: {
    off: { on: { go: 'on' } },
    on: {
      initial: 'one',
      on: { stop: 'off', back: '.last' },
      states: { one: { on: { go: 'two' } }, two: {}, last: { type: 'history' } },
    },
    both: { type: 'parallel', states: { left: {}, right: {} } },
  },
  on: { both: '.both' },
})

function kindWith(parts: object = {}): Kind {
  const commands = { go: loose, stop: loose, back: loose, both: loose }
  const definition = define({
    ...{ type: 'thing', prefix: 'thg', input: loose, commands, machine: nested },
    ...parts,
  })
  const kind = createRegistry({ things: definition }, String).byType.get('thing')
  if (kind === undefined) throw new Error('the thing is not registered')
  return kind
}

const kind = kindWith()

function rowWith(parts: Partial<ResourceRow> = {}): ResourceRow {
  return {
    ...{ id: 'thg_1', type: 'thing', status: 'off', version: 3, value: '"off"', memory: null },
    ...{ context: '{"a":1,"b":2}', createdAt: 0, updatedAt: 1000, ...parts },
  } as ResourceRow
}

/** The snapshot after some commands, by XState's own functions. */
function movedBy(...commands: readonly string[]): Snapshot {
  let [snapshot] = initialTransition(kind.machine, {} as never)
  for (const type of commands) [snapshot] = transition(kind.machine, snapshot, { type } as never)
  return snapshot as unknown as Snapshot
}

const textOf = (snapshot: Snapshot) => JSON.stringify(snapshot.value)

describe('a status', () => {
  const status = (value: unknown, parts: object = {}) =>
    statusOf(kindWith(parts), snapshotOf(kind, rowWith({ value: JSON.stringify(value) })))

  test('is the key of the innermost active state', () => {
    expect(status('off')).toBe('off')
    expect(status({ on: 'two' })).toBe('two')
  })

  test('is the key of the parallel state where regions run', () => {
    expect(status({ both: { left: {}, right: {} } })).toBe('both')
  })

  test('is active where the machine has no states', () => {
    const bare = kindWith({
      machine: createMachine({ on: { go: {}, stop: {}, back: {}, both: {} } }),
    })

    expect(statusOf(bare, snapshotOf(bare, rowWith({ value: '{}' })))).toBe('active')
  })

  test('is what the definition says, of the value and the context', () => {
    const named = ({ value, context }: { value: unknown; context: object }) =>
      `${JSON.stringify(value)} ${JSON.stringify(context)}`

    expect(status('off', { status: named })).toBe('"off" {"a":1,"b":2}')
  })

  test.each([[''], [5], [undefined], [{}]])(
    'is a text that says something: %j is none',
    async (given) => {
      expect(await failureOf(() => status('off', { status: () => given }))).toMatchObject({
        code: 'machine_invalid',
        reason: expect.stringMatching(/^its status gives .+ instead of a text$/),
      })
    },
  )
})

describe('what XState remembers', () => {
  test('is nothing where the value says it all', () => {
    const snapshot = movedBy('go')

    expect(memoryOf(kind, snapshot, textOf(snapshot))).toBe(null)
  })

  test('is the order of the active states where the value says another one', () => {
    const snapshot = movedBy('both')
    const [root, both, left, right] = snapshot._nodes
    const other = { ...snapshot, _nodes: [root, both, right, left] } as Snapshot

    expect(memoryOf(kind, snapshot, textOf(snapshot))).toBe(null)
    expect(memoryOf(kind, other, textOf(snapshot))).toBe(
      '{"nodes":["m","m.both","m.both.right","m.both.left"]}',
    )
  })

  test('is without what the machine does not have any more', () => {
    const memory = '{"history":{"m.on.last":["m.on.gone","m.on.two"]}}'

    const { historyValue } = snapshotOf(kind, rowWith({ memory }))

    expect(historyValue).toEqual({ 'm.on.last': [kind.nodes.get('m.on.two')] })
  })

  test('is what history states go back to', () => {
    const snapshot = movedBy('go', 'go', 'stop')

    expect(memoryOf(kind, snapshot, textOf(snapshot))).toBe(
      '{"history":{"m.on.last":["m.on.two"]}}',
    )
  })

  test('comes back with the row', () => {
    const snapshot = movedBy('go', 'go', 'stop')
    const memory = memoryOf(kind, snapshot, textOf(snapshot))
    const revived = snapshotOf(kind, rowWith({ memory, context: '{}' }))

    const [back] = transition(kind.machine, revived as never, { type: 'back' } as never)
    const [bare] = transition(
      kind.machine,
      snapshotOf(kind, rowWith()) as never,
      { type: 'go' } as never,
    )

    expect(revived.historyValue['m.on.last']?.map(({ id }) => id)).toEqual(['m.on.two'])
    expect(snapshotOf(kind, rowWith()).historyValue).toEqual({})
    expect([back.value, bare.value]).toEqual(['off', { on: 'one' }])
  })

  test('is the active nodes where they come in another order', () => {
    const snapshot = movedBy('both')
    const nodes = [...snapshot._nodes].reverse()
    const memory = memoryOf(kind, { ...snapshot, _nodes: nodes } as Snapshot, textOf(snapshot))

    expect(JSON.parse(memory ?? '')).toEqual({ nodes: nodes.map(({ id }) => id) })
    const row = rowWith({ memory, value: textOf(snapshot) })
    expect(snapshotOf(kind, row)._nodes).toEqual(nodes)
    expect(memoryOf(kind, snapshot, textOf(snapshot))).toBe(null)
    const some = { ...snapshot, _nodes: snapshot._nodes.slice(1) } as Snapshot
    expect(memoryOf(kind, some, textOf(snapshot))).not.toBe(null)
  })
})

describe('the states of a row', () => {
  test.each<[string, string, string | null, boolean]>([
    ['are there', '"off"', null, true],
    ['are there deep inside', '{"on":"two"}', null, true],
    ['are not there', '"gone"', null, false],
    ['are not there deep inside', '{"on":"gone"}', null, false],
    ['are not there where XState would complete them', '"on"', null, false],
    ['are there with what they remember', '"off"', '{"history":{"m.on.last":["m.on.two"]}}', true],
    [
      'are not there with a history that is not',
      '"off"',
      '{"history":{"m.gone":["m.on.two"]}}',
      false,
    ],
    [
      'are not there with a past that is not',
      '"off"',
      '{"history":{"m.on.last":["m.gone"]}}',
      false,
    ],
    ['are there with their nodes', '"off"', '{"nodes":["m.off","m"]}', true],
    ['are not there with a node that is not', '"off"', '{"nodes":["m.off","m.gone"]}', false],
  ])('%s', (_, value, memory, expected) => {
    expect(hasState(kind, value, memory)).toBe(expected)
  })

  test('are named where the machine does not have them', async () => {
    expect(
      await failureOf(() => snapshotOf(kindWith(), rowWith({ value: '"gone"' }))),
    ).toMatchObject({
      code: 'machine_invalid',
      reason: 'it has no state "gone", in which a stored resource is',
    })
  })
})

describe('what is left of a memory in another machine', () => {
  const kept = (memory: object | null, value = '"off"') =>
    keptMemory(kind, rowWith({ memory: memory && JSON.stringify(memory) }), value)

  test.each<[string, object | null, string, object | null]>([
    ['is nothing of nothing', null, '"off"', null],
    [
      'is all that is still there',
      { history: { 'm.on.last': ['m.on.two'] } },
      '"off"',
      { history: { 'm.on.last': ['m.on.two'] } },
    ],
    ['is no history that is gone', { history: { 'm.gone': ['m.on.two'] } }, '"off"', null],
    [
      'is no history of which a part is gone',
      { history: { 'm.on.last': ['m.on.two', 'm.gone'] } },
      '"off"',
      null,
    ],
    [
      'is the one history of two',
      { history: { 'm.gone': ['m.off'], 'm.on.last': ['m.on.two'] } },
      '"off"',
      { history: { 'm.on.last': ['m.on.two'] } },
    ],
    [
      'is its nodes under the same value',
      { nodes: ['m.off', 'm'] },
      '"off"',
      { nodes: ['m.off', 'm'] },
    ],
    ['is no nodes under another value', { nodes: ['m.off', 'm'] }, '"on"', null],
    ['is no nodes of which one is gone', { nodes: ['m.off', 'm.gone'] }, '"off"', null],
  ])('%s', (_, memory, value, expected) => {
    expect(kept(memory, value)).toBe(expected && JSON.stringify(expected))
  })
})

describe('a resource is seen', () => {
  const common = { id: 'thg_1', object: 'thing', status: 'off' }
  const times = { created_at: '1970-01-01T00:00:00.000Z', updated_at: '1970-01-01T00:00:01.000Z' }

  test('with its fields, but for those of its machine alone', () => {
    expect(viewOf(kind, rowWith())).toEqual({ ...common, version: 3, a: 1, b: 2, ...times })
    expect(viewOf(kindWith({ private: ['a'] }), rowWith())).toEqual({
      ...common,
      version: 3,
      b: 2,
      ...times,
    })
  })

  test('in full by checks', () => {
    expect(fullViewOf(kindWith({ private: ['a'] }), rowWith())).toEqual({
      ...common,
      version: 3,
      a: 1,
      b: 2,
      ...times,
    })
  })

  test.each<[string, object, object]>([
    ['all of its fields', {}, { a: 1, b: 2 }],
    ['those of its summary', { summary: ['b'] }, { b: 2 }],
    ['none where the summary is empty', { summary: [] }, {}],
    ['none that only its machine sees', { private: ['b'] }, { a: 1 }],
  ])('by those who get events with %s', (_, parts, fields) => {
    const text = summaryOf(kindWith(parts), rowWith(), 'on', { a: 1, b: 2 })

    expect(JSON.parse(text)).toEqual({ ...common, status: 'on', ...fields, ...times })
  })
})
