/** What stands around a run of tests on PostgreSQL? */

import { randomBytes } from 'node:crypto'
import { dropSchemas } from './postgres.ts'

/** Names the run; gives what is done at its end. */
export function setup(): () => Promise<void> {
  const run = `${randomBytes(4).toString('hex')}_`
  process.env.PAWL_TEST_RUN = run
  return () => dropSchemas(`test_${run}`)
}
