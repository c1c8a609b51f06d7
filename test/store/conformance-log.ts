import { expect, test } from 'vitest'
import type { EntryQuery } from '../../src/store/queries.ts'
import { EVERY_ENTRY, entryOf, type OpenStore, rowOf, sharedStores, write } from './rows.ts'

/** What any store has to say of the log as a whole. */
export function describeLog(openStore: OpenStore): void {
  const filled = sharedStores(openStore, fill)

  /** Six entries behind a place, the clock having been set back after the second and the fifth. */
  async function fill(open: OpenStore, behind: number) {
    const store = await open()
    const times = [1000, 3000, 2000, 2000, 4000, 1500]
    const entries = times.map((createdAt, i) =>
      entryOf(behind + i + 1, i % 2 === 0 ? 'a' : 'b', { createdAt, type: `thing.${'xxyxyx'[i]}` }),
    )
    await write(store, { created: [rowOf('a'), rowOf('b')], entries: entries.slice(0, 2) })
    for (const entry of entries.slice(2)) await write(store, { entries: [entry] })
    return store
  }

  /** How far the log has been listed when it is read: not at all, wholly, and up to each place. */
  const setups = [0, 122, 123, 124, 125, 126]

  test.each([
    [0, 1],
    [1000, 1],
    [1001, 2],
    [2000, 2],
    [3000, 2],
    [3001, 5],
    [4000, 5],
    [4001, undefined],
  ])('has its first entry from %i ms on at place %s', async (time, place) => {
    for (const behind of setups) {
      const store = await filled(behind)
      const expected = place === undefined ? undefined : behind + place

      expect(await store.placeAt(time), `behind ${behind}`).toBe(expected)
    }
  })

  test('has no place as long as it is empty', async () => {
    const store = await openStore()

    expect(await store.placeAt(0)).toBe(undefined)
    expect(await store.log()).toMatchObject({ head: 0, pruned: 0 })
  })

  test('ends at its last entry, and says which database it belongs to', async () => {
    const store = await openStore()
    const other = await openStore()
    const { identity } = await store.log()
    await write(store, { created: [rowOf('a')], entries: [entryOf(1, 'a'), entryOf(2, 'a')] })

    expect(await store.log()).toEqual({ head: 2, pruned: 0, identity })
    expect(identity).toMatch(/^[0-9a-f]{16}$/)
    expect((await other.log()).identity).not.toBe(identity)
  })

  test.each<[string, Partial<EntryQuery>, number[]]>([
    ['it', { upTo: 4 }, [1, 2, 3, 4]],
    ['its end', { upTo: 99 }, [1, 2, 3, 4, 5, 6]],
    ['its beginning', { upTo: 0 }, []],
    ['it, after another one', { after: 2, upTo: 4 }, [3, 4]],
    ['it, after that', { after: 4, upTo: 4 }, []],
    ['it, newest first', { upTo: 4, order: 'desc' }, [4, 3, 2, 1]],
    ['it, of a type', { upTo: 4, types: ['thing.x'] }, [1, 2, 4]],
    [
      'it, of two types, after one',
      { after: 1, upTo: 5, types: ['thing.x', 'thing.y'] },
      [2, 3, 4, 5],
    ],
    ['it, of a resource', { upTo: 4, resourceId: 'b' }, [2, 4]],
    ['it, as many as asked for', { upTo: 4, limit: 2 }, [1, 2]],
    ['it, of every tenant', { upTo: 3, tenant: null }, [1, 2, 3]],
  ])('is listed up to a place and no further: %s', async (_, query, places) => {
    for (const behind of setups) {
      const store = await filled(behind)
      const { after = null, upTo = null } = query
      const moved = (place: number | null) => (place === null ? null : behind + place)
      const bounds = { after: moved(after), upTo: moved(upTo) }

      const entries = await store.listEntries({ ...EVERY_ENTRY, ...query, ...bounds })

      expect(
        entries.map(({ seq }) => seq - behind),
        `behind ${behind}`,
      ).toEqual(places)
    }
  })
}
