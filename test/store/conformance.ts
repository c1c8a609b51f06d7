import { describe, expect, test } from 'vitest'
import { ask } from '../../src/core/questions.ts'
import type { OutcomeRow, ResourceRow, SecretChange, TimerChange } from '../../src/core/rows.ts'
import type { EntryQuery, ResourceQuery, TimerQuery } from '../../src/store/queries.ts'
import type { Store, Writes } from '../../src/store/store.ts'
import { caught } from '../support/errors.ts'
import { describeAudit, describePruning } from './conformance-audit.ts'
import { describeConsumers } from './conformance-consumers.ts'
import { describeDeliveries } from './conformance-deliveries.ts'
import { describeGivingOut } from './conformance-giving-out.ts'
import { describeLog } from './conformance-log.ts'
import { describeSealing } from './conformance-sealing.ts'
import { describeOpenTransactions } from './conformance-transactions.ts'
import {
  answerOf,
  born,
  EVERY_ENTRY,
  EVERY_THING,
  EVERY_TIMER,
  entryIdOf,
  entryOf,
  NOTHING,
  type OpenStore,
  rowOf,
  set,
  sharedStores,
  write,
} from './rows.ts'

async function timersOf(store: Store): Promise<string[]> {
  const timers = await store.listTimers(EVERY_TIMER)
  return timers.map(({ resourceId, name, dueAt }) => `${resourceId} ${name} ${dueAt}`)
}

/** More names than any index is worth reading for one by one. */
const many = Array.from({ length: 700 }, (_, i) => `name ${i}`)

/** What any store has to do. */
export function describeStore(name: string, openStore: OpenStore): void {
  describe(name, () => {
    describe('a transaction', () => describeTransactions(openStore))
    describe('timers', () => describeTimers(openStore))
    describe('references', () => describeReferences(openStore))
    describe('secrets', () => describeSecrets(openStore))
    describe('outcomes', () => describeOutcomes(openStore))
    describe('a list of resources', () => describeResourceLists(openStore))
    describe('a list of entries', () => describeEntryLists(openStore))
    describe('checked machines', () => describeMachines(openStore))
    describe('the log', () => describeLog(openStore))
    describe('a check', () => describeAudit(openStore))
    describe('pruning', () => describePruning(openStore))
    describe('ciphertexts', () => describeSealing(openStore))
    describe('consumers', () => describeConsumers(openStore))
    describe('deliveries', () => describeDeliveries(openStore))
    describe('what is given out', () => describeGivingOut(openStore))
    describe('a transaction that lasts', () => describeOpenTransactions(openStore))
  })
}

