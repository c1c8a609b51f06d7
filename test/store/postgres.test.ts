/** Does a store on PostgreSQL do what any store has to do? */

import { onTestFinished } from 'vitest'
import type { Store } from '../../src/store/store.ts'
import { setupSchema } from '../support/postgres.ts'
import { describeStore } from './conformance.ts'
import type { Later } from './rows.ts'

async function open(busyTimeout = 1000, later: Later = onTestFinished): Promise<Store> {
  const { database } = await setupSchema(later)
  const store = await database.open({ durability: 'relaxed', busyTimeout })
  later(() => store.close())
  return store
}

describeStore('PostgreSQL', open)
