/** Does a store on PostgreSQL do what any store has to do? */

import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import type { Store } from '../../src/store/store.ts'
import { borrowDatabase } from '../support/postgres.ts'
import { describeStore } from './conformance.ts'
import type { Later } from './rows.ts'

async function open(busyTimeout = 1000, later: Later = onTestFinished): Promise<Store> {
  const database = await borrowDatabase(later)
  const store = await database.open({ durability: 'relaxed', busyTimeout })
  later(() => store.close())
  return store
}

describeStore('PostgreSQL', open)

// The pool of the tests has it off.
test.each([
  ['full', 'on'],
  ['relaxed', 'off'],
] as const)(
  'PostgreSQL with durability %s has synchronous_commit %s',
  async (durability, setting) => {
    const database = await borrowDatabase()
    const store = await database.open({ durability, busyTimeout: 1000 })
    onTestFinished(() => store.close())

    const transaction = store.transaction()
    const asked = sql<string>`current_setting('synchronous_commit')`.as('setting')
    const rows = await transaction.db.selectNoFrom(asked).execute()
    await transaction.rollback()

    expect(rows).toEqual([{ setting }])
  },
)