function describeTransactions(openStore: OpenStore): void {
  test('keeps every column of a resource and of an entry as it was', async () => {
    const store = await openStore()
    const head = Buffer.alloc(32, 7)
    const row = rowOf('thg_1', {
      ...{ value: '{"b":"x","a":"y"}', memory: '{"history":{}}', final: true, head, version: 3 },
      ...{ context: '{"z":"\u2028😀","__proto__":1}', updatedAt: 2000, statusSince: 1500 },
    })
    const entry = entryOf(1, 'thg_1', {
      ...{ internal: true, previousStatus: 'calm', previousMs: 5, actor: '{"id":"k"}' },
      ...{ command: null, change: null, causationId: 'evt_0' },
    })

    await write(store, { created: [row], entries: [entry] })

    const stored = await store.findResource('thg_1')
    expect(stored).toEqual({ ...row, latest: 1, entries: 1, position: expect.any(Number) })
    expect(await store.findEntry(entry.id)).toEqual(entry)
    expect(await store.entriesAt([1])).toEqual([entry])
  })

  test('changes a row as a whole, but for what is given at birth', async () => {
    const store = await openStore()
    await write(store, { created: [rowOf('thg_1')] })
    const after = rowOf('thg_1', {
      ...{ status: 'gone', version: 5, final: true, value: '"gone"', memory: '{}', context: '{}' },
      ...{ machine: '2:y', updatedAt: 3000, statusSince: 2500, head: Buffer.alloc(32, 9) },
    })

    await write(store, { changed: [after] })

    expect(await store.findResource('thg_1')).toMatchObject(after)
  })

  test('gives the result of its plan', async () => {
    const store = await openStore()

    const result = await store.transact(function* () {
      return { writes: null, result: (yield* ask({ ask: 'head' })) + 1 }
    })

    expect(result).toBe(1)
  })

  test('moves the head of the log to its last entry', async () => {
    const store = await openStore()
    expect(await answerOf(store, { ask: 'head' })).toBe(0)

    await write(store, { created: [rowOf('a')], entries: [entryOf(1, 'a'), entryOf(2, 'a')] })
    await write(store, { timers: [set('a', null, 5)] })

    expect(await answerOf(store, { ask: 'head' })).toBe(2)
  })

  test.each<[string, Partial<Writes>]>([
    ['a resource that is there already', { created: [rowOf('a'), rowOf('old')] }],
    ['a version that is not ahead', { created: [rowOf('a')], changed: [rowOf('old')] }],
    [
      'a row that is not there',
      { created: [rowOf('a')], changed: [rowOf('none', { version: 2 })] },
    ],
    ['an entry whose place is taken', { created: [rowOf('a')], entries: [entryOf(1, 'a')] }],
    ['an entry of nobody', { created: [rowOf('a')], entries: [entryOf(2, 'none')] }],
    ['a timer of nobody', { created: [rowOf('a')], timers: [set('none', null, 1)] }],
    [
      'a reference to nobody',
      {
        created: [rowOf('a')],
        references: [{ resourceId: 'a', type: 'thing', field: 'f', targetId: 'none' }],
      },
    ],
  ])('writes nothing at all where it has %s', async (_, writes) => {
    const store = await openStore()
    await write(store, { created: [rowOf('old')], entries: [entryOf(1, 'old')] })

    await caught(() => write(store, writes))

    expect(await store.findResource('a')).toBe(undefined)
    expect(await store.listEntries(EVERY_ENTRY)).toHaveLength(1)
    expect(await answerOf(store, { ask: 'head' })).toBe(1)
  })

  test('writes nothing when its plan throws, and throws the same', async () => {
    const store = await openStore()
    const error = new Error('the plan changed its mind')

    const thrown = await caught(() =>
      store.transact(function* () {
        yield* ask({ ask: 'head' })
        throw error
      }),
    )

    expect(thrown).toBe(error)
    await write(store, { created: [rowOf('a')] })
    expect(await store.findResource('a')).toBeDefined()
  })

  test('sees what those before it wrote, each in its turn', async () => {
    const store = await openStore()
    await write(store, { created: [rowOf('a')] })
    const increment = () =>
      store.transact(function* () {
        const row = (yield* ask({ ask: 'resource', id: 'a' })) ?? expect.fail()
        const changed = [{ ...row, version: row.version + 1 }]
        return { writes: { ...NOTHING, changed }, result: row.version }
      })

    const versions = await Promise.all([increment(), increment(), increment()])

    expect(versions.toSorted()).toEqual([1, 2, 3])
  })

  test('finds nothing where nothing is', async () => {
    const store = await openStore()

    expect(await answerOf(store, { ask: 'resource', id: 'a' })).toBe(undefined)
    expect(await answerOf(store, { ask: 'timer', position: 1 })).toBe(undefined)
    expect(await answerOf(store, { ask: 'timers', resourceId: 'a' })).toEqual([])
    expect(await store.findEntry(entryIdOf(1))).toBe(undefined)
    expect(await store.entriesAt([3, 1])).toEqual([])
    expect(await store.nextTimerAt()).toBe(undefined)
  })
}

