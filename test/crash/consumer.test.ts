import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { collect, typesOf } from '../support/engine.ts'
import { openRaw, rowsOf } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { until } from '../support/until.ts'
import { type Bundled, bundleForMany } from './bundled.ts'
import { COPIED, COPIER, LEASE_MS } from './copies.ts'
import { numberFrom, randomFrom, report, sizeFor } from './settings.ts'

// Everybody's run is short; the one that decides is long.
const KILLS = numberFrom('PAWL_KILLS', sizeFor({ quick: 10, ci: 120, deep: 1000 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

/** How many processes run the consumer: one works, the others stand by. */
const PROCESSES = 2

let bundled: Bundled
beforeAll(() => {
  bundled = bundleForMany(new URL('./consuming-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

/** Opens an engine on a file with the table of the consumer. */
async function setup() {
  const database = temporaryFile()
  const engine = await createEngine({ database, durability: 'relaxed' })
  onTestFinished(() => engine.close())
  const raw = openRaw(database)
  raw.exec(`create table copies
    (id integer primary key, event_id text, seq integer, attempt integer) strict`)
  return { database, engine, raw }
}

/** Processes that run the consumer, each replaced when it is killed. */
function startConsumers(database: string) {
  let working: ChildProcess | undefined
  let latest = 0
  let begun = 0
  const start = (): ChildProcess => {
    const child = fork(bundled.path, [database])
    child.on('message', (seq: number) => {
      working = child
      latest = seq
      begun += 1
    })
    return child
  }
  const running = Array.from({ length: PROCESSES }, start)
  onTestFinished(() => {
    for (const child of running) child.kill('SIGKILL')
  })
  return {
    begun: () => begun,
    latest: () => latest,
    /** Asks the process that is at work to end: it leaves its compiled code to all those that are started later. */
    retire: async (): Promise<void> => {
      const retiring = working
      if (retiring === undefined) throw new Error('nobody is at work')
      const gone = once(retiring, 'exit')
      retiring.kill('SIGTERM')
      expect(await gone).toEqual([0, null])
      running.splice(running.indexOf(retiring), 1, start())
    },
    /** Holds up the process that is at work until others have taken over, unless it has the lock. */
    freeze: async (): Promise<void> => {
      const frozen = working
      frozen?.kill('SIGSTOP')
      await after(2 * LEASE_MS)
      frozen?.kill('SIGCONT')
    },
    /** Kills the process that is at work or, if it is spared, another one; starts a new one. */
    kill: async (isSpared: boolean): Promise<void> => {
      const index = Math.max(
        0,
        running.findIndex((child) => (child === working) !== isSpared),
      )
      const [victim] = running.splice(index, 1, start())
      if (victim === undefined) throw new Error('nobody is left to be killed')
      const gone = once(victim, 'exit')
      victim.kill('SIGKILL')
      expect(await gone).toEqual([null, 'SIGKILL'])
    },
  }
}

type Engine = Awaited<ReturnType<typeof setup>>['engine']

/** Makes events: a few tasks, most of which are promoted, in transactions of their own. */
async function writeSome(engine: Engine, agent: string, count: number): Promise<void> {
  const tasks = Array.from({ length: count }, async (_, i) => {
    const { resource } = await engine.tasks.create({ name: `${i}`, agent_id: agent })
    if (i % 3 > 0) await engine.tasks.send(resource.id, { type: 'promote' })
  })
  await Promise.all(tasks)
}

/** Rings after some time. */
function after(milliseconds: number): Promise<unknown> {
  return once(AbortSignal.timeout(milliseconds), 'abort')
}

describe('a consumer that is killed again and again', () => {
  test(`copies every event once and in order, over ${KILLS} kills`, {
    timeout: 60_000 + KILLS * 3000,
  }, async () => {
    report(`consumer: seed ${SEED}`)
    const random = randomFrom(SEED)
    const upTo = (most: number) => Math.floor(random() * most)
    const { database, engine, raw } = await setup()
    const agent = (await engine.agents.create({ name: 'A' })).resource.id
    const consumers = startConsumers(database)
    let inTheMiddle = 0
    const stored = async () => (await engine.consumers.list())[0]?.position ?? 0

    const writing = writeSome(engine, agent, 20)
    await until(() => consumers.begun() > 20, 'some events')
    await consumers.retire()
    await writing
    for (let kill = 0; kill < KILLS; kill++) {
      const begun = consumers.begun()
      const writing = writeSome(engine, agent, 1 + upTo(20))
      // Mostly while an event is handled; now and then whenever it is, or the one that stands by.
      if (random() < 0.8) await until(() => consumers.begun() > begun, 'the next event')
      if (random() < 0.2) await consumers.freeze()
      await after(upTo(40))
      await consumers.kill(random() < 0.2)
      if (consumers.latest() > (await stored())) inTheMiddle += 1
      await writing
    }
    const matching = async () =>
      collect(await engine.events.list({ type: COPIED, order: 'asc', limit: 1000 }))
    const copied = () => rowsOf(raw, 'copies').length
    const expected = (await matching()).length
    await until(() => copied() >= expected, 'the last copy')
    await writeSome(engine, agent, 2)
    const events = await matching()
    await until(() => copied() >= events.length, 'the very last copy')
    await engine.tasks.send(events.at(-1)?.resource_id ?? '', { type: 'demote' })
    await until(() => copied() > events.length, 'the demotion')

    const all = await matching()
    const rows = rowsOf(raw, 'copies')
    const distinct = new Set(rows.map(({ event_id }) => event_id))
    const lost = all.filter(({ id }) => !distinct.has(id)).length
    report(
      `consumer: seed ${SEED}, ${KILLS} kills, ${inTheMiddle} in the middle of an event, ` +
        `${all.length} events, ${rows.length - distinct.size} duplicates, ${lost} losses`,
    )
    expect(rows.map(({ event_id, seq }) => ({ id: event_id, seq }))).toEqual(
      all.map(({ id, seq }) => ({ id, seq })),
    )
    const failed = rows.filter(({ seq }) => Number(seq) % 7 === 0)
    expect(failed.filter(({ attempt }) => Number(attempt) < 2)).toEqual([])
    expect(await engine.consumers.list()).toMatchObject([
      { name: COPIER, position: all.at(-1)?.seq, lag: 0, attempts: 0, last_error: null },
    ])
    expect(await engine.consumers.parked(COPIER)).toEqual([])
    const agents = (await collect(await engine.agents.list({ order: 'asc', limit: 1000 }))).slice(1)
    const created = all.filter(({ type }) => type === 'task.created')
    expect(agents.map(({ name }) => name)).toEqual(created.map(({ id }) => id))
    expect(new Set(typesOf(all))).toEqual(new Set(['task.created', 'task.updated']))
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
  })
})
