import { expect, test } from 'vitest'
import type { PruneView } from '../../src/store/audit.ts'
import type { Store } from '../../src/store/store.ts'
import { caught } from '../support/errors.ts'
import { born, entryIdOf, entryOf, type OpenStore, rowOf, set, write } from './rows.ts'

const HASH = Buffer.alloc(32, 1)

/** Two things with a log of five entries between them. */
async function fill(store: Store): Promise<void> {
  const ids = ['a', 'b', 'a', 'a', 'b']
  const entries = ids.map((id, index) => entryOf(index + 1, id, { resourceVersion: index + 1 }))
  const rows = [rowOf('a', { version: 4, head: HASH }), rowOf('b', { version: 5 })]
  const timers = [set('a', 'x', 10), set('a', null, 5)]
  const references = [{ resourceId: 'a', type: 'thing', field: 'b_id', targetId: 'b' }]
  const secret = { resourceId: 'a', name: 'password', envelope: Buffer.from('e') }
  const secrets = [{ change: 'set', secret } as const]
  await write(store, { created: rows, entries, timers, references, secrets })
}

const outcome = {
  ...{ tenant: 'default', fingerprint: 'f', resource: '{"id":"a"}', changed: true, events: [3] },
  ...{ secrets: null, createdAt: 1000 },
}

/** What a check of the whole database reads. */
export function describeAudit(openStore: OpenStore): void {
  test('gives the places of the log, with its ends', async () => {
    const store = await openStore()
    await fill(store)

    const slice = await store.logSlice(2, 2)

    expect(slice.places).toMatchObject([
      { seq: 3, resourceId: 'a', known: true, isBeyond: false },
      { seq: 4, resourceId: 'a', known: true, isBeyond: false },
    ])
    expect(slice.log).toMatchObject({ head: 5, pruned: 0 })
    expect((await store.logSlice(5, 2)).places).toEqual([])
  })

  test('gives the resources in the order of their creation', async () => {
    const store = await openStore()
    expect(await store.lastPosition()).toEqual({ there: 0, given: 0 })
    await fill(store)

    expect(await store.positionsAfter(0, 10)).toEqual([
      { position: 1, id: 'a' },
      { position: 2, id: 'b' },
    ])
    expect(await store.positionsAfter(1, 10)).toHaveLength(1)
    expect(await store.positionsAfter(0, 1)).toHaveLength(1)
    expect(await store.lastPosition()).toEqual({ there: 2, given: 2 })
    expect(await store.strangePositions()).toEqual([])
  })

  test('gives a resource part by part, and what belongs to it with the last', async () => {
    const store = await openStore()
    await fill(store)

    const first = await store.resourceSlice(1, 0, 2)
    const last = await store.resourceSlice(1, 3, 2)

    expect(first?.entries.map(({ seq }) => seq)).toEqual([1, 3])
    expect([first?.rest, first?.base]).toEqual([null, undefined])
    expect(last?.row).toEqual({
      ...rowOf('a', { version: 4, head: HASH, latest: 4, entries: 3 }),
      ...{ position: 1, damaged: [] },
    })
    const entry = entryOf(4, 'a', { resourceVersion: 4, ordinal: 3, previous: 3 })
    expect(last?.entries).toEqual([{ ...entry, damaged: [] }])
    expect(last?.rest?.timers.map(({ name, dueAt }) => [name, dueAt])).toEqual([
      ['x', 10],
      [null, 5],
    ])
    expect(last?.rest?.references).toEqual([
      { resourceId: 'a', type: 'thing', field: 'b_id', targetId: 'b', live: 1, position: 1 },
    ])
    expect(last?.rest?.secrets).toEqual([{ name: 'password', envelope: Buffer.from('e') }])
    expect(await store.resourceSlice(3, 0, 2)).toBeUndefined()
  })

  test('gives whose rows are in a table', async () => {
    const store = await openStore()
    await fill(store)
    const owners = [{ resourceId: 'a', known: true }]
    expect(await store.ownersAfter('pawl_timers', '', 10)).toEqual(owners)
    expect(await store.ownersAfter('pawl_references', '', 10)).toEqual(owners)
    expect(await store.ownersAfter('pawl_secrets', '', 10)).toEqual(owners)
    expect(await store.ownersAfter('pawl_secrets', 'a', 10)).toEqual([])
    expect(await store.ownersAfter('pawl_bases', '', 10)).toEqual([])
  })

  test('gives outcomes in their order, and what the log says of them', async () => {
    const store = await openStore()
    await fill(store)
    const outcomes = ['k', 'j', 'l'].map((key) => ({ ...outcome, key }))
    await write(store, { outcomes })

    const [first, second] = await store.outcomesAfter(null, 2)

    expect([first?.key, second?.key]).toEqual(['j', 'k'])
    expect(first).toEqual({ ...outcome, key: 'j', changed: 1, events: '[3]' })
    const last = { tenant: 'default', key: 'k' }
    expect((await store.outcomesAfter(last, 2)).map(({ key }) => key)).toEqual(['l'])
    const seqs = (entries: readonly { seq: number }[]) => entries.map(({ seq }) => seq)
    for (const [version, entries] of [
      [1, [1]],
      [3, [3]],
      [2, []],
      [4, []],
    ] as const) {
      const ground = await store.outcomeGround('a', version, [3, 9])
      expect(seqs(ground.entries), String(version)).toEqual(entries)
      expect([ground.row?.version, ground.pruned, seqs(ground.events)]).toEqual([4, 0, [3]])
    }
    expect(await store.outcomeGround('nobody', 1, [])).toMatchObject({
      row: undefined,
      entries: [],
    })
  })
}