function describeTimers(openStore: OpenStore): void {
  async function setup() {
    const store = await openStore()
    await write(store, { created: [rowOf('a'), rowOf('b', { tenant: 'other' })] })
    return store
  }

  test('are listed in order of due time, then as they were set', async () => {
    const store = await setup()
    await write(store, { timers: [set('a', 'x', 30), set('b', 'x', 10), set('a', null, 30)] })

    expect(await timersOf(store)).toEqual(['b x 10', 'a x 30', 'a null 30'])
    expect(await store.nextTimerAt()).toBe(10)
  })

  test('are listed page by page, by resource and by tenant', async () => {
    const store = await setup()
    const timers = [30, 10, 30, 20, 30].map((dueAt) => set('a', null, dueAt))
    await write(store, {
      timers: [
        ...timers,
        { ...set('b', 'x', 5), timer: { ...set('b', 'x', 5).timer, tenant: 'other' } },
      ],
    })

    const found: number[] = []
    let after: TimerQuery['after'] = null
    for (;;) {
      const page = await store.listTimers({ ...EVERY_TIMER, limit: 2, tenant: 'default', after })
      found.push(...page.map(({ position }) => position))
      const last = page.at(-1)
      if (last === undefined) break
      after = { dueAt: last.dueAt, position: last.position }
    }

    expect(found).toEqual([2, 4, 1, 3, 5])
    expect(await store.listTimers({ ...EVERY_TIMER, resourceId: 'b' })).toHaveLength(1)
    expect(await store.listTimers({ ...EVERY_TIMER, resourceId: 'b', tenant: 'default' })).toEqual(
      [],
    )
  })

  test('are due at their time, in order, as many as asked for', async () => {
    const store = await setup()
    await write(store, { timers: [30, 10, 20, 10].map((dueAt) => set('a', null, dueAt)) })
    const due = async (time: number, limit: number) =>
      (await store.dueTimers(time, limit)).map(({ position }) => position)

    expect(await due(9, 10)).toEqual([])
    expect(await due(10, 10)).toEqual([2, 4])
    expect(await due(100, 3)).toEqual([2, 4, 3])
    const [, second] = await store.dueTimers(100, 2)
    const further = await store.dueTimers(100, 10, second)
    expect(further.map(({ position }) => position)).toEqual([3, 1])
  })

  test.each<[string, TimerChange[], string[]]>([
    [
      'cancel by name',
      [{ change: 'cancel', resourceId: 'a', name: 'x' }],
      ['b x 20', 'a y 30', 'a null 40'],
    ],
    [
      'cancel of no name that is there',
      [{ change: 'cancel', resourceId: 'a', name: 'z' }],
      ['a x 10', 'b x 20', 'a y 30', 'a null 40'],
    ],
    ['clear', [{ change: 'clear', resourceId: 'a' }], ['b x 20']],
    ['fired', [{ change: 'fired', position: 4 }], ['a x 10', 'b x 20', 'a y 30']],
    [
      'a name used again: the old one goes on without',
      [set('a', 'x', 15)],
      ['a null 10', 'a x 15', 'b x 20', 'a y 30', 'a null 40'],
    ],
    [
      'a name used again and canceled',
      [set('a', 'x', 15), { change: 'cancel', resourceId: 'a', name: 'x' }],
      ['a null 10', 'b x 20', 'a y 30', 'a null 40'],
    ],
    [
      'canceled, then set again',
      [{ change: 'cancel', resourceId: 'a', name: 'x' }, set('a', 'x', 15)],
      ['a x 15', 'b x 20', 'a y 30', 'a null 40'],
    ],
    [
      'cleared, then set again',
      [{ change: 'clear', resourceId: 'a' }, set('a', 'x', 15)],
      ['a x 15', 'b x 20'],
    ],
  ])('change in the order given: %s', async (_, timers, left) => {
    const store = await setup()
    await write(store, {
      timers: [set('a', 'x', 10), set('b', 'x', 20), set('a', 'y', 30), set('a', null, 40)],
    })

    await write(store, { timers })

    expect(await timersOf(store)).toEqual(left)
  })

  test('that fail wait, keep why, and stay due for those who list them', async () => {
    const store = await setup()
    await write(store, { timers: [set('a', 'x', 10), set('b', 'x', 20)] })

    await store.postponeTimer(1, 500, 'it failed')
    await store.postponeTimer(1, 900, 'it failed again')

    expect(await answerOf(store, { ask: 'timer', position: 1 })).toMatchObject({
      ...{ dueAt: 10, nextAt: 900, attempts: 2, lastError: 'it failed again', name: 'x' },
    })
    expect(await timersOf(store)).toEqual(['a x 10', 'b x 20'])
    expect(await store.dueTimers(899, 10)).toMatchObject([{ position: 2, attempts: 0 }])
    expect(await store.nextTimerAt()).toBe(20)
  })

  test('that are gone cannot be postponed, and no place is used twice', async () => {
    const store = await setup()
    await write(store, { timers: [set('a', 'x', 10)] })
    await write(store, { timers: [{ change: 'fired', position: 1 }] })

    await store.postponeTimer(1, 500, 'it failed')
    await write(store, { timers: [set('a', 'x', 10)] })

    expect(await store.listTimers(EVERY_TIMER)).toMatchObject([{ position: 2, attempts: 0 }])
  })
}

