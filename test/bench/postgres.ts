/** How fast is pawl on PostgreSQL, alone, beside itself, and with much behind it? @module */

import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { PostgresDialect } from 'kysely'
import pg from 'pg'
import { agentPlatform } from '../../machines/index.ts'
import { createEngine } from '../../src/index.ts'
import { postgres } from '../../src/postgres.ts'
import { measureAppend } from './append.ts'
import type { Found, Rate } from './found.ts'
import { type Contender, measure, TASKS } from './measure.ts'
import { naiveOn } from './naive.ts'
import { createTasks } from './pawl.ts'
import { DATA, idOf } from './rows.ts'

const SERVER = {
  connectionString: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  max: 16,
}

/** What rates are compared with. `naive/1` does one change after the other, as the naive peer on SQLite has to. */
export const POSTGRES_PEERS = ['naive/1', 'naive/64', 'server/64']

/** Measures one round; `stored` is how many entries a long log has. */
export async function measurePostgres(stored: number): Promise<Found> {
  const pool = new pg.Pool(SERVER)
  try {
    const naive: Rate[] = []
    for (const callers of [1, 64])
      naive.push(await inSchema(pool, (schema) => rateNaive(pool, schema, callers)))
    const pawl = await inSchema(pool, async (schema) => {
      const engine = await openEngine(schema)
      // Tasks of its own for each: they are where the last one has left them.
      const rate = async (name: string, callers: number) =>
        rated(name, await contenderOf(engine), callers)
      const rates = [await rate('server/64', 64), await rate('server/1', 1)]
      rates.push(await besides(schema))
      await fill(pool, schema, stored)
      rates.push(await rate('server/long', 64))
      await engine.close()
      return rates
    })
    const appended = await inSchema(pool, (schema) => measureAppend(SERVER, schema))
    return { rates: [...naive, ...pawl, ...appended], figures: [] }
  } finally {
    await pool.end()
  }
}

async function inSchema<T>(pool: pg.Pool, work: (schema: string) => Promise<T>): Promise<T> {
  const schema = `bench_${randomBytes(6).toString('hex')}`
  try {
    return await work(schema)
  } finally {
    await pool.query(`drop schema if exists ${schema} cascade`)
  }
}

async function rated(name: string, contender: Contender, callers: number): Promise<Rate> {
  const { changes: _, ...sample } = await measure(contender, callers)
  return { name, durability: 'full', ...sample, bytes: null }
}

async function rateNaive(pool: pg.Pool, schema: string, callers: number): Promise<Rate> {
  const contender = await openNaive(pool, schema)
  try {
    return await rated(`naive/${callers}`, contender, callers)
  } finally {
    await contender.close()
  }
}

async function openNaive(pool: pg.Pool, schema: string): Promise<Contender> {
  await pool.query(`
    create schema ${schema};
    create table ${schema}.resources (
      id text primary key, status text not null, version integer not null, data text not null,
      created_at bigint not null, updated_at bigint not null
    );
    create table ${schema}.events (
      seq bigserial primary key, id text not null, type text not null, resource_id text not null,
      version integer not null, data text not null, created_at bigint not null
    );
    create index on ${schema}.events (resource_id)`)
  for (let task = 0; task < TASKS; task++)
    await pool.query(`insert into ${schema}.resources values ($1, 'learning', 1, $2, 0, 0)`, [
      idOf(task),
      DATA,
    ])
  const own = new pg.Pool({ ...SERVER, options: `-c search_path=${schema}` })
  return naiveOn(new PostgresDialect({ pool: own }))
}

function openEngine(schema: string) {
  return createEngine({
    database: postgres(SERVER, { schema }),
    resources: agentPlatform(),
    encryptionKeys: [randomBytes(32).toString('base64')],
  })
}

type Engine = Awaited<ReturnType<typeof openEngine>>

async function contenderOf(engine: Engine): Promise<Contender> {
  const ids = await createTasks(engine, TASKS)
  return {
    change: (task, command) => engine.tasks.send(ids[task] ?? '', { type: command }),
    close: () => {},
  }
}

/** Two processes with as many callers each, at the same time. */
async function besides(schema: string): Promise<Rate> {
  const children = [0, 1].map(() =>
    fork(join(import.meta.dirname, 'postgres-process.js'), [schema]),
  )
  await Promise.all(children.map((child) => once(child, 'message')))
  for (const child of children) child.send('go')
  const answers = await Promise.all(children.map((child) => once(child, 'message')))
  const perSecond = answers.reduce((sum, [{ perSecond: own }]) => sum + own, 0)
  return { name: 'server/2×64', durability: 'full', perSecond, ...UNKNOWN }
}

const UNKNOWN = { p50: null, p99: null, loop: null, bytes: null }

/** What a process of its own does: it says when it is ready, and how fast it has been. */
export async function runBeside(schema: string): Promise<void> {
  const engine = await openEngine(schema)
  const contender = await contenderOf(engine)
  process.send?.('ready')
  await once(process, 'message')
  process.send?.(await measure(contender, 64))
  await engine.close()
}

/** Makes the log as long as that: entries of one resource, which nobody reads or verifies. */
async function fill(pool: pg.Pool, schema: string, stored: number): Promise<void> {
  const log = `${schema}.pawl_log`
  await pool.query(`
    insert into ${schema}.pawl_events
    select
      head + n, 'evt_' || lpad(n::text, 22, '0'), 'default', 'agent.updated', 0, first.id, n,
      '${DATA}', null, null, null, null, 'update', null, 'corr_' || n, null, 0,
      decode(repeat('00', 32), 'hex'), n, 0
    from ${log}, generate_series(1, ${stored} - head) as n,
      (select id from ${schema}.pawl_resources limit 1) as first`)
  await pool.query(`update ${log} set head = (select max(seq) from ${schema}.pawl_events)`)
  await pool.query(`analyze ${schema}.pawl_events`)
}
