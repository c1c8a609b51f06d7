/** On which database do tests run that do not mind? `PAWL_TEST_STORE=postgres` has them run on PostgreSQL. */

import type { EngineOptions } from '../../src/engine.ts'

/** A new one; on PostgreSQL, it is given back when the test is over. */
export async function newDatabase(): Promise<EngineOptions['database']> {
  if (process.env.PAWL_TEST_STORE !== 'postgres') return ':memory:'
  const { borrowDatabase } = await import('./postgres.ts')
  return borrowDatabase()
}