function describeReferences(openStore: OpenStore): void {
  const to = (resourceId: string, targetId: string | null, field = 'of') => ({
    ...{ resourceId, type: 'thing', field, targetId },
  })
  const referrersOf = (store: Store, targetId: string, limit = 10, field = 'of') =>
    answerOf(store, { ask: 'referrers', targetId, type: 'thing', field, limit })

  async function setup() {
    const store = await openStore()
    const ids = ['z', 'b', 'a', 'c']
    await write(store, {
      created: [rowOf('t'), rowOf('u'), ...ids.map((id) => rowOf(id))],
      references: ['c', 'a', 'z', 'b'].map((id) => to(id, 't')),
    })
    return store
  }

  test('are found in the order of creation, as many as asked for', async () => {
    const store = await setup()

    expect(await referrersOf(store, 't')).toEqual(['z', 'b', 'a', 'c'])
    expect(await referrersOf(store, 't', 2)).toEqual(['z', 'b'])
    expect(await referrersOf(store, 'u')).toEqual([])
    expect(await referrersOf(store, 't', 10, 'other')).toEqual([])
  })

  test('are moved and removed', async () => {
    const store = await setup()

    await write(store, { references: [to('b', 'u'), to('a', null), to('z', 'u', 'also')] })

    expect(await referrersOf(store, 't')).toEqual(['z', 'c'])
    expect(await referrersOf(store, 'u')).toEqual(['b'])
    expect(await referrersOf(store, 'u', 10, 'also')).toEqual(['z'])
  })

  test('of what has ended are found by lists only', async () => {
    const store = await setup()

    await write(store, { changed: [rowOf('z', { version: 2, final: true })] })
    await write(store, { created: [rowOf('e', { final: true })], references: [to('e', 't')] })

    expect(await referrersOf(store, 't')).toEqual(['b', 'a', 'c'])
    const listed = await store.listResources({ ...EVERY_THING, references: { of: 't' } })
    expect(listed.map(({ id }) => id)).toEqual(['z', 'b', 'a', 'c', 'e'])
  })

  test('that end and change in one transaction are not live', async () => {
    const store = await setup()

    await write(store, {
      changed: [rowOf('z', { version: 2, final: true })],
      references: [to('z', 'u')],
    })

    expect(await referrersOf(store, 'u')).toEqual([])
  })
}

