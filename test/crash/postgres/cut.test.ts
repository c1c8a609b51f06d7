import type { PoolConfig } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../../src/index.ts'
import { postgres } from '../../../src/postgres.ts'
import { type AnyEngine, collect, expectVerified, handleOf } from '../../support/engine.ts'
import { failureOf, viewOf } from '../../support/errors.ts'
import { OFFLINE } from '../../support/offline.ts'
import { until } from '../../support/until.ts'
import { isBegin, isCommit } from './connections.ts'
import { COMMIT_BYTES, setupCutPool } from './cuts.ts'
import { hasServer, setupPlace } from './servers.ts'

/** An engine whose one connection can be cut. */
async function setup(given: Partial<PoolConfig> = {}) {
  const { schema, raw } = setupPlace()
  const { pool, ...cuts } = await setupCutPool(schema, given)
  const engine = await createEngine({ database: postgres(pool, { schema }), delivery: OFFLINE })
  onTestFinished(() => engine.close())
  return { engine: engine as unknown as AnyEngine, raw, ...cuts }
}

const { sent, answered } = COMMIT_BYTES

const PLACES = [
  ['before any of it was sent', 0, false],
  ['in the middle of being sent', 7, false],
  ['one byte too early', sent - 1, false],
  ['once it was sent', sent, true],
  ['in the middle of the answer', sent + 7, true],
  ['one byte before the end of the answer', sent + answered - 1, true],
] as const

async function namesOf(engine: AnyEngine): Promise<unknown[]> {
  return (await collect(await handleOf(engine, 'agents').list({ order: 'asc' }))).map(
    ({ name }) => name,
  )
}

describe.runIf(await hasServer('connections that are cut'))('a connection that is cut', () => {
  test.each(PLACES)(
    'in a commit, %s, leaves a call that its key settles',
    async (_, bytes, happens) => {
      const { engine, cutNext } = await setup()
      const create = () => handleOf(engine, 'agents').create({ name: 'A' }, { idempotencyKey: 'k' })

      cutNext({ at: isCommit, bytes })
      const error = await failureOf(create)
      const { replayed } = await create()

      expect(error).toMatchObject({ code: 'indeterminate', retryable: true, operation: 'commit' })
      expect(replayed).toBe(happens)
      expect(await namesOf(engine)).toEqual(['A'])
      await expectVerified(engine)
    },
  )

  test.each(PLACES)(
    'in the commit of a transaction, %s, takes all of it or nothing',
    async (_, bytes, happens) => {
      const { engine, raw, cutNext } = await setup()
      await raw.query('create table notes (text text primary key)')
      const note = () =>
        engine.transaction(async (tx) => {
          const agent = await handleOf(tx, 'agents').create({ name: 'A' }, { idempotencyKey: 'k' })
          const row = { id: 'n', text: 'A', n: 1 }
          if (!agent.replayed)
            await tx.db
              .insertInto('notes')
              .values({ text: row.text } as typeof row)
              .execute()
          return agent.replayed
        })

      cutNext({ at: isCommit, bytes })
      const error = await failureOf(note)
      const replayed = await note()

      expect(error).toMatchObject({ code: 'indeterminate', retryable: true })
      expect(replayed).toBe(happens)
      expect(await namesOf(engine)).toEqual(['A'])
      expect((await raw.query('select text from notes')).rows).toEqual([{ text: 'A' }])
      await expectVerified(engine)
    },
  )

  test('when nothing is to be kept takes no answer with it', async () => {
    const { engine, cutNext, lost } = await setup()
    const { id } = (await handleOf(engine, 'agents').create({ name: 'A' })).resource
    const isEnd = (text: string) => text === 'commit' || text === 'rollback'

    cutNext({ at: isEnd, bytes: 0 })
    const error = await failureOf(
      handleOf(engine, 'agents').send(id, { type: 'update', name: 'B' }, { expectedVersion: 9 }),
    )
    cutNext({ at: isEnd, bytes: 0 })
    const { ok } = await engine.verify()

    expect(error).toMatchObject({ code: 'version_conflict' })
    expect(ok).toBe(true)
    expect(lost()).toBe(2)
  })

  test('in a commit of a consumer, at any place of it, has no event handled twice or not at all', async () => {
    const { engine, raw, cutNext } = await setup()
    await raw.query('create table notes (id text, text text, n int)')
    for (const [name] of PLACES) await handleOf(engine, 'agents').create({ name })
    const bytes = PLACES.map(([, place]) => place)
    let tried = 0
    void engine.consume('copier', { type: 'agent.created' }, async ({ data, seq }, { tx }) => {
      tried += 1
      await tx.db
        .insertInto('notes')
        .values({ id: `${data.name}`, text: '', n: seq })
        .execute()
      const place = bytes.shift()
      if (place !== undefined) cutNext({ at: isCommit, bytes: place })
    })

    const copied = async () => (await raw.query('select id from notes order by n')).rows
    await until(async () => (await copied()).length >= PLACES.length, 'the last copy')
    await engine.close()

    expect((await copied()).map(({ id }) => id)).toEqual(PLACES.map(([name]) => name))
    expect(tried).toBeGreaterThan(PLACES.length)
  })

  test.each([false, true])(
    'anywhere has a call happen once; queries sent ahead: %s',
    async (pipeline) => {
      const { engine, cutNext, isWaiting, lost } = await setup({ pipeline })
      const { resource } = await handleOf(engine, 'agents').create({ name: '0' })
      const { send } = handleOf(engine, 'agents')
      const heard: boolean[] = []
      for (let before = -1; lost() > before; ) {
        before = lost()
        cutNext({ at: isBegin, bytes: heard.length * STEP_BYTES })
        const name = `${heard.length + 1}`
        const call = () => send(resource.id, { type: 'update', name }, { idempotencyKey: name })
        const error = await call().then(() => undefined, viewOf)
        if (error !== undefined) await call()
        heard.push(error !== undefined)
        expect([undefined, 'indeterminate']).toContain(error?.code)
        expect(isWaiting()).toBe(false)
      }

      // Until the commit is on its way, a caller hears nothing of it.
      expect(heard.slice(0, 6)).not.toContain(true)
      expect(heard.length).toBeGreaterThan(20)
      const { version } = await handleOf(engine, 'agents').get(resource.id)
      expect(version).toBe(heard.length + 1)
      await expectVerified(engine)
    },
  )
})

// Everywhere, but for a prime that is not too small.
const STEP_BYTES = 83
