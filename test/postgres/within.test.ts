/** Does a transaction of the application's own, on PostgreSQL, hold what is written through the engine? */

import Sqlite from 'better-sqlite3'
import { Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely'
import { type AnyTransaction, createEngine, type Engine, type EventsOf } from 'pawl'
import type { AgentPlatform } from 'pawl/machines'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { assign, createMachine, emit } from 'xstate'
import type { AnyHandle } from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { OFFLINE } from '../support/offline.ts'
import { isServer, setupSchema } from '../support/postgres.ts'
import { nothing, thing } from '../support/things.ts'
import { gate, until } from '../support/until.ts'

interface Tables {
  readonly notes: { id: string; text: string; big: string }
}

const there = await isServer()

/** An engine, and a Kysely on the same database that has a table for notes. */
async function setup(options: object = {}) {
  const { pool, schema, database } = await setupSchema()
  const engine = (await createEngine({
    ...{ database, durability: 'relaxed', delivery: OFFLINE },
    ...options,
  })) as unknown as Engine<AgentPlatform>
  onTestFinished(() => engine.close())
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool as never }) })
  await db.schema
    .createTable('notes')
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('big', 'bigint', (column) => column.notNull())
    .execute()
  return { engine, db, schema, database }
}

const note = (id: string) => ({ id, text: 'mine', big: '9007199254740993' })

const noted = (db: Kysely<Tables>) => db.selectFrom('notes').selectAll().execute()

async function typesIn(engine: Engine<AgentPlatform>): Promise<string[]> {
  const { data } = await engine.events.list({ order: 'asc' })
  return data.map(({ type }) => type)
}

class Regret extends Error {}