function describeSecrets(openStore: OpenStore): void {
  const secret = (resourceId: string, name: string, text: string): SecretChange => ({
    ...{ change: 'set', secret: { resourceId, name, envelope: Buffer.from(text) } },
  })
  async function setup() {
    const store = await openStore()
    await write(store, {
      created: [rowOf('a'), rowOf('b')],
      secrets: [secret('a', 'x', 'ax'), secret('a', 'y', 'ay'), secret('b', 'x', 'bx')],
    })
    const all = async () => {
      const rows = await Promise.all(
        ['a', 'b'].map((resourceId) => answerOf(store, { ask: 'secrets', resourceId })),
      )
      return (rows.flat() as { name: string; envelope: Buffer }[]).map(({ envelope }) =>
        envelope.toString(),
      )
    }
    return { store, all }
  }

  test.each<[string, SecretChange[], string[]]>([
    ['stay', [], ['ax', 'ay', 'bx']],
    ['are replaced', [secret('a', 'x', 'new')], ['ay', 'bx', 'new']],
    ['are erased by name', [{ change: 'erase', resourceId: 'a', name: 'x' }], ['ay', 'bx']],
    ['are erased with their resource', [{ change: 'erase', resourceId: 'a', name: null }], ['bx']],
    [
      'are erased and set in the order given',
      [{ change: 'erase', resourceId: 'a', name: null }, secret('a', 'z', 'az')],
      ['az', 'bx'],
    ],
  ])('%s', async (_, secrets, left) => {
    const { store, all } = await setup()

    await write(store, { secrets })

    expect((await all()).toSorted()).toEqual(left)
  })
}

function describeOutcomes(openStore: OpenStore): void {
  const outcome = (key: string, parts: Partial<OutcomeRow> = {}): OutcomeRow => ({
    ...{ tenant: 'default', key, fingerprint: 'f', resource: '{"id":"a"}', changed: true },
    ...{ events: [3, 1], secrets: null, createdAt: 1000 },
    ...parts,
  })
  const find = (store: Store, key: string, tenant = 'default') =>
    answerOf(store, { ask: 'outcome', tenant, key })

  test('are kept as they were, by tenant and key', async () => {
    const store = await openStore()
    const first = outcome('k', { secrets: Buffer.from('sealed') })
    const other = outcome('k', { tenant: 'other', changed: false, events: [] })

    await write(store, { outcomes: [first, other] })

    expect(await find(store, 'k')).toEqual(first)
    expect(await find(store, 'k', 'other')).toEqual(other)
    expect(await find(store, 'none')).toBe(undefined)
  })

  test('are replaced under the same key', async () => {
    const store = await openStore()
    await write(store, { outcomes: [outcome('k')] })

    await write(store, { outcomes: [outcome('k', { fingerprint: 'g', createdAt: 2000 })] })

    expect(await find(store, 'k')).toMatchObject({ fingerprint: 'g', createdAt: 2000 })
  })

  test('are forgotten up to a time and a number, which is told', async () => {
    const store = await openStore()
    const outcomes = [1, 2, 3, 4].map((n) => outcome(`k${n}`, { createdAt: n * 1000 }))
    await write(store, { outcomes })

    expect(await store.forgetOutcomes(999, 10)).toBe(0)
    expect(await store.forgetOutcomes(3000, 2)).toBe(2)
    expect(await store.forgetOutcomes(3000, 2)).toBe(1)

    expect(await find(store, 'k3')).toBe(undefined)
    expect(await find(store, 'k4')).toBeDefined()
  })
}

