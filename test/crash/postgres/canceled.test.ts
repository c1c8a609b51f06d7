import type { PoolConfig, QueryResult } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../../src/index.ts'
import { postgres } from '../../../src/postgres.ts'
import type { Pool } from '../../../src/store/postgres/session.ts'
import { type AnyEngine, expectVerified, handleOf } from '../../support/engine.ts'
import { viewOf } from '../../support/errors.ts'
import { createReceiver } from '../../support/receivers.ts'
import { until } from '../../support/until.ts'
import { numberFrom, randomFrom, report } from '../settings.ts'
import { asPool, createPool, through } from './connections.ts'
import { HELD_OPTIONS } from './holding.ts'
import { hasServer, setupPlace } from './servers.ts'

const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

/** What the server does with a statement that somebody cancels before it has done anything. */
const CANCELED = 'select pg_cancel_backend(pg_backend_pid()), pg_sleep(10)'

/** A pool that has statements be canceled. */
function canceling(pool: Pool, isCanceled: (text: string) => boolean): Pool {
  return through(pool, (client, query) =>
    client.query(isCanceled(query.text) ? { text: CANCELED } : query),
  )
}

/** An engine of which statements are canceled. */
async function setup(isCanceled: (text: string) => boolean, given: Partial<PoolConfig>) {
  const { schema, raw } = setupPlace()
  const pool = createPool(schema, { max: 4, ...given })
  onTestFinished(() => pool.end())
  const database = postgres(canceling(asPool(pool), isCanceled), { schema })
  const engine = (await createEngine({
    ...HELD_OPTIONS,
    database,
    delivery: { ...HELD_OPTIONS.delivery, timeout: '200ms' },
  })) as unknown as AnyEngine
  onTestFinished(() => engine.close())
  return { engine, raw }
}

// What is canceled in the end of a transaction leaves it open to what comes next on the connection.
const isEnd = (text: string): boolean => text.startsWith('rollback')

describe.runIf(await hasServer('canceled statements'))('a statement that is canceled', () => {
  test.each([false, true])(
    'leaves nothing of a call, whichever it is; queries sent ahead: %s',
    async (pipeline) => {
      let left = Number.POSITIVE_INFINITY
      const isCanceled = (text: string) => !isEnd(text) && --left === 0
      const { engine } = await setup(isCanceled, { pipeline })
      const agents = handleOf(engine, 'agents')
      const { id } = (await agents.create({ name: '0' })).resource
      const codes: (string | undefined)[] = []
      do {
        const name = `${codes.length + 1}`
        const call = () => agents.send(id, { type: 'update', name }, { idempotencyKey: name })
        left = codes.length + 1
        const error = await call().then(() => undefined, viewOf)
        left = Number.POSITIVE_INFINITY
        codes.push(error?.code)
        if (error !== undefined)
          expect(await call()).toMatchObject({ changed: true, replayed: false })
      } while (codes.at(-1) !== undefined)

      expect(codes.length).toBeGreaterThan(4)
      expect(new Set(codes)).toEqual(new Set(['storage_busy', 'indeterminate', undefined]))
      expect((await agents.get(id)).version).toBe(codes.length + 1)
      await expectVerified(engine)
    },
  )

  test.each([false, true])(
    'loses no delivery and no event of a consumer; queries sent ahead: %s',
    { timeout: 60_000 },
    async (pipeline) => {
      const some = cancelingSome()
      const { engine, raw } = await setup(some.isCanceled, { pipeline })
      const receiver = await setupReceiver(engine)
      await raw.query('create table notes (n int)')
      void engine.consume('copier', CONSUMING, ({ seq }, { tx }) =>
        tx.db
          .insertInto('notes')
          .values({ n: seq } as never)
          .execute(),
      )
      await create(engine, '0')

      some.begin()
      let made = 1
      while (some.count() < ENOUGH) await create(engine, `${made++}`)
      some.end()
      await receiver.arrived(made)
      const copied = async () => seqsOf(await raw.query('select n as seq from notes'))
      await until(async () => (await copied()).length >= made, 'the last copy')

      const agents = `select seq::int from pawl_events where type like 'agent.%' order by seq`
      expect(await copied()).toEqual(seqsOf(await raw.query(agents)))
      expect(new Set(receiver.events.map(({ id }) => id)).size).toBe(made)
      await expectVerified(engine)
    },
  )
})

const ENOUGH = 30

// An event may fail many times in a row.
const CONSUMING = { type: 'agent.*', tries: 1000, backoff: '10ms' } as const

/** Chooses statements by a seed, between a beginning and an end. */
function cancelingSome() {
  report(`canceled statements: seed ${SEED}`)
  const random = randomFrom(SEED)
  let [isGoing, count] = [false, 0]
  return {
    isCanceled: (text: string): boolean => {
      if (!isGoing || isEnd(text) || random() > 0.05) return false
      count += 1
      return true
    },
    begin: () => {
      isGoing = true
    },
    end: () => {
      isGoing = false
    },
    count: () => count,
  }
}

const seqsOf = ({ rows }: QueryResult<{ seq: number }>) => rows.map(({ seq }) => seq)

/** A receiver of all events about agents, to which an engine delivers from now on. */
async function setupReceiver(engine: AnyEngine) {
  const receiver = await createReceiver()
  onTestFinished(() => receiver.close())
  const destinations = handleOf(engine, 'eventDestinations')
  const { id } = (
    await destinations.create({
      ...{ name: 'A', events: ['agent.*'], webhook: { url: receiver.url } },
      delivery: { verification: 'manual' },
    })
  ).resource
  await destinations.send(id, { type: 'activate' })
  await engine.start()
  return receiver
}

/** Creates an agent, however often that takes. */
async function create(engine: AnyEngine, name: string): Promise<void> {
  for (;;) {
    const call = handleOf(engine, 'agents').create({ name }, { idempotencyKey: name })
    const error = await call.then(() => undefined, viewOf)
    if (error === undefined) return
    if (!error.retryable) throw new Error(error.message)
  }
}