describe.runIf(there)('a transaction of the application', () => {
  test('keeps its own rows and the commands together', async () => {
    const { engine, db } = await setup()

    const agent = await db.transaction().execute(async (trx) => {
      const tx = engine.within(trx)
      expect(tx.db).toBe(trx)
      const { resource } = await tx.agents.create({ name: 'A' })
      await trx.insertInto('notes').values(note(resource.id)).execute()
      const { resource: updated } = await tx.agents.send(resource.id, { type: 'update', name: 'B' })
      expect(await tx.agents.get(resource.id)).toEqual(updated)
      expect(await engine.agents.find(resource.id)).toBeUndefined()
      return updated
    })

    expect(await engine.agents.get(agent.id)).toEqual(agent)
    expect(await noted(db)).toEqual([note(agent.id)])
    expect(await typesIn(engine)).toEqual(['agent.created', 'agent.updated'])
    expect((await engine.verify()).differences).toEqual([])
  })

  test('undoes its own rows and the commands together', async () => {
    const { engine, db } = await setup()

    const error = await caught(() =>
      db.transaction().execute(async (trx) => {
        const { resource } = await engine.within(trx).sessions.create()
        await trx.insertInto('notes').values(note(resource.id)).execute()
        throw new Regret()
      }),
    )

    expect(error).toBeInstanceOf(Regret)
    expect(await noted(db)).toEqual([])
    expect(await typesIn(engine)).toEqual([])
    await engine.sessions.create()
    expect((await engine.verify()).differences).toEqual([])
  })

  test('undoes what is still under way when it ends, and harms nobody else', async () => {
    const { engine, db } = await setup()
    let isOver = false
    const others = Array.from({ length: 4 }, async () => {
      while (!isOver) await engine.agents.create({ name: 'A' })
    })

    for (let round = 0; round < 40; round++) {
      const fails = async (trx: AnyTransaction) => {
        for (let queries = 0; queries < round % 4; queries++) await sql`select 1`.execute(db)
        throw new Regret(`${trx.isTransaction}`)
      }
      const undone = db.transaction().execute((trx) => {
        const forgotten = [
          engine.within(trx).sessions.create(),
          engine.within(trx).sessions.create(),
        ]
        return Promise.all([fails(trx), ...forgotten.map((call) => call.catch(() => {}))])
      })
      expect(await caught(() => undone)).toBeInstanceOf(Regret)
    }
    isOver = true
    await Promise.all(others)

    expect((await engine.sessions.list()).data).toEqual([])
    expect((await engine.verify()).differences).toEqual([])
  })

  test('goes on after a command that is refused', async () => {
    const { engine, db } = await setup()

    const stale = { expectedVersion: 7 }
    const id = await db.transaction().execute(async (trx) => {
      const tx = engine.within(trx)
      const { resource } = await tx.sessions.create()
      const refusal = await failureOf(tx.sessions.send(resource.id, { type: 'start' }, stale))
      expect(refusal.code).toBe('version_conflict')
      const unknown = await failureOf(tx.sessions.get('ses_none'))
      expect(unknown.code).toBe('not_found')
      await trx.insertInto('notes').values(note(resource.id)).execute()
      await tx.sessions.send(resource.id, { type: 'start' })
      return resource.id
    })

    expect((await engine.sessions.get(id)).status).not.toBe('queued')
    expect(await noted(db)).toEqual([note(id)])
    expect((await engine.verify()).differences).toEqual([])
  })

  test('carries what is done in it at the same time, its own rows as well', async () => {
    const { engine, db } = await setup()

    await db.transaction().execute(async (trx) => {
      const tx = engine.within(trx)
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const creating = tx.agents.create({ name: `${index}` })
          const refused = failureOf(tx.agents.send('agent_none', { type: 'delete' }))
          await trx
            .insertInto('notes')
            .values(note(`${index}`))
            .execute()
          await Promise.all([creating, refused])
        }),
      )
    })

    expect(await noted(db)).toHaveLength(20)
    expect(await typesIn(engine)).toHaveLength(20)
    expect((await engine.verify()).differences).toEqual([])
  })

  test('serves tenants, lists, timers and keys like any other', async () => {
    const { engine, db } = await setup()
    const key = { idempotencyKey: 'once' }

    const id = await db.transaction().execute(async (trx) => {
      const tx = engine.within(trx)
      await tx.tenant('acme').agents.create({ name: 'Theirs' })
      const { resource } = await tx.sessions.create({}, key)
      expect((await tx.sessions.create({}, key)).replayed).toBe(true)
      expect((await tx.timers.list()).data).toHaveLength(1)
      expect((await tx.events.list()).data).toHaveLength(1)
      return resource.id
    })

    expect((await engine.sessions.create({}, key)).resource.id).toBe(id)
    expect((await engine.tenant('acme').agents.list()).data).toHaveLength(1)
    expect((await engine.verify()).differences).toEqual([])
  })

  test('can be one that is controlled by hand, with savepoints', async () => {
    const { engine, db } = await setup()
    const trx = await db.startTransaction().execute()
    await engine.within(trx).agents.create({ name: 'kept' })
    const saved = await trx.savepoint('before').execute()
    await engine.within(saved).agents.create({ name: 'undone' })
    const back = await saved.rollbackToSavepoint('before').execute()
    await engine.within(back).agents.create({ name: 'kept as well' })
    await back.commit().execute()

    const { data } = await engine.agents.list({ order: 'asc' })
    expect(data.map(({ name }) => name)).toEqual(['kept', 'kept as well'])
    expect((await engine.verify()).differences).toEqual([])
  })

  test('does not mind how the application has set up its driver and Kysely', async () => {
    const { engine, db, schema } = await setup()
    const types = { getTypeParser: () => (text: string) => `own ${text}` }
    const pool = new pg.Pool({
      ...{ host: '127.0.0.1', user: 'postgres', database: 'postgres' },
      ...{ options: `-c search_path=${schema}`, types: types as never },
    })
    onTestFinished(() => pool.end())
    const logged: string[] = []
    const own = new Kysely<Tables>({
      dialect: new PostgresDialect({ pool }),
      log: ({ query: { sql } }) => void logged.push(`${sql}`),
    })

    const id = await own.transaction().execute(async (trx) => {
      const { resource } = await engine.within(trx).agents.create({ name: 'A' })
      await trx.insertInto('notes').values(note(resource.id)).execute()
      const [row] = await trx.selectFrom('notes').selectAll().execute()
      expect(row?.text).toBe('own mine')
      return resource.id
    })

    expect((await engine.agents.get(id)).version).toBe(1)
    expect(await noted(db)).toHaveLength(1)
    expect(logged.filter((text) => text.includes('pawl_events')).length).toBeGreaterThan(0)
  })

  test('whose view is older than a commit of others is told to try again', async () => {
    const { engine, db } = await setup()
    const snapshot = () => db.transaction().setIsolationLevel('repeatable read')

    const error = await caught(() =>
      snapshot().execute(async (trx) => {
        await trx.selectFrom('notes').selectAll().execute()
        await engine.agents.create({ name: 'first' })
        await engine.within(trx).agents.create({ name: 'second' })
      }),
    )
    await snapshot().execute((trx) => engine.within(trx).agents.create({ name: 'third' }))

    expect(viewOf(error)).toMatchObject({ code: 'storage_busy', retryable: true })
    const { data } = await engine.agents.list({ order: 'asc' })
    expect(data.map(({ name }) => name)).toEqual(['first', 'third'])
    expect((await engine.verify()).differences).toEqual([])
  })

  test('waits for others, who wait for it', async () => {
    const { engine, db } = await setup()
    const [begun, finish] = [gate(), gate()]
    const working = db.transaction().execute(async (trx) => {
      const { resource } = await engine.within(trx).agents.create({ name: 'first' })
      begun.open()
      await finish.opened
      return resource
    })
    await begun.opened
    const other = engine.agents.create({ name: 'second' })
    finish.open()
    await Promise.all([working, other])

    const { data } = await engine.agents.list({ order: 'asc' })
    expect(data.map(({ name }) => name)).toEqual(['first', 'second'])
    expect((await engine.verify()).differences).toEqual([])
  })
})

