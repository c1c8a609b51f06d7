import { describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../../src/index.ts'
import { postgres } from '../../../src/postgres.ts'
import { type AnyEngine, expectVerified, handleOf } from '../../support/engine.ts'
import { failureOf } from '../../support/errors.ts'
import { OFFLINE } from '../../support/offline.ts'
import { gate, until } from '../../support/until.ts'
import { asPool, createPool } from './connections.ts'
import { hasServer, setupPlace } from './servers.ts'

/** An engine on a pool of so many connections, which a test uses as well. */
async function setup(max: number, busyTimeout = 10_000) {
  const { schema, raw } = setupPlace()
  const pool = createPool(schema, { max })
  onTestFinished(() => pool.end())
  const database = postgres(asPool(pool), { schema })
  const engine: unknown = await createEngine({ database, busyTimeout, delivery: OFFLINE })
  onTestFinished(() => (engine as AnyEngine).close())
  const agents = handleOf(engine as AnyEngine, 'agents')
  return { engine: engine as AnyEngine, agents, pool, raw }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Reads all events as they come. */
function follow(engine: AnyEngine): number[] {
  const seqs: number[] = []
  void (async () => {
    for await (const { seq } of engine.events.subscribe({ from: 'start' })) seqs.push(seq)
  })()
  return seqs
}

describe.runIf(await hasServer('crowded pools'))('a pool', () => {
  test.each([1, 2])(
    'of %s serves many calls, transactions, consumers and followers',
    async (max) => {
      const { engine, agents } = await setup(max)
      await engine.start()
      const consumed = [new Set<string>(), new Set<string>()]
      for (const [index, seen] of consumed.entries()) {
        void engine.consume(`consumer ${index}`, {}, async ({ id, type, data }, { tx }) => {
          const isFirst = type === 'agent.created' && data.name === 'call 0' && index === 0
          if (isFirst) await handleOf(tx, 'agents').create({ name: 'of a handler' })
          seen.add(id)
        })
      }
      const seqs = follow(engine)

      const calls = numbers(40).map((n) => agents.create({ name: `call ${n}` }))
      const transactions = numbers(40).map((n) =>
        engine.transaction(async (tx) => {
          await handleOf(tx, 'agents').create({ name: `transaction ${n}` })
          await handleOf(tx, 'agents').list()
        }),
      )
      const reads = numbers(40).map(() => engine.events.list({ limit: 10 }))
      await Promise.all([...calls, ...transactions, ...reads])
      const all = 81
      await until(() => consumed.every(({ size }) => size === all), 'the last event')
      await until(() => seqs.length === all, 'the last event of the follower')

      expect(seqs).toEqual(numbers(all).map((n) => n + 1))
      await expectVerified(engine)
    },
  )

  test('of which somebody has every connection turns calls away in time, and serves them afterwards', async () => {
    const { engine, agents, pool } = await setup(1, 300)
    const client = await pool.connect()
    const began = performance.now()

    const calls = [
      () => agents.create({ name: 'A' }),
      async () => agents.list(),
      () => engine.transaction((tx) => handleOf(tx, 'agents').create({ name: 'B' })),
    ]
    const errors = await Promise.all(calls.map(failureOf))
    const took = performance.now() - began
    client.release()
    await Promise.all(calls.map((call) => call()))

    expect(errors).toMatchObject(calls.map(() => ({ code: 'storage_busy', retryable: true })))
    expect(took).toBeLessThan(5000)
    expect(pool.waitingCount).toBe(0)
    const { data } = await agents.list({ order: 'asc' })
    expect(data.map(({ name }) => name).toSorted()).toEqual(['A', 'B'])
    await expectVerified(engine)
  })

  test('whose one connection a transaction has lets the calls beside it wait', async () => {
    const { engine, agents } = await setup(1)
    const { opened, open } = gate()

    const transaction = engine.transaction(async (tx) => {
      await handleOf(tx, 'agents').create({ name: 'A' })
      await opened
    })
    const call = agents.create({ name: 'B' })
    const read = agents.list()
    open()
    await Promise.all([transaction, call, read])

    expect((await agents.list()).data).toHaveLength(2)
  })

  test('of which somebody has every connection is waited for by nobody after the end', async () => {
    const { engine, agents, pool } = await setup(1)
    const client = await pool.connect()
    onTestFinished(() => client.release())
    const read = failureOf(() => agents.list())

    await engine.close()

    expect(await read).toMatchObject({ code: 'closed' })
  })

  test('is used up by nobody when calls fail', async () => {
    const { engine, agents, pool } = await setup(2)

    const failing = numbers(10).flatMap(() => [
      failureOf(agents.send('agt_nobody', { type: 'update', name: 'A' })),
      engine.transaction(() => Promise.reject(new Error('no'))).catch(() => {}),
      engine.transaction(async (tx) => {
        await failureOf(handleOf(tx, 'agents').send('agt_nobody', { type: 'update', name: 'A' }))
      }),
    ])
    await Promise.all(failing)
    await agents.create({ name: 'A' })

    expect(pool.totalCount - pool.idleCount).toBe(0)
    await expectVerified(engine)
  })
})
