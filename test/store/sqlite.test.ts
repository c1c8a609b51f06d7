import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSqliteStore, type SqliteOptions } from '../../src/store/sqlite/store.ts'
import type { Store } from '../../src/store/store.ts'
import { caught } from '../support/errors.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { describeStore } from './conformance.ts'
import { describeListing } from './conformance-audit.ts'
import { describeWaiting } from './conformance-transactions.ts'
import { type Later, rowOf, write } from './rows.ts'

async function open(
  database: SqliteOptions['database'],
  busyTimeout = 1000,
  later: Later = onTestFinished,
): Promise<Store> {
  const store = await openSqliteStore({ database, durability: 'relaxed', busyTimeout })
  later(() => store.close())
  return store
}

function fileUntil(later: Later = onTestFinished): string {
  const directory = makeTemporaryDirectory()
  later(() => removeDirectory(directory))
  return join(directory, 'pawl.db')
}

function applicationDatabase(later: Later = onTestFinished): Sqlite.Database {
  const database = new Sqlite(fileUntil(later))
  later(() => void database.close())
  return database
}

describeStore('SQLite in memory', (timeout, later) => open(':memory:', timeout, later))
describeStore('SQLite in a file', (timeout, later) => open(fileUntil(later), timeout, later))
describeStore('SQLite that the application has open', (timeout, later) =>
  open(applicationDatabase(later), timeout, later),
)

describe('a check of an SQLite store', () => describeListing(() => open(':memory:')))

describe('a transaction that lasts in SQLite', () =>
  describeWaiting((timeout, later) => open(fileUntil(later), timeout, later)))

describe('an SQLite store', () => {
  test('has what it wrote when its file is opened again', async () => {
    const file = temporaryFile()
    const store = await open(file)
    await write(store, { created: [rowOf('a')] })
    await store.close()

    const again = await open(file)

    expect(await again.findResource('a')).toMatchObject(rowOf('a'))
  })

  test('answers nothing but closed once it has been closed, on any database', async () => {
    for (const database of [temporaryFile(), ':memory:', applicationDatabase()]) {
      const store = await open(database)

      await store.close()
      await store.close()

      const error = { code: 'closed' }
      expect(await caught(() => store.findResource('a'))).toMatchObject(error)
      expect(await caught(() => write(store, {}))).toMatchObject(error)
      expect(await caught(() => store.forgetOutcomes(0, 1))).toMatchObject(error)
    }
  })

  test('keeps the event loop turning while it is read again and again', async () => {
    const store = await open(':memory:')
    let turns = 0
    const turn = () => {
      turns += 1
      if (turns < 3) setImmediate(turn)
    }
    setImmediate(turn)

    while (turns < 3) await store.findResource('a')

    expect(turns).toBe(3)
  })

  test('that is closed in the middle of a transaction gives back a connection that others share', async () => {
    const database = applicationDatabase()
    const [store, other] = [await open(database), await open(database)]
    const transaction = store.transaction()
    await write(transaction.store, { created: [rowOf('a')] })
    const waiting = write(other, { created: [rowOf('b')] })

    await store.close()
    await waiting

    expect(database.inTransaction).toBe(false)
    expect(await other.findResource('a')).toBe(undefined)
    expect(await other.findResource('b')).toMatchObject(rowOf('b'))
    await transaction.rollback()
    expect(await other.findResource('b')).toMatchObject(rowOf('b'))
  })
})
