/** How does a simulation take place on PostgreSQL? @module */

import { postgres } from '../../../src/postgres.ts'
import { sessionOn } from '../../../src/store/postgres/session.ts'
import { type Connection, type Ground, type OpenGround, sightOf } from '../simulation/ground.ts'
import { SHARED } from './connections.ts'
import { takeHold } from './faults.ts'
import { setupPlace } from './servers.ts'

// Those of an engine that was left go soon: there are only so many.
const POOL = { max: 4, idleTimeoutMillis: 1000 }

/** Prepares a schema for a simulation; every second seed has queries sent ahead. */
export const openPostgresGround: OpenGround = async ({ seed }): Promise<Ground> => {
  const ends: (() => unknown)[] = []
  const { schema, raw, pool } = setupPlace(SHARED, (end) => void ends.unshift(end))
  await raw.query(`create schema ${schema}`)
  await raw.query('create table notes (id text, text text, n integer)')
  const { once } = sessionOn(raw)
  const sight = sightOf(async <T>(sql: string) => (await once(sql)).rows as readonly T[])
  const connect = async (): Promise<Connection> => {
    const { pool: held, faults } = takeHold(pool({ ...POOL, pipeline: seed % 2 === 0 }))
    const source = postgres(held, { schema })
    return { ...sight, source, faults, isOpen: () => true, close: async () => {} }
  }
  const clear = async (): Promise<void> => {
    for (const end of ends) await end()
  }
  return { isShared: true, copies: null, connect, clear }
}
