import { describe, expect, test } from 'vitest'
import { createOverlay, type Overlay } from '../../src/core/overlay.ts'
import {
  type Answers,
  hasTimer,
  loadOutcome,
  loadReferrers,
  loadRow,
  loadTimer,
  loadTimers,
  type Plan,
  type Question,
} from '../../src/core/questions.ts'
import type { OutcomeRow, ResourceRow, TimerChange, TimerRow } from '../../src/core/rows.ts'

type Answer = (question: Question) => Answers[Question['ask']]

/** Runs a plan to its end, with the answers of a store; gives what it asked as well. */
function drive<T>(
  plan: Plan<T>,
  answer: Answer,
): { readonly value: T; readonly asked: Question[] } {
  const asked: Question[] = []
  let step = plan.next()
  while (!step.done) {
    asked.push(step.value)
    step = plan.next(answer(step.value))
  }
  return { value: step.value, asked }
}

function resultOf<T>(plan: Plan<T>, answer: Answer): T {
  return drive(plan, answer).value
}

const nothing: Answer = () => undefined

function timer(position: number, resourceId: string, name: string): TimerRow {
  return { position, resourceId, name } as TimerRow
}

function row(id: string, parts: Partial<ResourceRow> = {}): ResourceRow {
  return { id, type: 'thing', final: false, ...parts } as ResourceRow
}

function overlayWith(timers: readonly TimerChange[]): Overlay {
  const overlay = createOverlay()
  overlay.timers.push(...timers)
  return overlay
}

const set = (resourceId: string, name: string): TimerChange => ({
  change: 'set',
  timer: timer(0, resourceId, name),
})
const cancel = (resourceId: string, name: string): TimerChange => ({
  ...{ change: 'cancel', resourceId, name },
})
const clear = (resourceId: string): TimerChange => ({ change: 'clear', resourceId })
const fired = (position: number) => ({ change: 'fired', position }) as TimerChange

const mine = timer(7, 'thg_1', 'ping')

describe('a stored timer', () => {
  const stored: Answer = ({ ask }) => (ask === 'timer' ? mine : [mine, timer(8, 'thg_1', 'pong')])

  test.each<[string, readonly TimerChange[], boolean]>([
    ['stays without any change', [], true],
    ['is gone once it has fired', [fired(7)], false],
    ['stays when another one has fired', [fired(8)], true],
    ['is gone when its resource is cleared', [clear('thg_1')], false],
    ['stays when another resource is cleared', [clear('thg_2')], true],
    ['is gone when it is canceled by its name', [cancel('thg_1', 'ping')], false],
    ['stays when another name is canceled', [cancel('thg_1', 'pong')], true],
    ['stays when the same name of another resource is canceled', [cancel('thg_2', 'ping')], true],
    ['stays when its name is used again', [set('thg_1', 'ping')], true],
    [
      'cannot be canceled once its name is used again',
      [set('thg_1', 'ping'), cancel('thg_1', 'ping')],
      true,
    ],
    [
      'can be canceled before its name is used again',
      [cancel('thg_1', 'ping'), set('thg_1', 'ping')],
      false,
    ],
    [
      'can be canceled although another name has been used',
      [set('thg_1', 'pong'), cancel('thg_1', 'ping')],
      false,
    ],
    [
      'can be canceled although another resource uses its name',
      [set('thg_2', 'ping'), cancel('thg_1', 'ping')],
      false,
    ],
    [
      'is gone when it fires after its name was used again',
      [set('thg_1', 'ping'), fired(7)],
      false,
    ],
    [
      'is gone when all is cleared after its name was used again',
      [set('thg_1', 'ping'), clear('thg_1')],
      false,
    ],
  ])('%s', (_, changes, isLeft) => {
    const overlay = overlayWith(changes)

    expect(resultOf(loadTimer(overlay, 7), stored)).toEqual(isLeft ? mine : undefined)
    const left = resultOf(loadTimers(overlay, 'thg_1'), stored)
    expect(left.some(({ position }) => position === 7)).toBe(isLeft)
  })

  test('that does not exist is not found', () => {
    expect(resultOf(loadTimer(createOverlay(), 7), nothing)).toBeUndefined()
  })

  test('is asked for by its position, and those of a resource by its id', () => {
    expect(drive(loadTimer(createOverlay(), 7), stored).asked).toEqual([
      { ask: 'timer', position: 7 },
    ])
    expect(drive(loadTimers(createOverlay(), 'thg_1'), stored).asked).toEqual([
      { ask: 'timers', resourceId: 'thg_1' },
    ])
  })
})

