/** Two ways to keep a log in PostgreSQL in the order of its commits: which is faster? @module */

import pg from 'pg'
import type { Rate } from './found.ts'

const CONNECTIONS = 4
const ENTRIES = 64
const ROUND_MS = 2000

// As much as an entry of a small resource takes.
const DATA = 'x'.repeat(400)

/** Appends entries over several connections at the same time. */
export async function measureAppend(
  config: pg.ClientConfig,
  schema: string,
): Promise<readonly Rate[]> {
  const admin = new pg.Client(config)
  await admin.connect()
  await admin.query(`
    create schema ${schema};
    create table ${schema}.log (id integer primary key, head bigint not null);
    insert into ${schema}.log values (1, 0);
    create table ${schema}.locked (seq bigint primary key, data text not null);
    create table ${schema}.barred (
      seq bigserial, xid xid8 not null default pg_current_xact_id(), data text not null,
      primary key (xid, seq)
    )`)
  await admin.end()
  return [
    await rate('append/lock', config, (client) => appendLocked(client, schema)),
    await rate('append/barrier', config, (client) => appendBarred(client, schema)),
  ]
}

async function rate(
  name: string,
  config: pg.ClientConfig,
  append: (client: pg.Client) => Promise<unknown>,
): Promise<Rate> {
  const start = performance.now()
  let entries = 0
  const appending = Array.from({ length: CONNECTIONS }, async () => {
    const client = new pg.Client({ ...config, pipeline: true })
    await client.connect()
    while (performance.now() < start + ROUND_MS) {
      await append(client)
      entries += ENTRIES
    }
    await client.end()
  })
  await Promise.all(appending)
  const perSecond = entries / ((performance.now() - start) / 1000)
  return { name, durability: 'full', perSecond, p50: null, p99: null, loop: null, bytes: null }
}

/** The end of the log is locked until the commit: no entry is ever committed before an earlier one. */
async function appendLocked(client: pg.Client, schema: string): Promise<void> {
  const begun = client.query('begin')
  const { rows } = await client.query(`select head from ${schema}.log where id = 1 for update`)
  const head = Number(rows[0].head)
  await Promise.all([
    begun,
    client.query(`update ${schema}.log set head = $1 where id = 1`, [head + ENTRIES]),
    client.query(
      `insert into ${schema}.locked select $1::bigint + n, $2 from generate_series(1, ${ENTRIES}) as n`,
      [head, DATA],
    ),
    client.query('commit'),
  ])
}

/** Entries are committed in any order: readers stop before what an open transaction might still add. */
async function appendBarred(client: pg.Client, schema: string): Promise<void> {
  await Promise.all([
    client.query('begin'),
    client.query(
      `insert into ${schema}.barred (data) select $1 from generate_series(1, ${ENTRIES}) as n`,
      [DATA],
    ),
    client.query('commit'),
  ])
}