function describeResourceLists(openStore: OpenStore): void {
  const filled = sharedStores(openStore, fill)

  /**
   * Twelve things of two tenants in three statuses, referring to two others; and a stranger. Their entries
   * begin at a place of the log, one transaction each. Those that begin otherwise change at the end.
   */
  async function fill(open: OpenStore, first: number, begun: Partial<ResourceRow>) {
    const store = await open()
    const rows = Array.from({ length: 12 }, (_, i) =>
      rowOf(`t${i}`, {
        tenant: i < 10 ? 'default' : 'other',
        status: ['calm', 'busy', 'gone'][i % 3] ?? '',
        final: i % 3 === 2,
        ...{ createdAt: 1000 + i, updatedAt: 2000, statusSince: 2000 },
      }),
    )
    const references = rows.flatMap(({ id }, i) => [
      { resourceId: id, type: 'thing', field: 'of', targetId: i % 2 === 0 ? 'o0' : 'o1' },
      { resourceId: id, type: 'thing', field: 'by', targetId: i % 4 < 2 ? 'o0' : 'o1' },
    ])
    const others = ['o0', 'o1'].map((id) => rowOf(id, { type: 'other' }))
    let place = first
    for (const row of [...others, ...rows])
      await write(store, born([{ ...row, ...begun }], place++))
    await write(store, { references })
    if (Object.keys(begun).length === 0) return store
    for (const row of [...others, ...rows]) {
      const entry = entryOf(place++, row.id, { tenant: row.tenant, resourceVersion: 2 })
      await write(store, { changed: [{ ...row, version: 2 }], entries: [entry] })
    }
    return store
  }

  /** How far the log has been listed when it is read. */
  const setups: readonly (readonly [string, number, Partial<ResourceRow>])[] = [
    ['as they come', 1, {}],
    ['as they have been noted', 115, {}],
    ['half of them noted', 122, {}],
    ['noted in another status, which has changed', 115, { status: 'fresh', final: false }],
    ['noted in a status that others have by now', 115, { status: 'busy', final: false }],
    ['noted again after they have changed', 101, { status: 'calm', final: false }],
  ]

  const idsOf = async (store: Store, query: Partial<ResourceQuery>) =>
    (await store.listResources({ ...EVERY_THING, ...query })).map(({ id }) => id)

  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

  test.each<[string, Partial<ResourceQuery>, number[]]>([
    ['all of a type and tenant', {}, all],
    ['newest first', { order: 'desc' }, all.toReversed()],
    ['of every tenant', { tenant: null }, [...all, 10, 11]],
    ['of another tenant', { tenant: 'other' }, [10, 11]],
    ['of another type', { type: 'nothing' }, []],
    ['in a status', { statuses: ['busy'] }, [1, 4, 7]],
    [
      'in one of two statuses',
      { statuses: ['gone', 'calm'], order: 'desc' },
      [9, 8, 6, 5, 3, 2, 0],
    ],
    ['in no status that is there', { statuses: ['none'] }, []],
    ['in no status at all', { statuses: [] }, []],
    ['in one of very many statuses', { statuses: [...many, 'busy'] }, [1, 4, 7]],
    ['in a status, of every tenant', { statuses: ['busy'], tenant: null }, [1, 4, 7, 10]],
    ['created after a time', { createdAfter: 1006 }, [7, 8, 9]],
    ['created before a time', { createdBefore: 1002 }, [0, 1]],
    ['created between two times', { createdAfter: 1001, createdBefore: 1004 }, [2, 3]],
    ['as many as asked for', { limit: 3 }, [0, 1, 2]],
    ['as many as asked for, newest first', { limit: 2, order: 'desc' }, [9, 8]],
    ['that refer to something, ended or not', { references: { of: 'o1' } }, [1, 3, 5, 7, 9]],
    [
      'that refer to it, newest first',
      { references: { of: 'o1' }, order: 'desc', limit: 2 },
      [9, 7],
    ],
    ['that refer to two things', { references: { of: 'o0', by: 'o1' } }, [2, 6]],
    ['that refer in a status', { references: { of: 'o1' }, statuses: ['busy', 'gone'] }, [1, 5, 7]],
    [
      'that refer, of every tenant',
      { references: { of: 'o1' }, tenant: null },
      [1, 3, 5, 7, 9, 11],
    ],
    ['that refer, created after', { references: { of: 'o1' }, createdAfter: 1005 }, [7, 9]],
    ['that refer, created before', { references: { of: 'o1' }, createdBefore: 1005 }, [1, 3]],
    ['that refer to nobody', { references: { of: 'none' } }, []],
  ])('has those %s', async (_, query, expected) => {
    for (const [name, first, begun] of setups) {
      const store = await filled(first, begun)

      expect(await idsOf(store, query), name).toEqual(expected.map((i) => `t${i}`))
    }
  })

  test.each<[string, Partial<ResourceQuery>]>([
    ['oldest first', {}],
    ['newest first', { order: 'desc' }],
    ['in two statuses', { statuses: ['calm', 'busy'] }],
    ['by reference', { references: { of: 'o0' }, order: 'desc' }],
  ])('goes on page by page, without a gap or a repetition: %s', async (_, query) => {
    for (const [name, first, begun] of setups) {
      const store = await filled(first, begun)
      const found: string[] = []
      let after: number | null = null
      for (;;) {
        const page = await store.listResources({ ...EVERY_THING, ...query, limit: 2, after })
        found.push(...page.map(({ id }) => id))
        after = page.at(-1)?.position ?? null
        if (after === null) break
      }

      expect(found, name).toEqual(await idsOf(store, query))
    }
  })

  test('has what it had when the log has been pruned, wholly or in part', async () => {
    const query = { statuses: ['busy', 'gone'] }
    for (const [name, first, begun] of setups) {
      const store = await fill(openStore, first, begun)
      const before = await idsOf(store, query)
      const { head } = await store.log()
      for (const through of [head - 3, head]) {
        await store.pruneLog(0, 200, () => ({ through, bases: [] }))

        expect(await idsOf(store, query), `${name}, through ${through} of ${head}`).toEqual(before)
      }
    }
  })
}

