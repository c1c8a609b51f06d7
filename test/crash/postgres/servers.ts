/** Which PostgreSQL do faults happen on, and how is it reached? @module */

import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { postgres } from '../../../src/postgres.ts'
import type { Pool } from '../../../src/store/postgres/session.ts'
import { isServer } from '../../support/postgres.ts'
import { report } from '../settings.ts'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** The server of this machine, which others use as well. */
export const SHARED: Address = { host: '127.0.0.1', port: 5432 }

/** Whether there is a server; says so where there is none. */
export async function hasServer(purpose: string): Promise<boolean> {
  if (await isServer()) return true
  report(`${purpose}: skipped, because there is no PostgreSQL server here`)
  return false
}

/** A pool of an application, whose own tables are in a schema; its connections bear the name of that. */
export function createPool(schema: string, given: Partial<pg.PoolConfig> = {}): pg.Pool {
  const { options = '', ...others } = given
  const pool = new pg.Pool({
    ...{ ...SHARED, user: 'postgres', database: 'postgres', application_name: schema },
    ...{ options: `-c search_path=${schema} ${options}`, ...others },
  })
  pool.on('error', () => {})
  return pool
}

/** What `postgres` takes. */
export function asPool(pool: pg.Pool): Pool {
  return pool as unknown as Pool
}

/** A schema that goes with the test, as an application sees it and as somebody else does. */
export function setupPlace(address: Address = SHARED) {
  const schema = `faults_${randomBytes(8).toString('hex')}`
  const raw = createPool(schema, { ...address, application_name: 'somebody else', max: 4 })
  onTestFinished(async () => {
    await raw.query(`drop schema if exists ${schema} cascade`)
    await raw.end()
  })
  /** A pool of its own, as each process has one. */
  const database = (given: Partial<pg.PoolConfig> = {}) => {
    const pool = createPool(schema, { ...address, ...given })
    onTestFinished(() => pool.end())
    return postgres(asPool(pool), { schema })
  }
  return { schema, raw, database }
}
