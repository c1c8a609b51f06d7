import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMachine, emit } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { fullLog, handleOf, setupEngine } from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { thing } from '../support/things.ts'
import { makeSession } from '../support/world.ts'

function openDatabase(): Sqlite.Database {
  const database = new Sqlite(temporaryFile())
  onTestFinished(() => void database.close())
  return database
}

test('a transaction that fails right after it has begun gives the database back', async () => {
  const database = openDatabase()
  const engine = await setupEngine({ database })
  await makeSession(engine)
  database.exec('alter table pawl_log rename to away')

  expect((await failureOf(() => engine.transaction(async () => 5))).code).toBe('storage_failed')

  expect(database.inTransaction).toBe(false)
  database.exec('alter table away rename to pawl_log')
  await makeSession(engine)
  expect(await fullLog(engine)).toHaveLength(2)
})

test('a part that cannot be kept is not kept with the rest', async () => {
  const database = openDatabase()
  const guard = () => {
    database.exec('release pawl')
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
  const { id } = (await handleOf(engine, 'things').create({})).resource

  const committing = engine.transaction(async (tx) => {
    expect((await failureOf(() => handleOf(tx, 'things').send(id, { type: 'go' }))).code).toBe(
      'storage_failed',
    )
  })

  await expect(committing).rejects.toMatchObject({ code: 'indeterminate' })
  expect(await fullLog(engine)).toHaveLength(1)
})

describe('a transaction that the database has undone', () => {
  test('says with which error, to each of its calls', async () => {
    const database = openDatabase()
    const engine = await setupEngine({ database })
    database.exec(`
      create trigger refusing before insert on pawl_events when new.type = 'agent.created'
      begin select raise(rollback, 'no agents here'); end`)

    const found = await caught(() =>
      engine.transaction(async (tx) => {
        const calls = [
          handleOf(tx, 'sessions').create({}),
          handleOf(tx, 'agents').create({ name: 'A' }),
        ]
        const settled = await Promise.allSettled(calls)
        for (const one of settled)
          expect(one).toHaveProperty('reason.message', expect.stringContaining('no agents here'))
        throw (settled[0] as PromiseRejectedResult).reason
      }),
    )

    expect(found).toHaveProperty('message', expect.stringContaining('no agents here'))
    expect(await fullLog(engine)).toEqual([])
  })
})
