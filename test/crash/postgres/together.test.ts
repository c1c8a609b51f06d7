import { describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../../src/index.ts'
import { postgres } from '../../../src/postgres.ts'
import type { ClientQuery, Pool } from '../../../src/store/postgres/session.ts'
import {
  type AnyEngine,
  type AnyTransaction,
  expectVerified,
  handleOf,
} from '../../support/engine.ts'
import { failureOf } from '../../support/errors.ts'
import { OFFLINE } from '../../support/offline.ts'
import { gate, isSoon } from '../../support/until.ts'
import { asPool, createPool } from './connections.ts'
import { hasServer, setupPlace } from './servers.ts'

/** Engines on one database, each as in a process of its own. */
async function setup(count: number, options: object = {}) {
  const { database, schema } = setupPlace()
  const engines: AnyEngine[] = []
  for (let index = 0; index < count; index++) {
    const given = { database: database({ max: 8 }), delivery: OFFLINE, ...options }
    const engine = (await createEngine(given)) as unknown as AnyEngine
    onTestFinished(() => engine.close())
    engines.push(engine)
  }
  const [engine, other = engine] = engines as [AnyEngine, ...AnyEngine[]]
  const agent = await create(engine, 'agents', { name: 'A' })
  const task = await create(engine, 'tasks', { name: 'T', agent_id: agent })
  return { engine, other, engines, agent, task, schema }
}

/** An engine beside others that can be halted where it has decided, before it locks the end of the log. */
async function setupHalting(schema: string) {
  const pool = createPool(schema, { max: 2 })
  onTestFinished(() => pool.end())
  let halting: { readonly come: () => void; readonly end: Promise<void> } | null = null
  const connect: Pool['connect'] = async () => {
    const client = await asPool(pool).connect()
    const query = async (config: ClientQuery) => {
      if (halting !== null && isHead(config.text)) {
        const { come, end } = halting
        halting = null
        come()
        await end
      }
      return client.query(config)
    }
    return { query, release: (destroy) => client.release(destroy) }
  }
  const database = postgres({ connect, end: async () => {} }, { schema })
  const engine = (await createEngine({ database, delivery: OFFLINE })) as unknown as AnyEngine
  onTestFinished(() => engine.close())
  const halt = () => {
    const [come, end] = [gate(), gate()]
    halting = { come: come.open, end: end.opened }
    return { halted: come.opened, goOn: end.open }
  }
  return { halting: engine, halt }
}

const isHead = (text: string) => /pawl_log/.test(text) && text.endsWith('update')

async function create(on: AnyEngine | AnyTransaction, property: string, input: object) {
  return (await handleOf(on, property).create(input)).resource.id
}

const rename = (on: AnyEngine | AnyTransaction, id: string, name: string) =>
  handleOf(on, 'agents').send(id, { type: 'update', name })

const promote = (on: AnyEngine | AnyTransaction, id: string) =>
  handleOf(on, 'tasks').send(id, { type: 'promote' })

describe.runIf(await hasServer('engines that work together'))('engines on one database', () => {
  test('let a resource be changed to which many others are just being made to refer', async () => {
    const { engine, engines, agent } = await setup(4, { busyTimeout: 8000 })
    let isOver = false
    const making = engines.slice(1).flatMap((one) =>
      Array.from({ length: 4 }, async () => {
        while (!isOver) await create(one, 'tasks', { name: 'T', agent_id: agent })
      }),
    )

    const began = performance.now()
    for (const name of ['1', '2', '3', '4', '5']) await rename(engine, agent, name)
    const took = performance.now() - began
    isOver = true
    await Promise.all(making)

    expect(took).toBeLessThan(5000)
    expect((await handleOf(engine, 'agents').get(agent)).name).toBe('5')
    await expectVerified(engine)
  })

  test.each([
    ['what is to refer to it was decided before', 'make', 'end'],
    ['its end was decided before', 'end', 'make'],
  ] as const)('leave nothing that refers to what has ended: %s', async (_, late, early) => {
    const { engine, schema } = await setup(1)
    const { halting, halt } = await setupHalting(schema)
    const agent = await create(engine, 'agents', { name: 'B' })
    const calls = {
      make: (on: AnyEngine) => create(on, 'tasks', { name: 'U', agent_id: agent }),
      end: (on: AnyEngine) => handleOf(on, 'agents').send(agent, { type: 'delete' }),
    }

    const { halted, goOn } = halt()
    const answer = failureOf(calls[late](halting))
    await halted
    await calls[early](engine)
    goOn()

    expect(await answer).toMatchObject({
      ...{ code: 'illegal_transition', reason: late === 'make' ? 'reference' : 'in_use' },
    })
    await expectVerified(engine)
  })

  test('wait in a transaction for what it refers to', async () => {
    const { engine, other, agent } = await setup(2)
    const [changed, goOn] = [gate(), gate()]
    const first = engine.transaction(async (tx) => {
      await rename(tx, agent, 'B')
      changed.open()
      await goOn.opened
    })
    await changed.opened

    const second = other.transaction((tx) => create(tx, 'tasks', { name: 'U', agent_id: agent }))
    goOn.open()
    await Promise.all([first, second])

    await expectVerified(engine)
  })

  test('have transactions of which each waits for the other both come to their end', async () => {
    const { engine, other, agent, task } = await setup(2, { busyTimeout: 10_000 })
    const [begun, goOn] = [gate(), gate()]
    const began = performance.now()
    const first = engine.transaction(async (tx) => {
      await promote(tx, task)
      begun.open()
      await goOn.opened
      await rename(tx, agent, 'B')
    })
    await begun.opened

    // It gets the agent, and waits for the end of the log.
    const second = other.transaction((tx) => rename(tx, agent, 'C'))
    const third = create(other, 'agents', { name: 'nobody waits for it' })
    await isSoon(second, 150)
    goOn.open()
    await Promise.all([first, second, third])

    expect(performance.now() - began).toBeLessThan(5000)
    expect((await handleOf(engine, 'agents').get(agent)).name).toBe('C')
    await expectVerified(engine)
  })

  test('are kept waiting by no command that a transaction was refused', async () => {
    const { engine, other, task } = await setup(2, { busyTimeout: 1000 })
    const [refused, goOn] = [gate(), gate()]
    const lasting = engine.transaction(async (tx) => {
      const error = await failureOf(handleOf(tx, 'tasks').send(task, { type: 'demote' }))
      refused.open()
      await goOn.opened
      return error
    })
    await refused.opened

    const { changed } = await promote(other, task)
    goOn.open()

    expect(changed).toBe(true)
    expect(await lasting).toMatchObject({ code: 'illegal_transition' })
  })
})
