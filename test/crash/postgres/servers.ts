/** Which PostgreSQL do faults happen on, and how is it reached? @module */

import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { onTestFinished } from 'vitest'
import { postgres } from '../../../src/postgres.ts'
import type { Later } from '../../store/rows.ts'
import { isServer } from '../../support/postgres.ts'
import { report } from '../settings.ts'
import { type Address, asPool, createPool, SHARED } from './connections.ts'

/** Whether there is a server; says so where there is none. */
export async function hasServer(purpose: string): Promise<boolean> {
  if (await isServer()) return true
  report(`${purpose}: skipped, because there is no PostgreSQL server here`)
  return false
}

/** A schema that goes with the test, or later, as an application sees it and as somebody else does. */
export function setupPlace(address: Address = SHARED, later: Later = onTestFinished) {
  const schema = `faults_${randomBytes(8).toString('hex')}`
  const raw = createPool(schema, { ...address, application_name: 'somebody else', max: 4 })
  later(async () => {
    await raw.query(`drop schema if exists ${schema} cascade`)
    await raw.end()
  })
  /** A pool of its own, as each process has one. */
  const pool = (given: Partial<pg.PoolConfig> = {}) => {
    const opened = createPool(schema, { ...address, ...given })
    later(() => opened.end())
    return asPool(opened)
  }
  /** The database over such a pool. */
  const database = (given: Partial<pg.PoolConfig> = {}) => postgres(pool(given), { schema })
  return { schema, raw, pool, database }
}
