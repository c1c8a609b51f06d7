import { once } from 'node:events'
import { setInterval } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { postgres } from '../../../src/postgres.ts'
import { collect } from '../../support/engine.ts'
import { until } from '../../support/until.ts'
import { repeat, triedIn } from '../aftermath.ts'
import { type Bundled, bundle } from '../bundled.ts'
import { copyAgents, type FastEngine, lagOf, openFast } from '../fast-platform.ts'
import { numberFrom, randomFrom, report, sizeFor } from '../settings.ts'
import { asPool, createPool } from './connections.ts'
import { expectKept } from './kept.ts'
import { type Loaded, startLoading } from './loading.ts'
import { hasServer, setupPlace } from './servers.ts'

const WORKERS = 4
const SECONDS = numberFrom('PAWL_SECONDS', sizeFor({ quick: 3, ci: 10, deep: 60 }))
const KILL_EVERY_S = numberFrom('PAWL_KILL_EVERY', sizeFor({ quick: 2, ci: 3, deep: 5 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./loading-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

async function setup() {
  const { schema, raw } = setupPlace()
  const pool = createPool(schema, { max: 6 })
  const engine = await openFast(postgres(asPool(pool), { schema }), 'full')
  onTestFinished(async () => {
    await engine.close()
    await pool.end()
  })
  await raw.query(`create table notes (id text not null, n integer not null)`)
  await raw.query(
    `create table copies (id serial primary key, event_id text, seq integer, attempt integer)`,
  )
  return { schema, raw, engine }
}

/** Reads the log as whoever follows a table by its numbers does, again and again; gives what ends that. */
function poll(raw: pg.Pool): () => Promise<number[]> {
  const seen: number[] = []
  const read = async (): Promise<void> => {
    const text = 'select seq::int from pawl_events where seq > $1 order by seq'
    const { rows } = await raw.query(text, [seen.at(-1) ?? 0])
    seen.push(...rows.map(({ seq }) => seq))
  }
  const stop = new AbortController()
  const polling = (async () => {
    // As often as it can, and the processes would get nothing done.
    for await (const _ of setInterval(5)) {
      if (stop.signal.aborted) return
      await read()
    }
  })()
  return async () => {
    stop.abort()
    await polling
    await read()
    return seen
  }
}

/** Follows the events of an engine; gives what waits for the last one. */
function follow(engine: FastEngine): (last: number) => Promise<number[]> {
  const seen: number[] = []
  void (async () => {
    for await (const { seq } of engine.events.subscribe({ from: 'start' })) seen.push(seq)
  })()
  return async (last) => {
    await until(() => seen.at(-1) === last, 'the last event of the follower')
    return seen
  }
}

/** Has processes work for a while, of which one is killed now and then and replaced. */
async function work(schema: string, random: () => number) {
  let started = 0
  const start = () => {
    const seed = Math.floor(random() * 2 ** 31)
    return startLoading(bundled.path, { schema, seed, name: `w${started++}` })
  }
  // The first one makes what all the others refer to.
  const working: Loaded[] = [await start()]
  working.push(...(await Promise.all(Array.from({ length: WORKERS - 1 }, start))))
  const gone: Loaded[] = []
  const end = performance.now() + SECONDS * 1000
  for (;;) {
    const rest = Math.max(0, Math.ceil(end - performance.now()))
    const isLast = rest <= KILL_EVERY_S * 1000
    await once(AbortSignal.timeout(isLast ? rest : KILL_EVERY_S * 1000), 'abort')
    if (isLast) break
    const [victim] = working.splice(Math.floor(random() * working.length), 1)
    if (victim !== undefined) gone.push(victim)
    await victim?.kill()
    working.push(await start())
  }
  const kills = gone.length
  await Promise.all(working.map((one) => one.stop()))
  return { kills, lines: [...gone, ...working].flatMap((one) => one.lines()) }
}

/** What is left to do is done by an engine that goes on alone: timers, and the consumer. */
async function finish(engine: FastEngine, raw: pg.Pool): Promise<void> {
  await engine.start()
  const stop = new AbortController()
  const copying = copyAgents(engine, stop.signal)
  const timers = async () => (await raw.query('select from pawl_timers')).rowCount
  await until(async () => (await timers()) === 0, 'the last timer')
  await until(async () => (await lagOf(engine)) === 0, 'the last copy')
  stop.abort()
  await copying
}

/** What each timer of a session has come to: whoever is late finds it gone. */
async function expectTimersOnce(raw: pg.Pool): Promise<void> {
  const { rows: twice } = await raw.query(
    `select resource_id, count(*) from pawl_events
     where type in ('session.failed', 'session.completed') group by resource_id having count(*) > 1`,
  )
  expect({ twice }).toEqual({ twice: [] })
}

describe.runIf(await hasServer('a load of several processes'))('several processes', () => {
  test(`under a mixed load for ${SECONDS} s, some of them killed, lose nothing and keep the order`, {
    timeout: 60_000 + SECONDS * 4000,
  }, async () => {
    report(`postgres load: seed ${SEED}`)
    const { schema, raw, engine } = await setup()
    const [endPoll, followed] = [poll(raw), follow(engine)]

    const { kills, lines } = await work(schema, randomFrom(SEED))
    const tried = triedIn(lines)
    for (const one of tried) await repeat(engine, one)
    await finish(engine, raw)
    const polled = await endPoll()
    const log = await collect(engine.events.list({ order: 'asc', limit: 1000 }))
    const seen = await followed(log.at(-1)?.seq ?? 0)

    const acknowledged = lines.filter(({ is }) => is === 'acknowledged' || is === 'noted').length
    report(
      `postgres load: seed ${SEED}, ${WORKERS} processes for ${SECONDS} s, ${kills} killed, ` +
        `${acknowledged} acknowledged calls, ${tried.length} repeated with their key, ` +
        `${polled.length} entries, 0 lost`,
    )
    expect(polled).toEqual(polled.map((_, index) => index + 1))
    expect(seen).toEqual(log.map(({ seq }) => seq))
    await expectKept(raw, lines)
    await expectTimersOnce(raw)
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
    expect(acknowledged).toBeGreaterThan(5 * WORKERS)
  })
})
