import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Commit } from '../../src/context.ts'
import type { SealedEntry } from '../../src/core/rows.ts'
import { PawlError } from '../../src/errors.ts'
import { createArrivals } from '../../src/runtime/arrivals.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { entryOf, rowOf, write } from '../store/rows.ts'
import { temporaryFile } from '../support/temp.ts'

/** How often commits of others are looked for. */
const LOOK_EVERY_MS = 20

/** Arrivals on a clock that stands still, over a database that counts how often it is looked at. */
function setup() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const database = { commits: 7, looks: 0, error: null as unknown }
  const listeners = new Set<(commit: Commit) => void>()
  const othersCommits = async () => {
    database.looks += 1
    if (database.error !== null) throw database.error
    return database.commits
  }
  const arrivals = createArrivals({ store: { othersCommits } as never, listeners })
  const commit = (entries: readonly SealedEntry[]) => {
    for (const listener of listeners) listener({ entries, timers: [], actions: [] })
  }
  return { arrivals, database, commit, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

/** Waits, and counts the rings. */
function wait({ arrivals }: Pick<ReturnType<typeof setup>, 'arrivals'>) {
  const rung = { times: 0 }
  const callOff = arrivals.next(arrivals.count(), () => {
    rung.times += 1
    callOff()
  })
  return { rung, callOff }
}

/** Waits, past the first look, which cannot know what was there before it. */
async function waitOn(all: ReturnType<typeof setup>) {
  wait(all)
  await all.pass(LOOK_EVERY_MS)
  return wait(all)
}

describe('who waits for arrivals', () => {
  test('hears of a commit of this engine at once', async () => {
    const all = setup()
    const { rung } = await waitOn(all)
    const before = all.arrivals.count()

    all.commit([entryOf(1, 'a')])

    expect(rung.times).toBe(1)
    expect(all.arrivals.count()).toBe(before + 1)
  })

  test('hears nothing of a commit that adds nothing to the log', async () => {
    const all = setup()
    const { rung } = await waitOn(all)

    all.commit([])
    await all.pass(1000)

    expect(rung.times).toBe(0)
  })

  test('hears at once of what has arrived since the count', () => {
    const { arrivals, commit, database } = setup()
    const seen = arrivals.count()
    let rung = 0

    commit([entryOf(1, 'a')])
    arrivals.next(seen, () => {
      rung += 1
    })

    expect(rung).toBe(1)
    expect(database.looks).toBe(0)
  })

  test('hears soon of the commits of others', async () => {
    const all = setup()
    const { rung } = await waitOn(all)
    await all.pass(100)
    expect(rung.times).toBe(0)

    all.database.commits += 1
    await all.pass(LOOK_EVERY_MS)

    expect(rung.times).toBe(1)
  })

  test('hears of what others committed while nobody waited', async () => {
    const all = setup()
    const { rung: first } = await waitOn(all)
    all.commit([entryOf(1, 'a')])
    await all.pass(100)
    all.database.commits += 1

    const { rung: second } = wait(all)
    await all.pass(0)

    expect([first.times, second.times]).toEqual([1, 1])
  })

  test('hears of an announcement, together with all others, once', async () => {
    const all = setup()
    await waitOn(all)
    const waiting = [wait(all), wait(all), wait(all)]

    all.arrivals.announce()
    all.arrivals.announce()

    expect(waiting.map(({ rung }) => rung.times)).toEqual([1, 1, 1])
  })

  test('hears nothing once it has called it off', async () => {
    const all = setup()
    const { rung, callOff } = await waitOn(all)

    callOff()
    all.arrivals.announce()
    all.commit([entryOf(1, 'a')])

    expect(rung.times).toBe(0)
  })
})

describe('the commits of others are looked for', () => {
  test('only while somebody waits, and no timer is left', async () => {
    const all = setup()
    const { database, pass } = all
    await pass(1000)
    expect(database.looks).toBe(0)

    const { callOff } = await waitOn(all)
    await pass(1000)
    const looks = database.looks
    expect(looks).toBeGreaterThan(40)
    callOff()
    await pass(LOOK_EVERY_MS)

    expect(vi.getTimerCount()).toBe(0)
    await pass(1000)
    expect(database.looks).toBe(looks)
  })

  test('once for all who wait', async () => {
    const all = setup()
    await waitOn(all)
    for (let waiter = 0; waiter < 50; waiter++) wait(all)
    const before = all.database.looks

    await all.pass(10 * LOOK_EVERY_MS)

    expect(all.database.looks - before).toBe(10)
    expect(vi.getTimerCount()).toBe(1)
  })

  test('by who comes while the last look is not over', async () => {
    const all = setup()
    const { callOff } = await waitOn(all)
    callOff()
    const { rung } = wait(all)
    await all.pass(5 * LOOK_EVERY_MS)

    all.database.commits += 1
    await all.pass(LOOK_EVERY_MS)

    expect(rung.times).toBe(1)
  })

  test('again while the database is busy', async () => {
    const all = setup()
    const { rung } = await waitOn(all)
    all.database.error = new PawlError('storage_busy', 'busy', { operation: 'read' })
    await all.pass(100)
    expect(rung.times).toBe(0)

    all.database.error = null
    all.database.commits += 1
    await all.pass(LOOK_EVERY_MS)

    expect(rung.times).toBe(1)
  })

  test('no more when the database fails: who waits is sent to see for itself, and may wait again', async () => {
    const all = setup()
    const { rung } = await waitOn(all)
    all.database.error = new PawlError('storage_failed', 'failed', { operation: 'read' })
    await all.pass(LOOK_EVERY_MS)
    expect(rung.times).toBe(1)
    expect(vi.getTimerCount()).toBe(0)

    all.database.error = null
    const again = wait(all)
    all.database.commits += 1
    await all.pass(LOOK_EVERY_MS)

    expect(again.rung.times).toBe(1)
  })
})

describe('the number that tells of the commits of others', () => {
  async function openStore(database: string) {
    const store = await openSqliteStore({ database, durability: 'relaxed', busyTimeout: 1000 })
    onTestFinished(() => store.close())
    return store
  }

  test('is another one for each connection but the one that committed', async () => {
    const database = temporaryFile()
    const [one, other] = [await openStore(database), await openStore(database)]
    const both = async () => [await one.othersCommits(), await other.othersCommits()]
    const [first = 0, second = 0] = await both()

    await write(one, { created: [rowOf('a')] })
    const [own, seen] = await both()
    expect(own).toBe(first)
    expect(seen).not.toBe(second)
    expect(await both()).toEqual([own, seen])

    await other.markChecked('thing', '1:x')
    const [heard, mine] = await both()
    expect(heard).not.toBe(own)
    expect(mine).toBe(seen)
  })

  test('stays while another one only reads, or undoes what it wrote', async () => {
    const database = temporaryFile()
    const [one, other] = [await openStore(database), await openStore(database)]
    const before = await one.othersCommits()

    await other.findResource('a')
    const transaction = other.transaction()
    await transaction.store.markChecked('thing', '1:x')
    await transaction.rollback()

    expect(await one.othersCommits()).toBe(before)
  })

  test('changes with a transaction when it commits, not before', async () => {
    const database = temporaryFile()
    const [one, other] = [await openStore(database), await openStore(database)]
    const before = await one.othersCommits()
    const transaction = other.transaction()
    await transaction.store.markChecked('thing', '1:x')
    expect(await one.othersCommits()).toBe(before)

    await transaction.commit()

    expect(await one.othersCommits()).not.toBe(before)
  })
})
