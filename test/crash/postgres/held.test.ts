import { sql } from 'kysely'
import type pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentPlatform } from '../../../machines/index.ts'
import { createEngine } from '../../../src/index.ts'
import {
  type AnyEngine,
  type AnyTransaction,
  expectVerified,
  fullLog,
  handleOf,
} from '../../support/engine.ts'
import { failureOf } from '../../support/errors.ts'
import { OFFLINE } from '../../support/offline.ts'
import { until } from '../../support/until.ts'
import { hasServer, setupPlace } from './servers.ts'

const BUSY_MS = 400
const SESSIONS_MS = 300

/** An engine that does not wait for long, with an agent, and somebody else on the same database. */
async function setup(options = '') {
  const { database, schema, raw } = setupPlace()
  // To make the tables takes longer than some of the options allow.
  await (await createEngine({ database: database() })).close()
  const engine = (await createEngine({
    ...{ database: database({ options }), busyTimeout: BUSY_MS, delivery: OFFLINE },
    resources: agentPlatform({ timeouts: { session_provisioning: SESSIONS_MS } }),
  })) as unknown as AnyEngine
  onTestFinished(() => engine.close())
  const { id } = (await handleOf(engine, 'agents').create({ name: 'A' })).resource
  const other = await raw.connect()
  onTestFinished(() => other.release())
  return { engine, id, other, schema }
}

/** Somebody holds this until `end`. */
async function hold(other: pg.PoolClient, statement: string) {
  await other.query('begin')
  await other.query(statement)
  return async () => void (await other.query('rollback'))
}

const rename = (within: AnyEngine | AnyTransaction, id: string, name = 'B') =>
  handleOf(within, 'agents').send(id, { type: 'update', name })

const HELD = [
  ['the end of the log', 'select * from pawl_log for update'],
  ['the resource', 'select * from pawl_resources for update'],
  ['a table', 'lock table pawl_events in share mode'],
] as const

const WAYS = [
  ['a call', rename],
  ['a transaction', (engine: AnyEngine, id: string) => engine.transaction((tx) => rename(tx, id))],
] as const

const CASES = HELD.flatMap(([what, statement]) =>
  WAYS.map(([way, call]) => [way, what, statement, call] as const),
)

describe.runIf(await hasServer('held locks'))('what somebody else holds for long', () => {
  test.each(CASES)(
    'turns away %s that needs %s, and nothing is written',
    async (_, __, statement, call) => {
      const { engine, id, other } = await setup()
      const end = await hold(other, statement)
      const before = await fullLog(engine)
      const began = performance.now()

      const error = await failureOf(() => call(engine, id))
      const took = performance.now() - began

      expect(error).toMatchObject({ code: 'storage_busy', retryable: true })
      expect(took).toBeGreaterThan(BUSY_MS * 0.9)
      expect(took).toBeLessThan(BUSY_MS * 5)
      expect(await fullLog(engine)).toEqual(before)
      await end()
      await call(engine, id)
      await expectVerified(engine)
    },
  )

  test('turns away nobody who needs something else', async () => {
    const { engine, id, other } = await setup()
    const end = await hold(other, `select * from pawl_resources where id = '${id}' for update`)

    const { resource } = await handleOf(engine, 'agents').create({ name: 'C' })
    const { changed } = await rename(engine, resource.id)
    await end()

    expect(changed).toBe(true)
  })

  test('holds up no timer but its own', async () => {
    const { engine, other } = await setup()
    const sessions = handleOf(engine, 'sessions')
    const [held = '', free = ''] = await Promise.all(
      [0, 1].map(async () => (await sessions.create({})).resource.id),
    )
    const statusOf = async (id: string) => (await sessions.get(id)).status
    await engine.start()
    const end = await hold(other, `select * from pawl_resources where id = '${held}' for update`)

    await until(async () => (await statusOf(free)) === 'failed', 'the timer of another session')
    const meanwhile = await statusOf(held)
    await end()
    await until(async () => (await statusOf(held)) === 'failed', 'the timer that was held up')

    expect(meanwhile).toBe('queued')
    await expectVerified(engine)
  })

  test('turns calls away at once where statements may not take long', async () => {
    const { engine, id, other } = await setup('-c statement_timeout=100')
    const end = await hold(other, 'select * from pawl_log for update')

    const errors = [
      await failureOf(() => rename(engine, id)),
      await failureOf(() => engine.transaction((tx) => rename(tx, id))),
    ]
    await end()
    const { changed } = await rename(engine, id)

    expect(errors).toMatchObject(errors.map(() => ({ code: 'storage_busy', retryable: true })))
    expect(changed).toBe(true)
    await expectVerified(engine)
  })

  test('is not what an error of the application is taken for', async () => {
    const { engine } = await setup()

    const error = await failureOf(engine.transaction((tx) => sql`select 1 / 0`.execute(tx.db)))

    expect(error).toMatchObject({ code: 'storage_failed', retryable: false })
  })
})