describe.runIf(there)('what a transaction of the application has written', () => {
  test('is heard of after its commit, and only then', async () => {
    const { engine, db } = await setup()
    const seen: EventsOf<AgentPlatform>[] = []
    const stopper = new AbortController()
    const following = (async () => {
      for await (const event of engine.events.subscribe({ from: 'start', signal: stopper.signal }))
        seen.push(event)
    })()

    await caught(() =>
      db.transaction().execute(async (trx) => {
        await engine.within(trx).agents.create({ name: 'undone' })
        throw new Regret()
      }),
    )
    const { id } = await db.transaction().execute(async (trx) => {
      const { resource } = await engine.within(trx).agents.create({ name: 'kept' })
      expect(seen).toEqual([])
      return resource
    })
    await until(() => seen.length > 0)

    stopper.abort()
    await following
    expect(seen.map(({ resource_id }) => resource_id)).toEqual([id])
  })

  test('has the actions of machines follow, in order, but for those that were undone', async () => {
    const { engine, db, done, id } = await setupCounting()
    const go = (trx: AnyTransaction) => engine.within(trx).things.send(id, { type: 'go' })

    await caught(() =>
      db.transaction().execute(async (trx) => {
        await go(trx)
        throw new Regret()
      }),
    )
    const trx = await db.startTransaction().execute()
    await go(trx)
    await go(trx)
    const saved = await trx.savepoint('before').execute()
    await go(saved)
    await go(await saved.rollbackToSavepoint('before').execute())
    expect(done).toEqual([])
    await trx.commit().execute()
    await until(() => done.length >= 3)

    expect(done).toEqual([1, 2, 3])
    expect((await engine.verify()).differences).toEqual([])
  })
})

interface Counting {
  readonly context: { readonly n: number }
}

