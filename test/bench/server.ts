/** On which PostgreSQL server is pawl measured, and with how much on it? @module */

import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { agentPlatform } from '../../machines/index.ts'
import { createEngine } from '../../src/index.ts'
import { postgres } from '../../src/postgres.ts'
import { type Contender, TASKS } from './measure.ts'
import { createTasks } from './pawl.ts'
import { DATA } from './rows.ts'

/** Where it is. */
export const SERVER = {
  connectionString: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  max: 16,
}

/** Does work with a schema of its own, which goes with it. */
export async function inSchema<T>(pool: pg.Pool, work: (schema: string) => Promise<T>): Promise<T> {
  const schema = `bench_${randomBytes(6).toString('hex')}`
  try {
    return await work(schema)
  } finally {
    await pool.query(`drop schema if exists ${schema} cascade`)
  }
}

/** Opens an engine with tasks of its own. */
export async function openOnServer(schema: string): Promise<Contender> {
  const engine = await createEngine({
    database: postgres(SERVER, { schema }),
    resources: agentPlatform(),
    encryptionKeys: [randomBytes(32).toString('base64')],
  })
  const ids = await createTasks(engine, TASKS)
  return {
    change: (task, command) => engine.tasks.send(ids[task] ?? '', { type: command }),
    close: () => engine.close(),
  }
}

/** Makes the log as long as that: entries of one resource, which nobody reads or verifies. */
export async function lengthen(pool: pg.Pool, schema: string, entries: number): Promise<void> {
  const log = `${schema}.pawl_log`
  await pool.query(`
    insert into ${schema}.pawl_events
    select
      head + n, 'evt_' || lpad(n::text, 22, '0'), 'default', 'agent.updated', 0, first.id, n,
      '${DATA}', null, null, null, null, 'update', null, 'corr_' || n, null, 0,
      decode(repeat('00', 32), 'hex'), n, 0
    from ${log}, generate_series(1, ${entries} - head) as n,
      (select id from ${schema}.pawl_resources limit 1) as first`)
  await pool.query(`update ${log} set head = (select max(seq) from ${schema}.pawl_events)`)
  await pool.query(`vacuum analyze ${schema}.pawl_events`)
}
