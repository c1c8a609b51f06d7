import Sqlite, { type Database } from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { handleOf, setupEngine } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { rowOf, write } from './rows.ts'

async function openStore(database: string | Database, busyTimeout = 20_000) {
  const store = await openSqliteStore({ database, durability: 'relaxed', busyTimeout })
  onTestFinished(() => store.close())
  return store
}

function connect(file: string): Database {
  const database = new Sqlite(file)
  onTestFinished(() => void database.close())
  return database
}

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A store, and a stranger that holds the lock for writing on its file. */
async function setup(busyTimeout?: number) {
  const file = temporaryFile()
  const store = await openStore(file, busyTimeout)
  const stranger = connect(file)
  stranger.exec('begin immediate')
  return { file, store, stranger }
}

describe('a write, while another connection writes', () => {
  test('waits, the event loop turning, and succeeds when that is over', async () => {
    const { store, stranger } = await setup()
    let settled = false

    const writing = write(store, { created: [rowOf('a')] }).finally(() => {
      settled = true
    })
    for (let turn = 0; turn < 50; turn++) await turnOfTheLoop()

    expect(settled).toBe(false)
    stranger.exec('commit')
    await writing
    expect(await store.findResource('a')).toMatchObject(rowOf('a'))
  })

  test('runs its plan once it may write, on what is there then', async () => {
    const { store, stranger } = await setup()
    let runs = 0
    const writing = store.transact(function* () {
      runs += 1
      const row = yield { ask: 'resource', id: 'by the stranger' }
      return { writes: null, result: row }
    })
    await turnOfTheLoop()

    expect(runs).toBe(0)
    stranger
      .prepare(
        `insert into pawl_resources (id, tenant, type, status, version, final, value, context, machine, created_at, updated_at, status_since)
         values ('by the stranger', 't', 'thing', 'calm', 1, 0, '"calm"', '{}', 'm', 0, 0, 0)`,
      )
      .run()
    stranger.exec('commit')

    expect(await writing).toMatchObject({ id: 'by the stranger' })
    expect(runs).toBe(1)
  })

  test.each<[string, (store: Awaited<ReturnType<typeof openStore>>) => Promise<unknown>]>([
    ['transact', (store) => write(store, { created: [rowOf('a')] })],
    ['postponeTimer', (store) => store.postponeTimer(1, 5, 'x')],
    ['forgetOutcomes', (store) => store.forgetOutcomes(5, 5)],
    ['markChecked', (store) => store.markChecked('thing', '1:x')],
  ])('gives up after busyTimeout with storage_busy: %s', async (_, call) => {
    const { store } = await setup(40)

    const error = await failureOf(call(store))

    expect(error).toMatchObject({ code: 'storage_busy', retryable: true })
    expect(error.message).toContain('SQLITE_BUSY')
  })

  test('can be made again after it gave up', async () => {
    const { store, stranger } = await setup(0)
    await failureOf(write(store, { created: [rowOf('a')] }))

    stranger.exec('rollback')
    await write(store, { created: [rowOf('a')] })

    expect(await store.findResource('a')).toBeDefined()
  })

  test('keeps nobody from reading', async () => {
    const { store } = await setup(0)

    expect(await store.findResource('a')).toBe(undefined)
    expect(await store.read(() => ({ next: () => ({ done: true, value: 7 }) }) as never)).toBe(7)
  })
})

describe('opening, while another connection writes', () => {
  test('waits and succeeds when that is over', async () => {
    const file = temporaryFile()
    const stranger = connect(file)
    stranger.pragma('journal_mode = wal')
    stranger.exec('create table mine (id integer); begin immediate')
    let opened = false

    const opening = openStore(file).finally(() => {
      opened = true
    })
    for (let turn = 0; turn < 20; turn++) await turnOfTheLoop()

    expect(opened).toBe(false)
    stranger.exec('commit')
    expect(await (await opening).findResource('a')).toBe(undefined)
  })

  test('gives up after busyTimeout with storage_busy', async () => {
    const file = temporaryFile()
    const stranger = connect(file)
    stranger.pragma('journal_mode = wal')
    stranger.exec('create table mine (id integer); begin immediate')

    expect(await failureOf(openStore(file, 40))).toMatchObject({ code: 'storage_busy' })
  })

  test('of a file that is migrated does not wait', async () => {
    const { file } = await setup()

    const store = await openStore(file, 0)

    expect(await store.findResource('a')).toBe(undefined)
  })
})

describe('a commit that is refused', () => {
  /** A database in which, while `armed` has a row, an entry breaks a promise of the application's at commit. */
  async function setupRefusal() {
    const database = connect(temporaryFile())
    const engine = await setupEngine({ database })
    database.exec(`
      create table armed (id integer primary key);
      create table parents (id integer primary key);
      create table children (parent_id integer references parents (id) deferrable initially deferred);
      create trigger break_at_commit after insert on pawl_events when exists (select 1 from armed)
      begin insert into children (parent_id) values (404); end;
      insert into armed values (1);
    `)
    const agents = handleOf(engine, 'agents')
    return { database, agents, disarm: () => database.exec('delete from armed') }
  }

  test('is indeterminate, which a retry with the same key settles', async () => {
    const { database, agents, disarm } = await setupRefusal()
    const create = () => agents.create({ name: 'A' }, { idempotencyKey: 'k' })

    const error = await failureOf(create)
    disarm()
    const retried = await create()
    const again = await create()

    expect(error).toMatchObject({ code: 'indeterminate', retryable: true, operation: 'commit' })
    expect(error.message).toMatchInlineSnapshot(
      `"the commit failed and may have happened all the same; retry with the same idempotency key"`,
    )
    expect([retried.replayed, again.replayed]).toEqual([false, true])
    expect(again.resource).toEqual(retried.resource)
    expect(database.prepare('select count(*) from pawl_resources').pluck().get()).toBe(1)
  })

  test('fails all who shared it, and leaves no transaction open', async () => {
    const { database, agents, disarm } = await setupRefusal()

    const calls = ['A', 'B', 'C'].map((name) => failureOf(agents.create({ name })))
    const codes = (await Promise.all(calls)).map(({ code }) => code)

    expect(codes).toEqual(['indeterminate', 'indeterminate', 'indeterminate'])
    expect(database.inTransaction).toBe(false)
    disarm()
    expect((await agents.create({ name: 'D' })).changed).toBe(true)
    expect((await agents.list()).data).toHaveLength(1)
  })
})