describe('whether a resource has a timer of a name', () => {
  const has = (changes: readonly TimerChange[], stored: readonly TimerRow[] = []) =>
    resultOf(hasTimer(overlayWith(changes), 'thg_1', 'ping'), () => stored)

  test.each<[string, readonly TimerChange[], readonly TimerRow[], boolean]>([
    ['has not without any', [], [], false],
    ['has a stored one', [], [mine], true],
    ['has not one of another name', [], [timer(7, 'thg_1', 'pong')], false],
    ['has not one that is canceled', [cancel('thg_1', 'ping')], [mine], false],
    ['has one that has just been set', [set('thg_1', 'ping')], [], true],
    ['has not one that another resource has set', [set('thg_2', 'ping')], [], false],
    ['has not one that was set by another name', [set('thg_1', 'pong')], [], false],
    [
      'has not one that was set and canceled',
      [set('thg_1', 'ping'), cancel('thg_1', 'ping')],
      [],
      false,
    ],
    [
      'has one that was set after a cancel',
      [cancel('thg_1', 'ping'), set('thg_1', 'ping')],
      [],
      true,
    ],
    ['has not one that was set and cleared', [set('thg_1', 'ping'), clear('thg_1')], [], false],
  ])('%s', (_, changes, stored, expected) => {
    expect(has(changes, stored)).toBe(expected)
  })
})

describe('a row', () => {
  test('is asked for once', () => {
    const overlay = createOverlay()

    expect(drive(loadRow(overlay, 'thg_1'), () => row('thg_1')).asked).toHaveLength(1)
    expect(drive(loadRow(overlay, 'thg_1'), nothing)).toEqual({ value: row('thg_1'), asked: [] })
  })

  test('that does not exist is not kept', () => {
    const overlay = createOverlay()

    expect(resultOf(loadRow(overlay, 'thg_1'), nothing)).toBeUndefined()
    expect([...overlay.rows.keys()]).toEqual([])
  })
})

describe('those who refer to a resource', () => {
  const field = { type: 'thing', field: 'parent_id' }
  const answering =
    (ids: readonly string[], rows: Readonly<Record<string, ResourceRow>> = {}): Answer =>
    (question) =>
      question.ask === 'referrers'
        ? ids
        : question.ask === 'resource'
          ? rows[question.id]
          : undefined

  const known = { a: row('a'), b: row('b'), c: row('c') }

  function refer(
    overlay: Overlay,
    resourceId: string,
    targetId: string | null,
    parts: object = {},
  ) {
    overlay.references.push({ resourceId, targetId, type: 'thing', field: 'parent_id', ...parts })
  }

  function found(overlay: Overlay, ids: readonly string[], limit?: number): readonly string[] {
    const plan = loadReferrers(overlay, 'p', field, limit)
    return resultOf(plan, answering(ids, known)).map(({ id }) => id)
  }

  test('are those that are stored, in their order', () => {
    expect(found(createOverlay(), ['b', 'a'])).toEqual(['b', 'a'])
  })

  test('are with those that have just begun to, and without those that no longer do', () => {
    const overlay = createOverlay()
    refer(overlay, 'c', 'p')
    refer(overlay, 'a', null)
    refer(overlay, 'b', 'other')

    expect(found(overlay, ['a', 'b'])).toEqual(['c'])
  })

  test('are not those that refer through another field or are of another type', () => {
    const overlay = createOverlay()
    refer(overlay, 'a', null, { field: 'other_id' })
    refer(overlay, 'b', null, { type: 'other' })
    refer(overlay, 'c', 'p', { field: 'other_id' })

    expect(found(overlay, ['a', 'b'])).toEqual(['a', 'b'])
  })

  test('are not those that have ended or are gone', () => {
    const overlay = createOverlay()
    overlay.rows.set('b', row('b', { final: true }))

    expect(found(overlay, ['a', 'b', 'unknown', 'c'])).toEqual(['a', 'c'])
  })

  test('are no more than asked for', () => {
    expect(found(createOverlay(), ['a', 'b', 'c'], 2)).toEqual(['a', 'b'])
  })

  test('are asked for with room for those that this batch has touched', () => {
    const overlay = createOverlay()
    for (const id of ['x', 'y', 'z']) overlay.rows.set(id, row(id))

    const { asked } = drive(loadReferrers(overlay, 'p', field, 5), answering([]))

    expect(asked).toEqual([{ ask: 'referrers', targetId: 'p', ...field, limit: 8 }])
  })
})

describe('what an idempotency key remembers', () => {
  const stored = { tenant: 't', key: 'k', fingerprint: 'stored' } as OutcomeRow

  function remembered(drafts: readonly (readonly [string, string, string])[]) {
    const overlay = createOverlay()
    for (const [tenant, key, fingerprint] of drafts) {
      overlay.outcomes.push({ ...stored, tenant, key, fingerprint, entries: [] })
    }
    return drive(loadOutcome(overlay, 't', 'k'), () => stored)
  }

  test('is stored', () => {
    expect(remembered([])).toEqual({
      value: stored,
      asked: [{ ask: 'outcome', tenant: 't', key: 'k' }],
    })
  })

  test('is what this batch has decided last', () => {
    const { value, asked } = remembered([
      ['t', 'k', 'first'],
      ['t', 'k', 'last'],
      ['t', 'other', 'x'],
      ['other', 'k', 'y'],
    ])

    expect(value).toMatchObject({ fingerprint: 'last' })
    expect(asked).toEqual([])
  })

  test('is not what belongs to another key or tenant', () => {
    expect(
      remembered([
        ['t', 'other', 'x'],
        ['other', 'k', 'y'],
      ]).value,
    ).toBe(stored)
  })
})
