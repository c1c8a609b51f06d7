import type pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentPlatform } from '../../../machines/index.ts'
import { createEngine, isPawlError } from '../../../src/index.ts'
import {
  type AnyEngine,
  allTimers,
  collect,
  expectVerified,
  fullLog,
  handleOf,
} from '../../support/engine.ts'
import { OFFLINE } from '../../support/offline.ts'
import { until } from '../../support/until.ts'
import { type Address, SHARED } from './connections.ts'
import { canStartServer, startServer } from './own-server.ts'
import { hasServer, setupPlace } from './servers.ts'

const CALLERS = 8
const SESSIONS_MS = 300

/** An engine under way in every way, and what it has acknowledged. */
async function setup(address: Address, pipeline: boolean) {
  const { database, raw, schema } = setupPlace(address)
  const resources = agentPlatform({ timeouts: { session_provisioning: SESSIONS_MS } })
  const options = { database: database({ max: 6, pipeline }), resources, delivery: OFFLINE }
  const engine = (await createEngine(options)) as unknown as AnyEngine
  onTestFinished(() => engine.close())
  await engine.start()
  await raw.query('create table notes (id text)')
  void engine.consume(
    'copier',
    { type: 'agent.created', lease: '1s' },
    async ({ data }, { tx }) => {
      await tx.db
        .insertInto('notes')
        .values({ id: `${data.name}` } as never)
        .execute()
    },
  )
  return { engine, raw, schema, copied: async () => idsOf(await raw.query('select id from notes')) }
}

const idsOf = ({ rows }: pg.QueryResult<{ id: string }>) => rows.map(({ id }) => id)

/** What callers have been told. */
interface Told {
  /** The names of agents that were created. */
  readonly names: string[]
  readonly sessions: string[]
  /** What came instead of an answer. */
  readonly errors: Set<string>
}

/** Makes one call after the other, each with a key until it has an answer. */
async function call(
  engine: AnyEngine,
  told: Told,
  caller: number,
  isOver: () => boolean,
): Promise<void> {
  for (let turn = 0; !isOver(); turn++) {
    const name = `${caller} ${turn}`
    const settled = async (property: string, input: object) => {
      const create = () =>
        handleOf(engine, property).create(input, { idempotencyKey: `${property} ${name}` })
      for (;;) {
        const outcome = await create().catch((error: unknown) => {
          if (!isPawlError(error) || !error.retryable) throw error
          told.errors.add(error.code)
        })
        if (outcome !== undefined) return outcome.resource.id
      }
    }
    await settled('agents', { name })
    told.names.push(name)
    if (turn % 5 === 0) told.sessions.push(await settled('sessions', {}))
  }
}

/** Has callers call while faults happen, and for some calls more after each. */
async function load(engine: AnyEngine, faults: readonly (() => Promise<unknown>)[]): Promise<Told> {
  const told: Told = { names: [], sessions: [], errors: new Set() }
  let isOver = false
  const calls = Array.from({ length: CALLERS }, (_, caller) =>
    call(engine, told, caller, () => isOver),
  )
  const some = async () => {
    const { length } = told.names
    await until(() => told.names.length > length + 5 * CALLERS, 'further calls')
  }
  await some()
  for (const fault of faults) {
    await fault()
    await some()
  }
  isOver = true
  await Promise.all(calls)
  return told
}

/** Checks that all that was told has happened once, and that the rest goes on. */
async function expectKept({ engine, copied }: Awaited<ReturnType<typeof setup>>, told: Told) {
  const agents = await collect(await handleOf(engine, 'agents').list({ order: 'asc', limit: 1000 }))
  const names = agents.map(({ name }) => name)
  expect(names.toSorted()).toEqual(told.names.toSorted())
  await until(async () => (await allTimers(engine)).length === 0, 'the last timer')
  const failed = (await fullLog(engine)).filter(({ type }) => type === 'session.failed')
  expect(failed.map(({ resource_id }) => resource_id).toSorted()).toEqual(told.sessions.toSorted())
  await until(async () => (await copied()).length >= names.length, 'the last copy')
  expect(await copied()).toEqual(names)
  await expectVerified(engine)
  expect([...told.errors].filter((code) => code !== 'indeterminate')).toEqual([])
}

describe.runIf(await hasServer('ended connections'))(
  'an engine whose connections are all ended',
  () => {
    test.each([false, true])(
      'again and again goes on, and has lost nothing; queries sent ahead: %s',
      async (pipeline) => {
        const scene = await setup(SHARED, pipeline)
        const end = () =>
          scene.raw.query(
            'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
            [scene.schema],
          )

        const told = await load(scene.engine, [end, end, end, end, end])

        await expectKept(scene, told)
      },
    )
  },
)

describe.runIf(canStartServer('a server that restarts'))('an engine whose server restarts', () => {
  test.each([false, true])(
    'twice, once in a crash, goes on, and has lost nothing; queries sent ahead: %s',
    { timeout: 60_000 },
    async (pipeline) => {
      const { address, restart } = await startServer()
      const scene = await setup(address, pipeline)

      const told = await load(scene.engine, [() => restart('fast'), () => restart('immediate')])

      await expectKept(scene, told)
    },
  )
})
