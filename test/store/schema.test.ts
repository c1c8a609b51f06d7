import { mkdirSync, writeFileSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { migrations } from '../../src/store/migrations.ts'
import { openDatabase } from '../../src/store/sqlite/open.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import type { Durability } from '../../src/store/store.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { rowOf, write } from './rows.ts'

async function openStore(database: string | Database, durability: Durability = 'relaxed') {
  const store = await openSqliteStore({ database, durability, busyTimeout: 5000 })
  onTestFinished(() => store.close())
  return store
}

/** A connection of the test's own. */
function connect(file: string, options: Sqlite.Options = {}): Database {
  const database = new Sqlite(file, options)
  onTestFinished(() => void database.close())
  return database
}

/** A migrated file, and a connection to it. */
async function setup() {
  const file = temporaryFile()
  await openStore(file)
  return { file, database: connect(file) }
}

function schemaOf(database: Database): string {
  const statements = database
    .prepare<[], string>(
      `select sql from sqlite_master where sql is not null and name not like 'sqlite\\_%' escape '\\'
       order by tbl_name, type desc, name`,
    )
    .pluck()
    .all()
  return statements.map((sql) => `${sql.replaceAll(/\s+/g, ' ')};\n`).join('')
}

function insert(database: Database, table: string, row: object): void {
  const columns = Object.keys(row)
  const slots = columns.map((column) => `@${column}`)
  database.prepare(`insert into ${table} (${columns}) values (${slots})`).run(row)
}

describe('a fresh database', () => {
  test('has the schema that is written down', async () => {
    const { database } = await setup()

    await expect(schemaOf(database)).toMatchFileSnapshot('schema.sql')
  })

  test('has every table strict, and a log that is empty', async () => {
    const { database } = await setup()

    const tables = database
      .prepare(
        "select name, strict from pragma_table_list where schema = 'main' and name like 'pawl\\_%' escape '\\'",
      )
      .all() as { name: string; strict: number }[]
    const loose = tables.filter(({ strict }) => strict === 0).map(({ name }) => name)
    expect(loose.toSorted()).toEqual(['pawl_migrations', 'pawl_migrations_lock'])
    expect(database.prepare('select * from pawl_log').all()).toEqual([
      { id: 1, pruned: 0, identity: expect.stringMatching(/^[0-9a-f]{16}$/) },
    ])
  })

  test('knows its migrations, in order', async () => {
    const { database } = await setup()

    const names = database.prepare('select name from pawl_migrations order by rowid').pluck().all()
    expect(names).toEqual(Object.keys(migrations))
    expect(names).toEqual(names.toSorted())
  })
})

describe('an illegal row is refused', () => {
  const resource = {
    ...{ id: 'b', tenant: 't', type: 'thing', status: 'calm', version: 1, final: 0 },
    ...{ value: '"calm"', memory: null, context: '{}', machine: 'm', head: null },
    ...{ created_at: 10, updated_at: 10, status_since: 10, latest: 0, entries: 0 },
  }
  const event = {
    ...{ seq: 2, id: 'evt_2', tenant: 't', type: 'thing.x', internal: 0, resource_id: 'a' },
    ...{ resource_version: 1, data: '{}', previous_status: null, previous_ms: null },
    ...{ command: '{}', change: '{}', cause: 'x', actor: null, correlation_id: 'c' },
    ...{ causation_id: null, created_at: 10, hash: Buffer.alloc(32), ordinal: 2, previous: 1 },
  }
  const listed = { seq: 2, id: 'evt_2', tenant: 't', type: 'thing.x', internal: 0 }
  const noted = { position: 2, tenant: 't', type: 'thing', status: 'calm' }
  const timer = {
    ...{ resource_id: 'a', tenant: 't', name: 'y', event: '{}', due_at: 10, next_at: 10 },
  }
  const reference = {
    ...{ resource_id: 'a', field: 'g', type: 'thing', target_id: 'a', live: 1, position: 1 },
  }
  const secret = { resource_id: 'a', name: 'y', envelope: Buffer.of(1) }
  const outcome = {
    ...{ tenant: 't', key: 'l', fingerprint: 'f', resource: '{}', changed: 1, events: '[]' },
    ...{ secrets: null, created_at: 10 },
  }
  const machine = { type: 'other', machine: 'm' }
  const log = { id: 1, identity: 'i', pruned: 0 }

  const rows = {
    pawl_resources: resource,
    pawl_events: event,
    pawl_listing: listed,
    pawl_statuses: noted,
    pawl_timers: timer,
    pawl_references: reference,
    pawl_secrets: secret,
    pawl_outcomes: outcome,
    pawl_machines: machine,
    pawl_log: log,
  } as const

  /** A database that holds one row of each table. */
  async function populated() {
    const { database } = await setup()
    insert(database, 'pawl_resources', { ...resource, id: 'a' })
    insert(database, 'pawl_resources', { ...resource, id: 'listed' })
    insert(database, 'pawl_events', { ...event, seq: 1, id: 'evt_1', ordinal: 1, previous: 0 })
    insert(database, 'pawl_listing', { ...listed, seq: 1, id: 'evt_1' })
    insert(database, 'pawl_statuses', { ...noted, position: 1 })
    insert(database, 'pawl_timers', { ...timer, name: 'x' })
    insert(database, 'pawl_references', { ...reference, field: 'f' })
    insert(database, 'pawl_secrets', { ...secret, name: 'x' })
    insert(database, 'pawl_outcomes', { ...outcome, key: 'k' })
    insert(database, 'pawl_machines', { ...machine, type: 'thing' })
    return database
  }

  test.each(Object.keys(rows).filter((table) => table !== 'pawl_log'))(
    'though %s takes a legal one',
    async (table) => {
      const database = await populated()
      const count = () => Number(database.prepare(`select count(*) from ${table}`).pluck().get())
      const before = count()

      insert(database, table, rows[table as keyof typeof rows])

      expect([before > 0, count() - before]).toEqual([true, 1])
    },
  )

  const long = 'x'.repeat(256)

  test.each<[keyof typeof rows, object, string]>([
    ['pawl_resources', { id: '' }, 'CHECK'],
    ['pawl_resources', { id: long }, 'CHECK'],
    ['pawl_resources', { id: 'a' }, 'UNIQUE'],
    ['pawl_resources', { tenant: '' }, 'CHECK'],
    ['pawl_resources', { tenant: long }, 'CHECK'],
    ['pawl_resources', { version: 0 }, 'CHECK'],
    ['pawl_resources', { version: 'one' }, 'DATATYPE'],
    ['pawl_resources', { final: 2 }, 'CHECK'],
    ['pawl_resources', { value: 'calm' }, 'CHECK'],
    ['pawl_resources', { memory: '{' }, 'CHECK'],
    ['pawl_resources', { context: '{a:1}' }, 'CHECK'],
    ['pawl_resources', { context: null }, 'NOTNULL'],
    ['pawl_resources', { updated_at: 9 }, 'CHECK'],
    ['pawl_resources', { status_since: 9 }, 'CHECK'],
    ['pawl_resources', { status_since: 11 }, 'CHECK'],
    ['pawl_resources', { head: Buffer.alloc(31) }, 'CHECK'],
    ['pawl_resources', { latest: -1 }, 'CHECK'],
    ['pawl_resources', { latest: null }, 'NOTNULL'],
    ['pawl_resources', { entries: -1 }, 'CHECK'],
    ['pawl_resources', { entries: null }, 'NOTNULL'],
    ['pawl_events', { seq: 0 }, 'CHECK'],
    ['pawl_events', { seq: 1, previous: 0 }, 'PRIMARYKEY'],
    ['pawl_events', { id: '' }, 'CHECK'],
    ['pawl_events', { internal: 2 }, 'CHECK'],
    ['pawl_events', { resource_id: 'none' }, 'FOREIGNKEY'],
    ['pawl_events', { resource_version: 0 }, 'CHECK'],
    ['pawl_events', { data: '' }, 'CHECK'],
    ['pawl_events', { previous_status: 'calm' }, 'CHECK'],
    ['pawl_events', { previous_ms: 5 }, 'CHECK'],
    ['pawl_events', { previous_status: 'calm', previous_ms: -1 }, 'CHECK'],
    ['pawl_events', { command: null }, 'CHECK'],
    ['pawl_events', { change: null }, 'CHECK'],
    ['pawl_events', { command: 'go' }, 'CHECK'],
    ['pawl_events', { actor: 'me' }, 'CHECK'],
    ['pawl_events', { hash: Buffer.alloc(33) }, 'CHECK'],
    ['pawl_events', { hash: 'x'.repeat(32) }, 'DATATYPE'],
    ['pawl_events', { ordinal: 0 }, 'CHECK'],
    ['pawl_events', { ordinal: null }, 'NOTNULL'],
    ['pawl_events', { previous: -1 }, 'CHECK'],
    ['pawl_events', { previous: 2 }, 'CHECK'],
    ['pawl_events', { previous: null }, 'NOTNULL'],
    ['pawl_listing', { seq: 1 }, 'PRIMARYKEY'],
    ['pawl_listing', { id: 'evt_1' }, 'UNIQUE'],
    ['pawl_listing', { tenant: null }, 'NOTNULL'],
    ['pawl_listing', { type: null }, 'NOTNULL'],
    ['pawl_listing', { internal: null }, 'NOTNULL'],
    ['pawl_listing', { internal: 'no' }, 'DATATYPE'],
    ['pawl_statuses', { position: 1 }, 'PRIMARYKEY'],
    ['pawl_statuses', { position: 3 }, 'FOREIGNKEY'],
    ['pawl_statuses', { tenant: null }, 'NOTNULL'],
    ['pawl_statuses', { type: null }, 'NOTNULL'],
    ['pawl_statuses', { status: null }, 'NOTNULL'],
    ['pawl_timers', { resource_id: 'none' }, 'FOREIGNKEY'],
    ['pawl_timers', { name: 'x' }, 'UNIQUE'],
    ['pawl_timers', { event: 'x' }, 'CHECK'],
    ['pawl_timers', { next_at: 9 }, 'CHECK'],
    ['pawl_timers', { attempts: -1 }, 'CHECK'],
    ['pawl_references', { resource_id: 'none' }, 'FOREIGNKEY'],
    ['pawl_references', { target_id: 'none' }, 'FOREIGNKEY'],
    ['pawl_references', { field: 'f' }, 'PRIMARYKEY'],
    ['pawl_references', { live: 2 }, 'CHECK'],
    ['pawl_secrets', { resource_id: 'none' }, 'FOREIGNKEY'],
    ['pawl_secrets', { name: 'x' }, 'PRIMARYKEY'],
    ['pawl_secrets', { envelope: 'plain' }, 'DATATYPE'],
    ['pawl_outcomes', { key: '' }, 'CHECK'],
    ['pawl_outcomes', { key: 'x'.repeat(257) }, 'CHECK'],
    ['pawl_outcomes', { key: 'k' }, 'PRIMARYKEY'],
    ['pawl_outcomes', { resource: '{' }, 'CHECK'],
    ['pawl_outcomes', { changed: 2 }, 'CHECK'],
    ['pawl_outcomes', { events: '[' }, 'CHECK'],
    ['pawl_machines', { type: 'thing' }, 'PRIMARYKEY'],
    ['pawl_machines', { machine: null }, 'NOTNULL'],
    ['pawl_log', { id: 2 }, 'CHECK'],
    ['pawl_log', { id: 1 }, 'PRIMARYKEY'],
    ['pawl_log', { id: 1, pruned: -1 }, 'CHECK'],
  ])('by %s: %j', async (table, parts, constraint) => {
    const database = await populated()

    const insertion = () => insert(database, table, { ...rows[table], ...parts })

    expect(insertion).toThrowError(
      expect.objectContaining({ code: `SQLITE_CONSTRAINT_${constraint}` }),
    )
  })
})

describe('the settings', () => {
  const settingsOf = (database: Database) => ({
    synchronous: database.pragma('synchronous', { simple: true }),
    journal: database.pragma('journal_mode', { simple: true }),
    foreignKeys: database.pragma('foreign_keys', { simple: true }),
  })

  test.each([
    ['full', 2],
    ['relaxed', 1],
  ] as const)(
    'of %s hold from the start, after the first write, and in every life',
    async (durability, synchronous) => {
      const file = temporaryFile()
      const wanted = { synchronous, journal: 'wal', foreignKeys: 1 }
      for (let life = 1; life <= 3; life++) {
        const database = new Sqlite(file)
        const store = await openStore(database, durability)
        expect(settingsOf(database)).toEqual(wanted)

        await write(store, { created: [rowOf(`thg_${life}`)] })

        expect(settingsOf(database)).toEqual(wanted)
        await store.close()
        database.close()
      }
    },
  )

  test('of a connection that is opened for a path are the same', () => {
    const database = openDatabase(temporaryFile(), 'full')
    onTestFinished(() => void database.close())

    expect(settingsOf(database)).toEqual({ synchronous: 2, journal: 'wal', foreignKeys: 1 })
    expect(database.pragma('busy_timeout', { simple: true })).toBeLessThanOrEqual(50)
  })

  test('replace those that the application had made', async () => {
    const database = connect(temporaryFile())
    database.pragma('journal_mode = delete')
    database.pragma('synchronous = off')
    database.pragma('foreign_keys = off')

    await openStore(database, 'full')

    expect(settingsOf(database)).toEqual({ synchronous: 2, journal: 'wal', foreignKeys: 1 })
  })
})

describe('a database that cannot be used', () => {
  test('since a later version has migrated it is schema_too_new', async () => {
    const { file, database } = await setup()
    database.exec("insert into pawl_migrations (name, timestamp) values ('9999_later', 'now')")

    const error = await failureOf(openStore(file))

    expect(error).toMatchObject({ code: 'schema_too_new', found: '9999_later' })
    expect(error.message).toMatchInlineSnapshot(
      `"the database has been migrated by a later version of pawl (9999_later); upgrade pawl"`,
    )
  })

  test('since it is a text file is storage_corrupt', async () => {
    const file = temporaryFile()
    writeFileSync(file, 'Dear diary, '.repeat(1000))

    const error = await failureOf(openStore(file))

    expect(error).toMatchObject({ code: 'storage_corrupt', operation: 'open' })
    expect(error.message).toMatchInlineSnapshot(
      `"open: the file is damaged or is no SQLite database; restore a backup (SQLITE_NOTADB)"`,
    )
  })

  test('since its folder is missing is storage_failed, with the path', async () => {
    const file = `${temporaryFile()}/missing/app.db`

    const error = await failureOf(openStore(file))

    expect(error).toMatchObject({ code: 'storage_failed', operation: 'open' })
    expect(error.message).toContain(JSON.stringify(file))
    expect(error.message).toContain('check the path')
  })

  test('since it is a folder is storage_failed', async () => {
    const folder = temporaryFile()
    mkdirSync(folder)

    expect(await failureOf(openStore(folder))).toMatchObject({ code: 'storage_failed' })
  })

  // Read-only handles, since the files of root are never read-only.
  test('since it is read-only and no WAL is storage_failed', async () => {
    const file = temporaryFile()
    connect(file).exec('create table mine (id integer)')

    const error = await failureOf(openStore(connect(file, { readonly: true })))

    expect(error).toMatchObject({ code: 'storage_failed', operation: 'open' })
    expect(error.message).toContain('READONLY')
  })

  test('since it is read-only and has no tables is storage_failed', async () => {
    const file = temporaryFile()
    const own = connect(file)
    own.pragma('journal_mode = wal')
    own.exec('create table mine (id integer)')

    const error = await failureOf(openStore(connect(file, { readonly: true })))

    expect(error).toMatchObject({ code: 'storage_failed', operation: 'migrate' })
  })

  test('since it is read-only takes no write: storage_failed', async () => {
    const { file } = await setup()
    const store = await openStore(connect(file, { readonly: true }))

    const error = await failureOf(write(store, { created: [rowOf('a')] }))

    expect(error).toMatchObject({ code: 'storage_failed' })
    expect(await store.findResource('a')).toBe(undefined)
  })
})

describe("an application's own database", () => {
  test('is used beside its tables, and left open', async () => {
    const database = connect(temporaryFile())
    database.exec('create table mine (id integer primary key)')

    const store = await openStore(database)
    await write(store, { created: [rowOf('a')] })
    await store.close()

    expect(database.open).toBe(true)
    expect(database.prepare('select id from pawl_resources').pluck().all()).toEqual(['a'])
    expect(database.prepare('select * from mine').all()).toEqual([])
  })

  test('is left open when it cannot be used', async () => {
    const { database } = await setup()
    database.exec("insert into pawl_migrations (name, timestamp) values ('9999_later', 'now')")

    await failureOf(openStore(database))

    expect(database.open).toBe(true)
    expect(database.inTransaction).toBe(false)
  })
})

describe('openers at the same time', () => {
  test('migrate once', async () => {
    const file = temporaryFile()

    await Promise.all(Array.from({ length: 4 }, () => openStore(file)))

    const database = connect(file)
    expect(database.prepare('select count(*) from pawl_migrations').pluck().get()).toBe(
      Object.keys(migrations).length,
    )
    await expect(schemaOf(database)).toMatchFileSnapshot('schema.sql')
  })

  test('of one connection take turns', async () => {
    const database = connect(temporaryFile())

    const stores = await Promise.all([openStore(database), openStore(database)])

    await write(stores[0], { created: [rowOf('a')] })
    expect(await stores[1].findResource('a')).toMatchObject(rowOf('a'))
  })
})