function describeEntryLists(openStore: OpenStore): void {
  const filled = sharedStores(openStore, fill)

  /** Ten entries behind a place, of two resources in two tenants, of three types, every fourth internal. */
  async function fill(open: OpenStore, behind: number) {
    const store = await open()
    const entries = Array.from({ length: 10 }, (_, i) =>
      entryOf(behind + i + 1, i % 2 === 0 ? 'a' : 'b', {
        tenant: i % 2 === 0 ? 'default' : 'other',
        type: ['thing.x', 'thing.x', 'thing.y', 'thing.z'][i % 4] ?? '',
        internal: i % 4 === 3 || i === 4,
        createdAt: 1000 + Math.floor(i / 2),
      }),
    )
    const created = [rowOf('a'), rowOf('b', { tenant: 'other' })]
    await write(store, { created, entries: entries.slice(0, 2) })
    for (const entry of entries.slice(2)) await write(store, { entries: [entry] })
    return store
  }

  /** How far the log has been listed when it is read. */
  const setups = { none: 0, all: 118, half: 123 }

  const placesOf = async (store: Store, query: Partial<EntryQuery>) =>
    (await store.listEntries({ ...EVERY_ENTRY, ...query })).map(({ seq }) => seq)

  test.each<[string, Partial<EntryQuery>, number[]]>([
    ['all of a tenant', {}, [1, 3, 5, 7, 9]],
    ['the public ones', { internal: false }, [1, 3, 7, 9]],
    ['newest first', { order: 'desc' }, [9, 7, 5, 3, 1]],
    ['of every tenant', { tenant: null }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    ['the public ones of every tenant', { tenant: null, internal: false }, [1, 2, 3, 6, 7, 9, 10]],
    ['of a type', { types: ['thing.x'] }, [1, 5, 9]],
    ['of a type, public', { types: ['thing.x'], internal: false }, [1, 9]],
    [
      'of two types, newest first',
      { types: ['thing.x', 'thing.y'], order: 'desc' },
      [9, 7, 5, 3, 1],
    ],
    ['of a type, of every tenant', { types: ['thing.x'], tenant: null }, [1, 2, 5, 6, 9, 10]],
    ['of no type that is there', { types: ['none'] }, []],
    ['of one of very many types', { types: [...many, 'thing.y'] }, [3, 7]],
    ['of one of very many types, public', { types: [...many, 'thing.x'], internal: false }, [1, 9]],
    ['of a resource', { resourceId: 'a' }, [1, 3, 5, 7, 9]],
    [
      'of a resource, public, of a type',
      { resourceId: 'a', internal: false, types: ['thing.x'] },
      [1, 9],
    ],
    ["of another tenant's resource", { resourceId: 'b' }, []],
    ['of a resource, whatever its tenant', { resourceId: 'b', tenant: null }, [2, 4, 6, 8, 10]],
    ['since a time', { since: 1003 }, [7, 9]],
    ['until a time', { until: 1001 }, [1]],
    ['between two times', { since: 1001, until: 1003 }, [3, 5]],
    ['of a time without any', { since: 2000 }, []],
    [
      'of a type since a time, newest first',
      { types: ['thing.x'], since: 1002, order: 'desc' },
      [9, 5],
    ],
    ['as many as asked for', { limit: 2, tenant: null }, [1, 2]],
    ['after a place', { after: 5 }, [7, 9]],
    ['after a place, newest first', { after: 5, order: 'desc' }, [3, 1]],
    ['after a place, of two types', { after: 5, types: ['thing.x', 'thing.y'] }, [7, 9]],
  ])('has those %s', async (_, query, expected) => {
    for (const [listed, behind] of Object.entries(setups)) {
      const store = await filled(behind)
      const from = query.after === undefined ? {} : { after: behind + Number(query.after) }

      const places = await placesOf(store, { ...query, ...from })

      expect(places, `${listed} of them listed`).toEqual(expected.map((place) => behind + place))
    }
  })

  test('has single ones by their ids, and the types that there are', async () => {
    for (const [listed, behind] of Object.entries(setups)) {
      const store = await filled(behind)
      const all = await store.listEntries({ ...EVERY_ENTRY, tenant: null })

      for (const { id, seq } of all) expect((await store.findEntry(id))?.seq, listed).toBe(seq)
      expect(await store.findEntry(entryIdOf(99))).toBe(undefined)
      const types = async (tenant: string | null) => (await store.entryTypes(tenant)).toSorted()
      expect(await types('default'), listed).toEqual(['thing.x', 'thing.y'])
      expect(await types('other'), listed).toEqual(['thing.x', 'thing.z'])
      expect(await types(null), listed).toEqual(['thing.x', 'thing.y', 'thing.z'])
      expect(await types('none'), listed).toEqual([])
    }
  })

  test('has those at given places, in the order given', async () => {
    const store = await filled(0)

    const entries = await store.entriesAt([9, 2, 77, 3])

    expect(entries.map(({ seq }) => seq)).toEqual([9, 2, 3])
  })
}

function describeMachines(openStore: OpenStore): void {
  test('are noted by type, and replaced', async () => {
    const store = await openStore()
    expect(await store.checkedMachine('thing')).toBe(undefined)

    await store.markChecked('thing', '1:a')
    await store.markChecked('other', '1:b')
    await store.markChecked('thing', '2:c')

    expect(await store.checkedMachine('thing')).toBe('2:c')
    expect(await store.checkedMachine('other')).toBe('1:b')
  })

  test('and those that another one wrote are found stretch by stretch', async () => {
    const store = await openStore()
    const created = [
      rowOf('a', { machine: '1:a' }),
      rowOf('b', { machine: '2:b' }),
      rowOf('c', { machine: '1:a', tenant: 'other' }),
      rowOf('d', { machine: '1:a', type: 'other' }),
      rowOf('e', { machine: '3:c' }),
    ]
    await write(store, { created })
    const found: string[][] = []
    for (let after: number | null = 0; after !== null; ) {
      const { rows, last } = await store.rowsBehind('thing', '2:b', after, 2)
      found.push(rows.map(({ id, tenant }) => `${tenant} ${id}`))
      after = last
    }

    expect(found).toEqual([['default a'], ['other c'], ['default e'], []])
  })

  test('are checked against the states of each type, counted over all tenants', async () => {
    const store = await openStore()
    const created = [
      rowOf('a'),
      rowOf('b', { tenant: 'other' }),
      rowOf('c', { value: '{"p":"x"}', status: 'x' }),
      rowOf('d', { type: 'other' }),
    ]
    await write(store, { created })

    const states = await store.countStates('thing')

    expect(states.toSorted((one, other) => other.count - one.count)).toMatchObject([
      { value: '"calm"', count: 2 },
      { value: '{"p":"x"}', count: 1 },
    ])
  })
}
