import Sqlite from 'better-sqlite3'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMachine, emit } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import {
  type AnyTestEngine,
  type AnyTransaction,
  expectVerified,
  fullLog,
  handleOf,
  setupEngine,
} from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { notesIn, openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { thing } from '../support/things.ts'
import { note } from '../support/transactions.ts'
import { until } from '../support/until.ts'
import { makeSession } from '../support/world.ts'

/**
 * An engine on the application's own connection, with a thing whose machine does something to that connection
 * before it decides, and another connection that sees only what has been committed.
 */
async function setup(meddle: (database: Sqlite.Database) => void = () => {}) {
  const file = temporaryFile()
  const database = new Sqlite(file)
  onTestFinished(() => void database.close())
  database.exec('create table notes (id text, text text, n integer)')
  const guard = () => {
    meddle(database)
    return true
  }
  const on = { go: { guard, actions: emit({ type: 'thing.went' }) } }
  const machine = createMachine({
    context: {},
    initial: 'calm',
    states: { calm: { on } },
  } as object)
  const things = thing(machine, { events: ['thing.went'] })
  const engine = await setupEngine({ database, resources: { ...agentPlatform(), things } })
  return { engine, database, raw: openRaw(file) }
}

function fail(): never {
  throw new Error('the machine has had enough')
}

/** Checks that nothing has been written since the log had so many entries, and that all goes on. */
async function expectNothingSince(
  { engine, database, raw }: Awaited<ReturnType<typeof setup>>,
  entries = 0,
): Promise<void> {
  expect(database.inTransaction).toBe(false)
  expect(notesIn(raw)).toEqual([])
  expect(raw.prepare('select count(*) from pawl_events').pluck().get()).toBe(entries)
  await makeSession(engine)
  expect(await fullLog(engine)).toHaveLength(entries + 1)
  await expectVerified(engine)
}

describe('where a part of a transaction cannot be undone, since its savepoint is gone,', () => {
  /** Sends a command that fails, in a transaction that has written something before. */
  async function failingPart(meddle: (database: Sqlite.Database) => void) {
    const world = await setup(meddle)
    const { id } = (await handleOf(world.engine, 'things').create({})).resource
    const seen: { part?: unknown; after?: unknown } = {}
    const whole = await caught(() =>
      world.engine.transaction(async (tx) => {
        await note(tx, 'before')
        await makeSessionIn(tx)
        seen.part = await caught(() => handleOf(tx, 'things').send(id, { type: 'go' }))
        seen.after = await caught(() => note(tx, 'after'))
      }),
    )
    return { world, ...seen, whole }
  }

  test.each<[string, (database: Sqlite.Database) => void]>([
    ['released', (database) => void database.exec('release pawl')],
    ['in another transaction', (database) => void database.exec('rollback; begin')],
  ])('%s, the whole is undone, and the caller hears of what came first', async (_, meddle) => {
    const { world, part, after, whole } = await failingPart((database) => {
      meddle(database)
      fail()
    })

    expect(part).toMatchObject({ code: 'machine_invalid' })
    expect(String((part as Error).message)).toContain('the machine has had enough')
    expect(after).toMatchObject({ code: 'transaction_misuse' })
    expect(whole).toMatchObject({ code: 'indeterminate' })
    await expectNothingSince(world, 1)
  })

  test('undone by its own statement, the caller hears of what came first', async () => {
    const { world, part, after } = await failingPart((database) => {
      database.exec('rollback')
      fail()
    })

    expect(part).toMatchObject({ code: 'machine_invalid' })
    expect(after).toMatchObject({ code: 'transaction_misuse' })
    await expectNothingSince(world, 1)
  })
})

describe('where a trigger of the application rolls back what the engine writes,', () => {
  const TRIGGERS = {
    'by raise(rollback)': `
      create trigger refusing before insert on pawl_events when new.type = 'agent.created'
      begin select raise(rollback, 'no agents here'); end`,
    'by its conflict clause': `
      create table agents_seen (type text not null unique on conflict rollback);
      insert into agents_seen values ('agent');
      create trigger seeing after insert on pawl_resources when new.type = 'agent'
      begin insert into agents_seen values (new.type); end`,
  }

  test.each(Object.entries(TRIGGERS))(
    '%s: a transaction is undone as a whole',
    async (_, trigger) => {
      const world = await setup()
      world.database.exec(trigger)
      let [part, after]: unknown[] = []

      const error = await failureOf(
        world.engine.transaction(async (tx) => {
          await note(tx, 'before')
          await makeSessionIn(tx)
          part = await caught(() => handleOf(tx, 'agents').create({ name: 'A' }))
          after = await caught(() => makeSessionIn(tx))
          throw part
        }),
      )

      expect(part).toMatchObject({ code: 'storage_failed' })
      expect(String((part as Error).message)).toMatch(/no agents here|agents_seen/)
      expect(after).toMatchObject({ code: 'transaction_misuse' })
      expect(error).toMatchObject({ code: 'storage_failed' })
      await expectNothingSince(world)
    },
  )

  test.each(Object.entries(TRIGGERS))('%s: it takes no call with it', async (_, trigger) => {
    const world = await setup()
    world.database.exec(trigger)

    const [first, agent, last] = await Promise.allSettled([
      makeSession(world.engine),
      handleOf(world.engine, 'agents').create({ name: 'A' }),
      makeSession(world.engine),
    ])

    expect([first?.status, last?.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(agent).toMatchObject({ status: 'rejected', reason: { code: 'storage_failed' } })
    await expectNothingSince(world, 2)
  })
})

describe('where a statement of the application ends the transaction by its conflict,', () => {
  const STATEMENTS = {
    'on conflict rollback': [
      'create table once (id integer unique on conflict rollback)',
      'insert into once values (1)',
    ],
    'insert or rollback': [
      'create table once (id integer unique)',
      'insert or rollback into once values (1)',
    ],
    'raise(rollback)': [
      `create table once (id integer);
       create trigger only_once before insert on once when exists (select 1 from once)
       begin select raise(rollback, 'only once'); end`,
      'insert into once values (1)',
    ],
  } as const

  test.each(Object.entries(STATEMENTS))(
    '%s: what is done afterwards is refused, and nothing is committed',
    async (_, [schema, insert]) => {
      const world = await setup()
      world.database.exec(schema)
      const found: unknown[] = []

      const whole = await caught(() =>
        world.engine.transaction(async (tx) => {
          await makeSessionIn(tx)
          await note(tx, 'before')
          await insertOnce(tx, insert)
          found.push(await caught(() => insertOnce(tx, insert)))
          found.push(await caught(() => makeSessionIn(tx)))
          found.push(await caught(() => note(tx, 'after')))
        }),
      )

      const misuse = expect.objectContaining({ code: 'transaction_misuse' })
      expect(found).toEqual([expect.objectContaining({ code: 'storage_failed' }), misuse, misuse])
      expect(whole).toMatchObject({ code: 'indeterminate' })
      expect(world.raw.prepare('select count(*) from once').pluck().get()).toBe(0)
      await expectNothingSince(world)
    },
  )

  test('a handler of a consumer that meets it is tried again, its position where it was', async () => {
    const world = await setup()
    const [schema, insert] = STATEMENTS['on conflict rollback']
    world.database.exec(schema)
    await makeSession(world.engine)
    const stop = new AbortController()
    const attempts: number[] = []

    const consuming = world.engine.consume(
      'once',
      { signal: stop.signal },
      async (_event, { tx, attempt }) => {
        attempts.push(attempt)
        await note(tx, 'mine')
        await insertOnce(tx, insert)
        if (attempt > 1) stop.abort()
        else await insertOnce(tx, insert)
      },
    )
    await until(() => hasFailed(world.engine), 'the first failure of the handler')
    await world.engine.clock.advance('1s')
    await consuming

    expect(attempts).toEqual([1, 2])
    expect(notesIn(world.raw)).toHaveLength(1)
    expect(world.raw.prepare('select count(*) from once').pluck().get()).toBe(1)
  })
})

function insertOnce(tx: AnyTransaction, insert: string): Promise<unknown> {
  return sql.raw(insert).execute(tx.db)
}

function makeSessionIn(tx: AnyTransaction): Promise<unknown> {
  return handleOf(tx, 'sessions').create({})
}

/** Whether the only consumer has failed and waits for its next attempt. */
async function hasFailed(engine: AnyTestEngine): Promise<boolean> {
  const [consumer] = (await engine.consumers.list()) as { last_error: string | null }[]
  return typeof consumer?.last_error === 'string'
}
