/** How fast is pawl on PostgreSQL, alone, beside itself, and with much behind it? @module */

import { PostgresDialect } from 'kysely'
import pg from 'pg'
import { measureAppend } from './append.ts'
import { type Found, merge, type Rate } from './found.ts'
import { type Contender, drive, during, type Sample, TASKS, turns } from './measure.ts'
import { naiveOn } from './naive.ts'
import { DATA, idOf } from './rows.ts'
import { inSchema, lengthen, SERVER } from './server.ts'
import { startWorker, type Worker } from './workers.ts'

/** What rates are compared with; `naive` does one change after the other, as it has to on SQLite. */
export const POSTGRES_PEERS = ['naive', 'naive/64', 'pawl/64']

// So short that what disturbs the machine disturbs all of them.
const SLICE_MS = 500
const SLICES = 8
const WARM_UPS = 4

/** What works for a slice of time. */
interface Runner {
  readonly name: string
  run(): Promise<Partial<Sample> & Pick<Sample, 'perSecond'>>
}

/** How many entries there are in two logs. */
interface Lengths {
  readonly few: number
  readonly many: number
}

/** Measures everything in turn, slice by slice: what is compared is measured at the same time. */
export async function measurePostgres(rounds: number, lengths: Lengths): Promise<Found> {
  const pool = new pg.Pool(SERVER)
  const within = <T>(work: (schema: string) => Promise<T>) => inSchema(pool, work)
  try {
    const rates = await within((rows) =>
      within((few) =>
        within(async (many) => {
          const naive = await openNaive(pool, rows)
          const workers = await startWorkers(pool, { few, many }, lengths)
          const rates = await inTurn([...naiveRunners(naive), ...pawlRunners(workers)], rounds)
          for (const worker of workers) await worker.stop()
          await naive.close()
          return rates
        }),
      ),
    )
    const appended = await within((schema) => measureAppend(SERVER, schema))
    return merge([{ rates: [...rates, ...appended], figures: [] }])
  } finally {
    await pool.end()
  }
}

async function inTurn(runners: readonly Runner[], rounds: number): Promise<Rate[]> {
  const rates: Rate[] = []
  for (let slice = -WARM_UPS; slice < rounds * SLICES; slice++) {
    for (const { name, run } of runners) {
      const rate: Rate = { name, durability: 'full', ...UNKNOWN, ...(await run()) }
      if (slice >= 0) rates.push(rate)
    }
  }
  return rates
}

const UNKNOWN = { p50: null, p99: null, loop: null, bytes: null }

/** Two processes on a log that is short, and one on a log that is long. */
async function startWorkers(
  pool: pg.Pool,
  schemas: { readonly few: string; readonly many: string },
  lengths: Lengths,
): Promise<readonly [Worker, Worker, Worker]> {
  const first = await startWorker(schemas.few)
  await lengthen(pool, schemas.few, lengths.few)
  const second = await startWorker(schemas.few)
  const third = await startWorker(schemas.many)
  await lengthen(pool, schemas.many, lengths.many)
  return [first, second, third]
}

function pawlRunners([first, second, third]: readonly [Worker, Worker, Worker]): Runner[] {
  const by = (worker: Worker, callers: number) => () =>
    worker.run({ callers, milliseconds: SLICE_MS })
  const both = async () => {
    const samples = await Promise.all([by(first, 64)(), by(second, 64)()])
    return { perSecond: samples.reduce((sum, { perSecond }) => sum + perSecond, 0) }
  }
  return [
    { name: 'pawl/64', run: by(first, 64) },
    { name: 'pawl/2×64', run: both },
    { name: 'pawl/many', run: by(third, 64) },
    { name: 'pawl/1', run: by(first, 1) },
  ]
}

function naiveRunners({ change }: Contender): Runner[] {
  const turn = turns(TASKS)
  const call = () => {
    const { task, command } = turn()
    return change(task, command)
  }
  return [
    { name: 'naive/64', run: () => drive(64, during(SLICE_MS), call) },
    { name: 'naive', run: () => drive(1, during(SLICE_MS), call) },
  ]
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