/** An engine with one thing that counts how often it is told to go, and says so. */
async function setupCounting() {
  const done: number[] = []
  const say = ({ context }: Counting) => void done.push(context.n)
  const machine = createMachine({
    context: { n: 0 },
    initial: 'calm',
    states: { calm: { on: { go: { actions: [count, emit({ type: 'thing.went' }), say] } } } },
  } as never)
  const parts = { commands: { go: nothing }, events: ['thing.went'] }
  const { engine: any, ...rest } = await setup({ resources: { things: thing(machine, parts) } })
  const engine = any as unknown as Things & {
    within(trx: AnyTransaction): Things
    verify: typeof any.verify
  }
  const { resource } = await engine.things.create({})
  return { ...rest, engine, done, id: resource.id }
}

interface Things {
  readonly things: AnyHandle
}

const count = assign(({ context }: Counting) => ({ n: context.n + 1 }))

describe('what cannot be joined is refused:', () => {
  test('any transaction on SQLite', async () => {
    const engine = await createEngine({ database: ':memory:' })
    onTestFinished(() => engine.close())

    const error = await failureOf(() => engine.within({ getExecutor: () => {} } as never))

    expect(error.code).toBe('transaction_misuse')
    expect(error.message).toContain('use engine.transaction')
  })

  test.runIf(there)('a Kysely without a transaction, and what is no Kysely', async () => {
    const { engine, db } = await setup()

    expect((await failureOf(() => engine.within(db as never))).code).toBe('transaction_misuse')
    for (const other of [null, undefined, {}, 'begin'])
      expect((await failureOf(() => engine.within(other as never))).code).toBe('invalid_input')
  })

  test.runIf(there)('a transaction that has ended', async () => {
    const { engine, db } = await setup()
    const tx = await db.transaction().execute(async (trx) => engine.within(trx))

    const error = await failureOf(tx.agents.create({ name: 'late' }))

    expect(error.code).toBe('transaction_misuse')
    expect(error.message).toContain('it has ended')
    expect(await typesIn(engine)).toEqual([])
  })

  test.runIf(there)('a transaction that an error has undone', async () => {
    const { engine, db } = await setup()

    await caught(() =>
      db.transaction().execute(async (trx) => {
        await caught(() =>
          trx
            .selectFrom('nowhere' as never)
            .selectAll()
            .execute(),
        )
        const error = await failureOf(engine.within(trx).agents.create({ name: 'A' }))
        expect(error.code).toBe('transaction_misuse')
        throw new Regret()
      }),
    )
    expect(await typesIn(engine)).toEqual([])
  })

  test.runIf(there).each([
    ['with another engine on it', (log: string) => `update ${log} set identity = 'another'`],
    ['with none on it', (log: string) => `alter table ${log} rename to gone`],
  ])('a transaction on a database %s', async (_, change) => {
    const { engine, db, schema } = await setup()
    await sql.raw(change(`${schema}.pawl_log`)).execute(db)

    await caught(() =>
      db.transaction().execute(async (trx) => {
        const error = await failureOf(engine.within(trx).agents.create({ name: 'A' }))
        expect(error.code).toBe('transaction_misuse')
        expect(error.message).toContain('another database')
        throw new Regret()
      }),
    )
  })

  test.runIf(there)('a transaction of another driver', async () => {
    const { engine } = await setup()
    const database = new Sqlite(':memory:')
    onTestFinished(() => void database.close())
    const other = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) })

    await other.transaction().execute(async (trx) => {
      const error = await failureOf(engine.within(trx).agents.create({ name: 'A' }))
      expect(error.code).toBe('transaction_misuse')
      expect(error.message).toContain('PostgresDialect')
    })
  })

  test.runIf(there)('every use after the end of the engine', async () => {
    const { engine, db } = await setup()

    await db.transaction().execute(async (trx) => {
      const tx = engine.within(trx)
      await engine.close()
      expect((await failureOf(tx.agents.create({ name: 'A' }))).code).toBe('closed')
      expect((await failureOf(() => engine.within(trx))).code).toBe('closed')
    })
  })
})
