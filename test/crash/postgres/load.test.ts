import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { collect } from '../../support/engine.ts'
import { until } from '../../support/until.ts'
import type { Line } from '../acknowledgements.ts'
import { repeat, triedIn } from '../aftermath.ts'
import { type Bundled, bundle } from '../bundled.ts'
import { copyAgents, type FastEngine, lagOf, openFast } from '../fast-platform.ts'
import { numberFrom, randomFrom, report, sizeFor } from '../settings.ts'
import { SHARED } from './connections.ts'
import { work } from './crew.ts'
import { expectTimersOnce } from './fired.ts'
import { follow, poll } from './followers.ts'
import { expectKept } from './kept.ts'
import { CALLERS } from './loading.ts'
import { canStartServer, startServer } from './own-server.ts'
import { hasServer, setupPlace } from './servers.ts'

const WORKERS = 4
const SECONDS = numberFrom('PAWL_SECONDS', sizeFor({ quick: 3, ci: 10, deep: 60 }))
const KILL_EVERY_S = numberFrom('PAWL_KILL_EVERY', sizeFor({ quick: 2, ci: 3, deep: 5 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

const MAY_RESTART = canStartServer('the restarts under a load of several processes')

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./loading-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

/** A server that may be restarted or, where none can be started, the one that others use as well. */
async function setupServer() {
  if (!MAY_RESTART) return { address: SHARED, restarts: [] }
  const { address, restart } = await startServer()
  return { address, restarts: [() => restart('fast'), () => restart('immediate')] }
}

async function setup() {
  const { address, restarts } = await setupServer()
  const { schema, raw, database } = setupPlace(address)
  const engine = await openFast(database({ max: 6 }), 'full')
  onTestFinished(() => engine.close())
  await raw.query(`create table notes (id text not null, n integer not null)`)
  await raw.query(
    `create table copies (id serial primary key, event_id text, seq integer, attempt integer)`,
  )
  return { place: { address, schema }, restarts, raw, engine }
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

/** How many calls have come to what. */
function countIn(lines: readonly Line[]) {
  const codes = lines.flatMap((line) => (line.is === 'unanswered' ? [line.code] : []))
  const indeterminate = codes.filter((code) => code === 'indeterminate').length
  return {
    acknowledged: lines.filter(({ is }) => is === 'acknowledged' || is === 'noted').length,
    indeterminate,
    busy: codes.length - indeterminate,
  }
}

const hasDatabase = MAY_RESTART || (await hasServer('a load of several processes'))

describe.runIf(hasDatabase)('several processes', () => {
  test(`under a mixed load for ${SECONDS} s, some of them killed and their server restarted, lose nothing and keep the order`, {
    timeout: 60_000 + SECONDS * 4000,
  }, async () => {
    report(`postgres load: seed ${SEED}`)
    const { place, restarts, raw, engine } = await setup()
    const [endPoll, followed] = [poll(raw), follow(engine)]

    const { kills, lines } = await work({
      ...{ path: bundled.path, place, random: randomFrom(SEED), restarts },
      ...{ workers: WORKERS, seconds: SECONDS, killEvery: KILL_EVERY_S },
    })
    const tried = triedIn(lines)
    for (const one of tried) await repeat(engine, one)
    await finish(engine, raw)
    const polled = await endPoll()
    const log = await collect(engine.events.list({ order: 'asc', limit: 1000 }))
    const seen = await followed(log.at(-1)?.seq ?? 0)

    expect(polled).toEqual(polled.map((_, index) => index + 1))
    expect(seen).toEqual(log.map(({ seq }) => seq))
    await expectKept(raw, lines)
    const fired = await expectTimersOnce(raw)
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
    const { acknowledged, indeterminate, busy } = countIn(lines)
    report(
      `postgres load: seed ${SEED}, ${WORKERS} processes for ${SECONDS} s, ${kills} killed, ` +
        `${restarts.length} restarts, ${acknowledged} acknowledged calls, ` +
        `${indeterminate} answers indeterminate, ${busy} busy, ${tried.length} repeated with their key, ` +
        `${fired} timers fired, ${polled.length} entries, 0 lost`,
    )
    expect(acknowledged).toBeGreaterThan(5 * WORKERS)
    // Each caller waits for one answer at a time, and those only miss one who wait while the server goes.
    expect(indeterminate + busy).toBeLessThanOrEqual(restarts.length * WORKERS * CALLERS)
  })
})
