/** Is what is looked up found through an index, although PostgreSQL planned that when there was nearly nothing? */

import { postgres } from 'pawl/postgres'
import { describe, expect, test } from 'vitest'
import type { Pool, PooledClient } from '../../src/store/postgres/session.ts'
import { handleOf, setupEngine } from '../support/engine.ts'
import { isServer, setupSchema } from '../support/postgres.ts'
import { makeAgent, makeTask } from '../support/world.ts'

/** A pool that keeps in mind which statements its connections prepare. */
function collecting(pool: Pool) {
  const texts = new Set<string>()
  const connect = async (): Promise<PooledClient> => {
    const client = await pool.connect()
    return {
      query: (query) => {
        if (query.name !== undefined || query.text.startsWith('begin')) texts.add(query.text)
        return client.query(query)
      },
      release: (destroy) => client.release(destroy),
    }
  }
  return { texts, pool: { connect, end: () => pool.end() } }
}

/** An engine that has remembered an outcome and written references, and the statements for that. */
async function setup() {
  const { pool, schema } = await setupSchema()
  const collected = collecting(pool)
  const engine = await setupEngine({ database: postgres(collected.pool, { schema }) })
  const agent = await makeAgent(engine)
  const command = { type: 'update', name: 'Other' }
  for (const idempotencyKey of ['one', 'two'])
    await handleOf(engine, 'agents').send(agent.id, command, { idempotencyKey })
  await makeTask(engine)
  const client = await pool.connect()
  const run = async (text: string) => (await client.query({ text })).rows
  const text = (part: RegExp) => [...collected.texts].filter((one) => part.test(one))
  return { schema, run, text, release: () => client.release() }
}

/** How a statement is run whatever it is given, as connections keep it; within what its transactions begin with. */
async function planOf(run: Run, begin: string, text: string): Promise<string> {
  const count = Math.max(...[...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)))
  const nothing = Array.from({ length: count }, () => 'null').join()
  await run(begin)
  await run('set local plan_cache_mode = force_generic_plan')
  await run(`prepare looked_at as ${text}`)
  const rows = await run(`explain (format text) execute looked_at (${nothing})`)
  await run('deallocate looked_at')
  await run('rollback')
  return rows.map((row) => (row as Readonly<Record<string, string>>)['QUERY PLAN']).join('\n')
}

type Run = (text: string) => Promise<unknown[]>

const LOOKUPS = [
  ['outcomes of keys', /^\s*select(?=.*"?pawl_outcomes\b).*\bunnest\(/s],
  ['resources that refer', /^\s*insert into "\w+"\."pawl_references"/s],
  ['resources that are locked', /^\s*select(?=.*pawl_resources).*for no key update/s],
  ['resources that change', /^\s*with changed as \(\s*update "\w+"\."pawl_resources"/s],
] as const

describe.runIf(await isServer()).each([
  [0, 0],
  [0, 20_000],
  [60, 0],
  [60, 20_000],
])('with %d rows when it was analyzed, and %d since', (before, since) => {
  test.each(LOOKUPS)('%s are found through the index', async (_, part) => {
    const { schema, run, text, release } = await setup()
    const grow = async (count: number, mark: string) => {
      await run(`
        insert into ${schema}.pawl_outcomes
        select tenant, '${mark}' || n, fingerprint, resource, changed, events, secrets, created_at
        from (select * from ${schema}.pawl_outcomes limit 1) as one, generate_series(1, ${count}) as n`)
      await run(`
        insert into ${schema}.pawl_resources
        select position + 1000 + n + ${mark.length} * 100000, id || '${mark}' || n, tenant, type, status,
          version, final, value, memory, context, machine, created_at, updated_at, status_since,
          head, latest, entries
        from (select * from ${schema}.pawl_resources limit 1) as one, generate_series(1, ${count}) as n`)
    }
    await grow(before, 'a')
    await run(`analyze ${schema}.pawl_outcomes, ${schema}.pawl_resources`)
    await grow(since, 'bb')

    const [statement, begin] = [text(part)[0] ?? '', text(/^begin .*enable_seqscan/s)[0] ?? '']
    const plan = await planOf(run, begin, statement)
    release()

    expect(plan).toMatch(/Index Scan (?:using|on) pawl_(outcomes|resources)_pkey/)
    expect(plan).not.toMatch(/Seq Scan/)
  })
})
