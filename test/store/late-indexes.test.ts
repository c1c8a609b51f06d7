import Sqlite from 'better-sqlite3'
import { Kysely, Migrator, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import { migrations } from '../../src/store/migrations.ts'
import { type AnyTestEngine, collect, fullLog, handleOf, setupEngine } from '../support/engine.ts'
import { openRaw, rowsOf } from '../support/raw.ts'
import { openRich, richOptions } from '../support/rich.ts'
import { temporaryFile } from '../support/temp.ts'

const EARLIER = ['0001_initial', '0002_consumers_and_pruning']

/** A file as the version before has left it, empty. */
async function makeEarlier(): Promise<string> {
  const file = temporaryFile()
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: new Sqlite(file) }) })
  const earlier = Object.entries(migrations).filter(([name]) => EARLIER.includes(name))
  const migrator = new Migrator({
    ...{ db, provider: { getMigrations: async () => Object.fromEntries(earlier) } },
    ...{ migrationTableName: 'pawl_migrations', migrationLockTableName: 'pawl_migrations_lock' },
  })
  const { results } = await migrator.migrateToLatest()
  expect(results?.map(({ migrationName }) => migrationName)).toEqual(EARLIER)
  await db.destroy()
  return file
}

/** Writes everything that a database holds as the version before would have. */
function copyInto(earlier: string, file: string): void {
  const raw = openRaw(earlier)
  raw.pragma('foreign_keys = off')
  raw.prepare('attach ? as later').run(file)
  const tables = raw
    .prepare<[], string>(
      "select name from main.sqlite_master where type = 'table' and name like 'pawl%'",
    )
    .pluck()
    .all()
  for (const table of tables.filter((name) => !name.startsWith('pawl_migrations'))) {
    const columns = raw
      .prepare<[string], string>('select name from pragma_table_info(?)')
      .pluck()
      .all(table)
    raw.exec(`delete from main.${table} where true`)
    if (table === 'pawl_log') {
      const head =
        'max(pruned, coalesce((select max(seq) from later.pawl_events), 0)), pruned, identity'
      raw.exec(
        `insert into main.pawl_log (id, head, pruned, identity) select id, ${head} from later.pawl_log`,
      )
    } else {
      raw.exec(`insert into main.${table} (${columns}) select ${columns} from later.${table}`)
    }
  }
  expect(raw.pragma('foreign_key_check')).toEqual([])
  raw.close()
}

const TYPES = ['things', 'sessions', 'tasks', 'taskRuns', 'credentials']

/** All that can be looked up about the resources. */
async function everythingOf(engine: AnyTestEngine): Promise<unknown> {
  const views = []
  for (const type of TYPES) {
    const handle = handleOf(engine, type)
    const all = await collect(await handle.list({ tenant: '*' }))
    views.push(all)
    for (const status of new Set(all.map((view) => view.status)))
      views.push(await collect(await handle.list({ status, tenant: '*' })))
  }
  for (const { id } of await collect(await handleOf(engine, 'things').list({})))
    views.push(await collect(await engine.events.list({ resource: id } as never)))
  return [views, await fullLog(engine, { tenant: '*' })]
}

/** A database with a history that is longer than what is listed at once, some of it pruned. */
async function fill(file: string, keep: string | number | null): Promise<AnyTestEngine> {
  const engine = await openRich(file)
  // No idempotency key is to hold up the pruning.
  await engine.clock.advance('25h')
  const things = handleOf(engine, 'things')
  const ids = (await collect(await things.list({ status: 'on' }))).map(({ id }) => id)
  for (let n = 0; n < 40; n += 1) {
    for (const id of ids.slice(1)) await things.send(id, { type: 'go' })
    await engine.clock.advance('1s')
  }
  if (keep !== null) await engine.prune({ events: keep })
  return engine
}

test.each<[string, string | number | null]>([
  ['whole', null],
  ['pruned in part', '15s'],
  ['pruned wholly', 0],
])(
  'a database of the version before is as it was, its log %s',
  { timeout: 120_000 },
  async (_, keep) => {
    const [file, earlier] = [temporaryFile(), await makeEarlier()]
    const engine = await fill(file, keep)
    const before = await everythingOf(engine)
    const now = engine.clock.now()
    await engine.close()
    copyInto(earlier, file)

    const migrated = await setupEngine({ database: earlier, now, ...richOptions(2) })

    expect((await migrated.verify()).differences).toEqual([])
    expect(await everythingOf(migrated)).toEqual(before)
    const raw = openRaw(earlier)
    expect(raw.pragma('foreign_key_check')).toEqual([])
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
    if (keep === null) {
      const later = openRaw(file)
      for (const table of ['pawl_resources', 'pawl_events', 'pawl_log'])
        expect(rowsOf(raw, table)).toEqual(rowsOf(later, table))
    }

    const things = handleOf(migrated, 'things')
    for (const { id } of (await collect(await things.list({}))).filter(
      ({ status }) => status === 'on',
    ))
      for (let n = 0; n < 35; n += 1) await things.send(id, { type: 'go' })
    expect((await migrated.verify()).differences).toEqual([])
  },
)