const base = { resourceId: 'a', seq: 3, state: '{"n":1}', hash: HASH, digest: HASH }

/** How the log is shortened. */
export function describePruning(openStore: OpenStore): void {
  test('removes what the plan says, and keeps what takes its place', async () => {
    const store = await openStore()
    await fill(store)
    let seen: PruneView | undefined

    await store.pruneLog(0, 4, (view) => {
      seen = view
      expect(view.baseOf('a')).toBeUndefined()
      return { through: 3, bases: [base] }
    })

    expect(seen?.entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    expect([seen?.slowest, seen?.oldestOutcome]).toEqual([undefined, undefined])
    expect(await store.log()).toMatchObject({ head: 5, pruned: 3 })
    expect((await store.logSlice(0, 9)).places.map(({ seq }) => seq)).toEqual([4, 5])
    expect((await store.resourceSlice(1, 0, 9))?.base).toEqual(base)
    const later = { ...base, seq: 4 }
    await store.pruneLog(0, 4, ({ baseOf }) => {
      expect(baseOf('a')).toEqual(base)
      return { through: 4, bases: [later] }
    })
    expect((await store.resourceSlice(1, 0, 9))?.base).toEqual(later)
  })

  test('removes nothing when the plan says so or throws', async () => {
    const store = await openStore()
    await fill(store)
    await store.pruneLog(0, 4, () => ({ through: null, bases: [] }))
    const thrown = new Error('no')

    const error = await caught(() =>
      store.pruneLog(0, 4, () => {
        throw thrown
      }),
    )

    expect(error).toBe(thrown)
    expect((await store.logSlice(0, 9)).places).toHaveLength(5)
    expect(await store.log()).toMatchObject({ pruned: 0 })
  })

  test('tells the plan who is the furthest behind, and since when outcomes are kept', async () => {
    const store = await openStore()
    await fill(store)
    const views: PruneView[] = []
    const look = () =>
      store.pruneLog(500, 4, (view) => {
        views.push(view)
        return { through: null, bases: [] }
      })
    const consumer = (name: string, position: number) =>
      store.takeConsumer({ tenant: name, name, owner: 'me', position }, 0, 10)
    await consumer('fast', 5)
    const slow = await consumer('slow', 4)
    await write(store, {
      outcomes: [400, 900, 700].map((createdAt) => ({
        ...outcome,
        key: `${createdAt}`,
        createdAt,
      })),
    })
    await look()
    const lease = { tenant: 'slow', name: 'slow', owner: 'me', fence: slow?.fence ?? 0, until: 10 }
    const parked = { seq: 3, eventId: entryIdOf(3), error: 'e', attempts: 1, parkedAt: 0 }
    await store.parkEvent(lease, parked)
    await look()

    expect(views.map(({ slowest, oldestOutcome }) => [slowest, oldestOutcome])).toEqual([
      [{ name: 'slow', place: 4 }, 700],
      [{ name: 'slow', place: 2 }, 700],
    ])
  })
}

/** What a store has to tell of a listing that follows the log. */
export function describeListing(openStore: OpenStore): void {
  test('gives what has been listed of the log, and the statuses noted then', async () => {
    const store = await openStore()
    await write(store, born([rowOf('a'), rowOf('b', { status: 'busy' })], 127))
    await write(store, born([rowOf('c')], 129))

    const { listed, places } = await store.logSlice(0, 9)

    expect([listed, places.map(({ isListed }) => isListed)]).toEqual([128, [true, true, false]])
    const slices = [1, 2, 3].map((position) => store.resourceSlice(position, 0, 9))
    const noted = (await Promise.all(slices)).map((slice) => [
      slice?.noted?.status ?? null,
      slice?.listed,
    ])
    expect(noted).toEqual([
      ['calm', 128],
      ['busy', 128],
      [null, 128],
    ])
  })

  test('gives no place as listed before that', async () => {
    const store = await openStore()
    await fill(store)

    const { listed, places } = await store.logSlice(2, 2)

    expect([listed, places.map(({ isListed }) => isListed)]).toEqual([0, [false, false]])
  })
}
