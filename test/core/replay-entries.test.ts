import { describe, expect, test } from 'vitest'
import {
  type ChangeEntries,
  isFurther,
  isMigration,
  isNote,
  type Replayed,
  readChange,
  replayChange,
} from '../../src/core/replay.ts'
import type { SealedEntry } from '../../src/core/rows.ts'

const created: SealedEntry = {
  ...{ seq: 5, id: 'evt_5', hash: Buffer.of(), ordinal: 1, previous: 0 },
  ...{ tenant: 'default', type: 'thing.create', internal: true, resourceId: 'thg_1' },
  ...{ resourceVersion: 1, data: '{"object":"thing","status":"calm"}', createdAt: 1000 },
  ...{ previousStatus: null, previousMs: null, cause: 'create', actor: null },
  ...{ correlationId: 'corr', causationId: null, command: '{"type":"create","input":{}}' },
  change: '{"machine":"1:x","value":"calm","set":{"a":1,"b":2}}',
}

/** A change whose entries show these statuses, one after the other. */
function changeOf(type: string, difference: object, statuses: readonly string[] = ['calm']) {
  const entries = statuses.map((status, index) => ({
    ...{ ...created, seq: 9 + index, resourceVersion: 2, createdAt: 2000 },
    data: JSON.stringify({ object: 'thing', status }),
    command: index === 0 ? JSON.stringify({ type }) : null,
    change: index === 0 ? JSON.stringify(difference) : null,
  }))
  return readChange(entries as unknown as ChangeEntries)
}

const first = replayChange(null, readChange([created]))

function later(difference: object, before: Replayed = first, statuses?: readonly string[]) {
  return replayChange(before, changeOf('go', difference, statuses))
}

describe('an entry', () => {
  test.each([
    ['begins a change', { internal: false, command: '{}' }, false, false],
    ['begins a change that no event tells of', { internal: true, command: '{}' }, false, false],
    ['belongs to the change before', { internal: false, command: null }, false, true],
    ['is a note', { internal: true, command: null }, true, false],
  ])('%s', (_, entry, note, further) => {
    expect([isNote(entry), isFurther(entry)]).toEqual([note, further])
  })

  test.each([
    ['no command', { command: null }, 'it does not carry a command'],
    ['a list for a command', { command: '[]' }, 'it does not carry a command'],
    ['a command without a type', { command: '{}' }, 'it does not carry a command'],
    ['a command whose type is no text', { command: '{"type":1}' }, 'it does not carry a command'],
    ['no difference', { change: null }, 'it does not say what it changed'],
    ['a number for a difference', { change: '5' }, 'it does not say what it changed'],
    ['no machine at first', { change: '{"value":"calm"}' }, 'in which state it begins'],
    ['a type that is no text', { data: '{"object":5}' }, 'it does not show what it is'],
    ['a list for its data', { data: '["thing"]' }, 'it does not show what it is'],
    ['a status that is no text', { data: '{"object":"x","status":5}' }, 'does not show a status'],
  ])('with %s makes no sense', (_, parts, message) => {
    expect(() => replayChange(null, readChange([{ ...created, ...parts }]))).toThrow(message)
  })
})

describe('a change of version', () => {
  test.each([
    ['by the engine', 'migrate', true, { machine: '2:x' }, true],
    ['by a command of that name that stays', 'migrate', true, {}, false],
    ['that an event tells of', 'migrate', false, { machine: '2:x' }, false],
    ['by another command', 'go', true, { machine: '2:x' }, false],
  ])('is not the decision of its machine: one %s', (_, type, internal, difference, expected) => {
    const { entries, ...change } = changeOf(type, difference)
    const [{ ...entry }] = entries

    expect(isMigration({ ...change, entries: [{ ...entry, internal }] })).toBe(expected)
  })
})

describe('a resource after its changes', () => {
  test('is at first as its creation says', () => {
    expect(first).toEqual({
      ...{ born: 5, place: 5, timers: [] },
      row: {
        ...{ id: 'thg_1', tenant: 'default', type: 'thing', status: 'calm', version: 1 },
        ...{ final: false, value: '"calm"', memory: null, context: '{"a":1,"b":2}' },
        ...{ machine: '1:x', createdAt: 1000, updatedAt: 1000, statusSince: 1000 },
        ...{ head: null, latest: 0, entries: 0 },
      },
    })
  })

  test('is as before but for its version and time where nothing is said', () => {
    const { row, ...places } = later({})

    expect(places).toEqual({ born: 5, place: 9, timers: [] })
    expect(row).toEqual({ ...first.row, version: 2, updatedAt: 2000 })
  })

  test('has the fields that were set, and not those that are gone', () => {
    expect(later({ set: { b: 3, c: 4 }, unset: ['a'] }).row.context).toBe('{"b":3,"c":4}')
  })

  test('has another machine and memory where that is said, until it is taken back', () => {
    const changed = later({ machine: '2:x', memory: { history: {} }, value: { p: 'x' } })
    expect(changed.row).toMatchObject({
      ...{ machine: '2:x', memory: '{"history":{}}', value: '{"p":"x"}' },
    })

    expect(later({}, changed).row).toMatchObject({ machine: '2:x', memory: '{"history":{}}' })
    expect(later({ memory: null }, changed).row.memory).toBeNull()
  })

  test('has the status that its last entry shows, unless another one is said', () => {
    const statuses = ['one', 'two', 'three']

    expect(later({}, first, statuses).row).toMatchObject({ status: 'three', statusSince: 2000 })
    expect(later({ status: 'four' }, first, statuses).row.status).toBe('four')
  })

  test('has ended where that is said, and lives again where that is', () => {
    const ended = later({ final: true })
    expect(ended.row.final).toBe(true)

    expect(later({}, ended).row.final).toBe(true)
    expect(later({ final: false }, ended).row.final).toBe(false)
  })

  test('has the timers that were set, as long as it lives', () => {
    const timers = [['ping', 3000]]
    const waiting = later({ timers })
    expect(waiting.timers).toMatchObject([{ name: 'ping', dueAt: 3000 }])

    expect(later({}, waiting).timers).toHaveLength(1)
    expect(later({ final: true, timers }, waiting).timers).toEqual([])
  })
})
