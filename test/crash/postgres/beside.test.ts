import { describe, expect, onTestFinished, test } from 'vitest'
import { assign, createMachine } from 'xstate'
import { agentPlatform } from '../../../machines/index.ts'
import {
  type AnyTestEngine,
  allTimers,
  collect,
  expectVerified,
  fullLog,
  handleOf,
  openEngine,
  START,
  typesOf,
} from '../../support/engine.ts'
import { failureOf } from '../../support/errors.ts'
import { thing } from '../../support/things.ts'
import { until } from '../../support/until.ts'
import { hasServer, setupPlace } from './servers.ts'

/** What opens engines on one database, each as in a process of its own. */
function setup() {
  const { database, raw } = setupPlace()
  const open = async (options: object) => {
    const engine = await openEngine({ ...options, database: database({ max: 3 }) })
    onTestFinished(() => engine.close())
    return engine
  }
  return { open, raw }
}

const MINUTE = 60_000
const SKEWS = [0, 5 * MINUTE, -5 * MINUTE]

/** Engines whose clocks differ. */
async function setupSkewed() {
  const { open, raw } = setup()
  const resources = agentPlatform({ timeouts: { session_provisioning: '2m', session_idle: '3m' } })
  const engines: AnyTestEngine[] = []
  for (const skew of SKEWS) engines.push(await open({ resources, now: START.getTime() + skew }))
  return { engines, raw }
}

interface Priced {
  readonly price: number
}

const priced = createMachine({
  context: { price: 5 },
  initial: 'open',
  states: {
    open: {
      on: { go: { actions: assign({ price: ({ context }) => (context as Priced).price + 1 }) } },
    },
  },
})

const inCents = ({ value, context }: { value: unknown; context: object }) => {
  return { value, context: { price: (context as Priced).price * 100 } }
}

/** Makes sessions by each of them, every other one of which the next one ends. */
function makeSessions(engines: readonly AnyTestEngine[]): Promise<string[]> {
  const make = async (engine: AnyTestEngine, index: number) => {
    const { id } = (await handleOf(engine, 'sessions').create({})).resource
    const other = handleOf(engines[(index + 1) % engines.length] ?? engine, 'sessions')
    if (index % 2 === 0) await other.send(id, { type: 'end', reason: 'enough' })
    return id
  }
  const makers = Array.from({ length: 10 }, () => engines).flat()
  return Promise.all(makers.map(make))
}

const ENDED = ['session.queued', 'session.completing', 'session.failed']
const FORGOTTEN = ['session.queued', 'session.failed']

describe.runIf(await hasServer('engines beside each other'))('engines on one database', () => {
  test('whose clocks are minutes apart fire each timer once, and keep one log', async () => {
    const { engines } = await setupSkewed()
    const followed = engines.map((engine) => drain(engine.events.subscribe({ from: 'start' })))
    const sessions = await makeSessions(engines)

    for (let minute = 0; minute < 20; minute++) {
      await Promise.all(engines.map((engine) => engine.clock.advance('1m')))
    }
    const logs = await Promise.all(engines.map((engine) => fullLog(engine)))
    const [log = []] = logs

    for (const other of logs) expect(other).toEqual(log)
    const types = (id: string) => typesOf(log.filter(({ resource_id }) => resource_id === id))
    const wanted = sessions.map((_, index) => (index % 2 === 0 ? ENDED : FORGOTTEN))
    expect(sessions.map(types)).toEqual(wanted)
    for (const engine of engines) {
      expect(await allTimers(engine)).toEqual([])
      await expectVerified(engine)
    }
    await Promise.all(engines.map((engine) => engine.close()))
    const seqs = log.filter(({ internal }) => !internal).map(({ seq }) => seq)
    for (const seen of await Promise.all(followed)) expect(seen).toEqual(seqs)
  })

  test('share the timers that are due', async () => {
    const { open } = setup()
    const resources = agentPlatform({ timeouts: { session_provisioning: '1m' } })
    const now = START.getTime()
    const [first, ...others] = await Promise.all(
      [now, now + MINUTE, now + MINUTE].map((time) => open({ resources, now: time })),
    )
    const sessions = handleOf(first as AnyTestEngine, 'sessions')
    await Promise.all(Array.from({ length: 1000 }, () => sessions.create({})))

    const ticks = await Promise.all(others.map((engine) => engine.tick()))

    const fired = ticks.map((tick) => (tick as { readonly fired: number }).fired)
    expect(fired.reduce((sum, count) => sum + count)).toBe(1000)
    expect(Math.min(...fired)).toBeGreaterThan(200)
    await expectVerified(first as AnyTestEngine)
  })

  test('whose clocks are minutes apart handle each event once, whoever has the consumer', async () => {
    const { engines, raw } = await setupSkewed()
    await raw.query('create table notes (n int)')
    for (const engine of engines) {
      // Longer than a busy machine lets a handler take.
      void engine.consume('copier', { lease: '10s' }, async ({ seq }, { tx }) => {
        await tx.db
          .insertInto('notes')
          .values({ n: seq } as never)
          .execute()
      })
    }

    for (let turn = 0; turn < 30; turn++) {
      const engine = engines[turn % engines.length] as AnyTestEngine
      await handleOf(engine, 'agents').create({ name: `${turn}` })
      await engine.clock.advance('10s')
    }
    const handled = async () => (await raw.query('select n from notes')).rows.map(({ n }) => n)
    await until(async () => (await handled()).length >= 30, 'the last event')

    expect(await handled()).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
  })

  test('of which one is of an earlier version leave alone what the later one has migrated', async () => {
    const { open } = setup()
    const older = await open({ resources: { things: thing(priced) } })
    const { id } = (await handleOf(older, 'things').create({})).resource
    const definition = { ...thing(priced), version: 2, migrate: { 1: inCents } }
    const newer = await open({ resources: { things: definition } })
    const before = await handleOf(older, 'things').send(id, { type: 'go' })
    await newer.migrate()

    const error = await failureOf(handleOf(older, 'things').send(id, { type: 'go' }))
    const { resource } = await handleOf(newer, 'things').send(id, { type: 'go' })

    expect(before.resource).toMatchObject({ price: 6, version: 2 })
    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
    expect(error.message).toContain('is of version 2, and this engine has version 1')
    expect(resource).toMatchObject({ price: 601, version: 4 })
    await expectVerified(newer)
  })

  test('that open and migrate it at the same time do it once', async () => {
    const { open } = setup()

    const engines = await Promise.all(Array.from({ length: 4 }, () => open({})))
    await Promise.all(engines.map((engine) => handleOf(engine, 'agents').create({ name: 'A' })))

    for (const engine of engines) await expectVerified(engine)
  })
})

async function drain(events: AsyncIterable<{ readonly seq: number }>): Promise<number[]> {
  return (await collect(events)).map(({ seq }) => seq)
}
