import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSqliteStore, type SqliteOptions } from '../../src/store/sqlite/store.ts'
import type { Store } from '../../src/store/store.ts'
import { failureOf } from '../support/errors.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { turns } from '../support/transactions.ts'
import { EVERY_ENTRY, entryOf, NOTHING, rowOf } from './rows.ts'

async function open(database: SqliteOptions['database']): Promise<Store> {
  const store = await openSqliteStore({ database, durability: 'relaxed', busyTimeout: 10_000 })
  onTestFinished(() => store.close())
  return store
}

function applicationDatabase(): Sqlite.Database {
  const database = new Sqlite(temporaryFile())
  onTestFinished(() => void database.close())
  return database
}

const PADDING = JSON.stringify({ text: 'x'.repeat(2000) })

/** Adds a thing and an entry that take a page together, at the next place of the log. */
function add(store: Store): Promise<number> {
  return store.transact(function* () {
    const head = yield { ask: 'head' }
    const seq = Number(head) + 1
    const created = [rowOf(`thing ${seq}`, { context: PADDING, latest: seq, entries: 1 })]
    const entries = [entryOf(seq, `thing ${seq}`, { data: PADDING })]
    return { writes: { ...NOTHING, created, entries }, result: seq }
  })
}

/** Adds one after the other, until it is told to stop. */
function keepAdding(store: Store) {
  let isOver = false
  const adding = (async () => {
    while (!isOver) {
      await add(store)
      await turns(1)
    }
  })()
  return {
    stop: () => {
      isOver = true
      return adding
    },
  }
}

/** Copies a store, whatever that takes. */
function backUp(store: Store, path: string, signal = new AbortController().signal): Promise<void> {
  return store.backup(path, signal)
}

async function fill(store: Store, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await add(store)
}

/** Checks that a copy is a database of one moment; gives the length of its log. */
async function lengthOf(path: string): Promise<number> {
  const raw = openRaw(path)
  expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
  expect(raw.pragma('foreign_key_check')).toEqual([])
  const count = (table: string) => raw.prepare(`select count(*) from ${table}`).pluck().get()
  const copy = await open(path)
  const { head } = await copy.log()
  expect(count('pawl_events')).toBe(head)
  expect(count('pawl_resources')).toBe(head)
  return head
}

describe.each<[string, () => SqliteOptions['database']]>([
  ['in memory', () => ':memory:'],
  ['in a file', temporaryFile],
  ['that the application has open', applicationDatabase],
])('a backup of a database %s', (_, databaseOf) => {
  async function setup(count: number) {
    const store = await open(databaseOf())
    await fill(store, count)
    return { store, path: temporaryFile('copy.db') }
  }

  test('has what the database has', async () => {
    const { store, path } = await setup(30)

    await backUp(store, path)

    expect(await lengthOf(path)).toBe(30)
    const copy = await open(path)
    expect(await copy.log()).toEqual(await store.log())
    expect(await copy.listEntries(EVERY_ENTRY)).toEqual(await store.listEntries(EVERY_ENTRY))
    expect(readdirSync(dirname(path)).filter((file) => file.includes('partial'))).toEqual([])
  })

  test('takes no path where something is already, and leaves that as it is', async () => {
    const { store, path } = await setup(1)
    await writeFile(path, 'precious')

    const error = await failureOf(backUp(store, path))

    expect(error).toMatchObject({ code: 'invalid_input' })
    expect(error.message).toContain(path)
    expect(readdirSync(dirname(path))).toEqual(['copy.db'])
    await expect(lengthOf(path)).rejects.toThrow('not a database')
  })

  test('takes no path in a folder that is not there', async () => {
    const { store, path } = await setup(1)

    const error = await failureOf(backUp(store, join(path, 'copy.db')))

    expect(error).toMatchObject({ code: 'storage_failed', operation: 'backup' })
    expect(readdirSync(dirname(path))).toEqual([])
    expect(await add(store)).toBe(2)
  })

  test('has all that was committed before it, and nothing by halves, while the same store writes', async () => {
    const { store, path } = await setup(1500)
    const writer = keepAdding(store)

    await backUp(store, path)
    await writer.stop()

    const length = await lengthOf(path)
    expect(length).toBeGreaterThanOrEqual(1500)
    expect(length).toBeLessThanOrEqual((await store.log()).head)
  })

  test('has nothing of a transaction that is still open, or all of it', async () => {
    const { store, path } = await setup(5)
    const transaction = store.transaction()
    await add(transaction.store)
    await add(transaction.store)

    const copying = backUp(store, path)
    await turns(20)
    await transaction.rollback()
    await copying

    expect(await lengthOf(path)).toBe(5)
  })

  test.each([0, 1, 2, 3, 4, 5])(
    'is made although a transaction begins beside it, %i turns later',
    async (later) => {
      const { store, path } = await setup(5)

      const copying = backUp(store, path)
      await turns(later)
      const transaction = store.transaction()
      await add(transaction.store)
      await turns(10)
      await transaction.rollback()
      await copying

      expect(await lengthOf(path)).toBe(5)
    },
  )

  test('is not made of a store that has been closed', async () => {
    const { store, path } = await setup(1)
    await store.close()

    expect((await failureOf(backUp(store, path))).code).toBe('closed')
    expect(readdirSync(dirname(path))).toEqual([])
  })
})

describe('a backup, while another connection writes', () => {
  test('comes to an end, and is a database of one moment', async () => {
    const database = temporaryFile()
    const [store, other] = [await open(database), await open(database)]
    await fill(store, 1500)
    const writer = keepAdding(other)
    const paths = [temporaryFile('one.db'), temporaryFile('two.db')]

    for (const path of paths) await backUp(store, path)
    await writer.stop()

    const [first = 0, second = 0] = [await lengthOf(paths[0] ?? ''), await lengthOf(paths[1] ?? '')]
    expect(first).toBeGreaterThanOrEqual(1500)
    expect(second).toBeGreaterThanOrEqual(first)
    expect(second).toBeLessThanOrEqual((await store.log()).head)
  })

  test('has nothing of what has only begun', async () => {
    const database = temporaryFile()
    const store = await open(database)
    await fill(store, 10)
    const stranger = openRaw(database)
    const path = temporaryFile('copy.db')
    stranger.exec('begin immediate; create table half_made (id integer)')

    await backUp(store, path)
    stranger.exec('rollback')

    expect(await lengthOf(path)).toBe(10)
    const tables = openRaw(path).prepare(`select name from sqlite_master where name = 'half_made'`)
    expect(tables.all()).toEqual([])
  })
})
