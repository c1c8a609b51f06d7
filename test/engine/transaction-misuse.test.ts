import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type AnyEngine,
  type AnyTransaction,
  expectVerified,
  fullLog,
  handleOf,
  openEngine,
  publicLog,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { notesIn } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { fail, note, setup } from '../support/transactions.ts'
import { makeAgent, makeSession } from '../support/world.ts'

describe('a misuse is refused:', () => {
  test.each<[string, (engine: AnyEngine, id: string) => unknown]>([
    ['a create', (engine) => handleOf(engine, 'agents').create({ name: 'outer' })],
    ['a command', (engine, id) => handleOf(engine, 'agents').send(id, { type: 'delete' })],
    ['a read', (engine, id) => handleOf(engine, 'agents').get(id)],
    ['a list', (engine) => engine.events.list()],
    ['a tenant', (engine) => handleOf(engine.tenant('acme'), 'agents').create({ name: 'outer' })],
    ['a transaction', (engine) => engine.transaction(() => 5)],
  ])('%s of the outer handle inside', async (_, call) => {
    const { engine } = await setup()
    const { id } = await makeAgent(engine)

    const error = await failureOf(
      engine.transaction(async (tx) => {
        await handleOf(tx, 'sessions').create({})
        await call(engine, id)
      }),
    )

    expect(error).toMatchObject({ code: 'transaction_misuse', retryable: false })
    expect(typesOf(await publicLog(engine))).toEqual(['agent.created'])
    expect((await makeAgent(engine)).version).toBe(1)
  })

  test.each(['commits', 'rolls back'])('its handle, after it %s', async (how) => {
    const { engine, raw } = await setup()
    const { id } = await makeAgent(engine)
    let kept: AnyTransaction | undefined
    const working = engine.transaction(async (tx) => {
      kept = tx
      if (how === 'rolls back') fail()
    })
    await working.catch(() => {})

    const calls = [
      async (tx: AnyTransaction) => handleOf(tx, 'agents').create({ name: 'late' }),
      async (tx: AnyTransaction) => handleOf(tx, 'agents').send(id, { type: 'delete' }),
      async (tx: AnyTransaction) => handleOf(tx, 'agents').get(id),
      async (tx: AnyTransaction) => note(tx, id),
    ]

    for (const call of calls) {
      const error = await failureOf(async () => call(kept as AnyTransaction))
      expect(error.code).toBe('transaction_misuse')
    }
    expect(notesIn(raw)).toEqual([])
    expect(await publicLog(engine)).toHaveLength(1)
  })

  test('a call that nobody waits for is there as a whole or not at all', async () => {
    const { engine } = await setup()
    const calls: Promise<unknown>[] = []

    await engine.transaction((tx) => {
      calls.push(handleOf(tx, 'sessions').create({}))
    })
    const [result] = await Promise.allSettled(calls)

    expect(await fullLog(engine)).toHaveLength(result?.status === 'fulfilled' ? 1 : 0)
    expect((await makeSession(engine)).status).toBe('queued')
    await expectVerified(engine)
  })

  test('a body that is no function, and a closed engine', async () => {
    const engine = await openEngine()
    const body = 'begin' as unknown as () => void
    expect((await failureOf(async () => engine.transaction(body))).code).toBe('invalid_input')

    await engine.close()

    expect((await failureOf(async () => engine.transaction(() => 5))).code).toBe('closed')
  })
})

test('an open Database of the application serves both, in one transaction', async () => {
  const database = new Sqlite(temporaryFile())
  onTestFinished(() => void database.close())
  database.exec('create table notes (id text, text text, n integer)')
  const engine = await setupEngine({ database })

  const { resource } = await engine.transaction(async (tx) => {
    const outcome = await handleOf(tx, 'agents').create({ name: 'A' })
    await note(tx, outcome.resource.id)
    expect(database.inTransaction).toBe(true)
    return outcome
  })
  await caught(() => engine.transaction((tx) => note(tx, 'gone').then(fail)))

  expect(database.inTransaction).toBe(false)
  expect(notesIn(database)).toEqual([{ id: resource.id, text: 'mine', n: 1 }])
})
