import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createTestEngine } from '../../src/testing.ts'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { type Bundled, bundleForMany } from './bundled.ts'
import {
  activateAll,
  after,
  badNowAndThen,
  badTwice,
  CONCURRENCY,
  createDestinations,
  createReceivers,
  type Judgement,
  judge,
  makeCalls,
  openSending,
  type Receivers,
  SCRIPTED,
  SENDING,
  type SenderWork,
} from './deliveries.ts'
import { nextMessage } from './next-message.ts'
import type { Scripted } from './scripted.ts'
import { numberFrom, randomFrom, report, sizeFor } from './settings.ts'
import { canTrace } from './strace.ts'

const KILLS = numberFrom('PAWL_DELIVERY_KILLS', sizeFor({ quick: 5, ci: 40, deep: 200 }))
const EVENTS = numberFrom('PAWL_DELIVERY_EVENTS', sizeFor({ quick: 500, ci: 3000, deep: 100_000 }))
const DESTINATIONS = sizeFor({ quick: 4, ci: 10, deep: 20 })
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

let bundled: Bundled
beforeAll(() => {
  bundled = bundleForMany(new URL('./delivering-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

/** Processes that send. One is always ready: a start takes longer than most of them live. */
function createSenders() {
  const alive = new Set<ChildProcess>()
  const start = async (): Promise<ChildProcess> => {
    const child = fork(bundled.path)
    alive.add(child)
    await nextMessage(child)
    return child
  }
  let waiting = start()
  onTestFinished(async () => {
    for (const child of alive) child.kill('SIGKILL')
    await Promise.allSettled([waiting])
  })
  const begin = async (work: SenderWork) => {
    const next = waiting
    waiting = start()
    const child = await next
    const ended = once(child, 'exit')
    const started = nextMessage(child)
    child.send(work)
    await started
    return { child, ended }
  }
  return {
    /** Has one work until all is done. */
    run: async (work: SenderWork): Promise<void> => {
      const { ended } = await begin(work)
      expect(await ended).toEqual([0, null])
    },
    /** Has one work for so long. */
    kill: async (work: SenderWork, milliseconds: number): Promise<void> => {
      const { child, ended } = await begin(work)
      await after(milliseconds)
      child.kill('SIGKILL')
      expect(await ended).toEqual([null, 'SIGKILL'])
    },
  }
}

/** A file with destinations, and their receivers, which fail now and then. */
async function setup(random: () => number) {
  const database = temporaryFile()
  const receivers = await createReceivers(DESTINATIONS, random, () => badNowAndThen(random))
  onTestFinished(() => receivers.close())
  const engine = await openSending(database, 'full')
  await createDestinations(engine, receivers)
  await activateAll(engine)
  await engine.close()
  return { database, receivers }
}

/** Where the kills have hit, as far as that was looked at. */
interface Tally {
  kills: number
  looks: number
  /** How often the log had not been given out as far as it reached. */
  givingOut: number
  /** How often deliveries were under way. */
  delivering: number
}

const LEFT = `
  select
    (select position from pawl_dispatch) < (select max(seq) from pawl_events) as givingOut,
    exists (select 1 from pawl_deliveries where delivering = 1) as delivering`

/** Looks at what a kill has left. The next sender finds a file that has been opened and closed since. */
function look(database: string, tally: Tally): void {
  const raw = new Sqlite(database)
  const { givingOut, delivering } = raw
    .prepare<[], Pick<Tally, 'givingOut' | 'delivering'>>(LEFT)
    .get() ?? { givingOut: 0, delivering: 0 }
  raw.close()
  tally.looks += 1
  tally.givingOut += givingOut
  tally.delivering += delivering
}

/** How many attempts a sender has not lived to note, and how many have failed otherwise. */
function failuresIn(database: string): { readonly interrupted: number; readonly failed: number } {
  const raw = new Sqlite(database)
  const counts = raw
    .prepare<[], { readonly interrupted: number; readonly failed: number }>(`
      select
        count(*) filter (where error like 'interrupted%') as interrupted,
        count(*) filter (where error not like 'interrupted%') as failed
      from pawl_attempts`)
    .get()
  raw.close()
  return counts ?? { interrupted: 0, failed: 0 }
}

// How long a sender lives once it delivers, in milliseconds.
const SHORTEST_LIFE = 20
const LONGEST_LIFE = 200

/** Has senders work one after the other, now and then two at a time, and kills them. */
async function killAll(
  database: string,
  senders: ReturnType<typeof createSenders>,
  random: () => number,
): Promise<Tally> {
  const tally: Tally = { kills: 0, looks: 0, givingOut: 0, delivering: 0 }
  while (tally.kills < KILLS) {
    const count = random() < 0.3 ? 2 : 1
    const works = Array.from({ length: count }, () => {
      tally.kills += 1
      return workOf(database, (EVENTS * tally.kills) / (KILLS + 1), random)
    })
    // Mostly while it makes events.
    const life = () => SHORTEST_LIFE + random() ** 2 * (LONGEST_LIFE - SHORTEST_LIFE)
    await Promise.all(works.map((work) => senders.kill(work, life())))
    if (random() < 0.5) look(database, tally)
  }
  return tally
}

function workOf(database: string, events: number, random: () => number): SenderWork {
  return {
    ...{ database, events: Math.ceil(events), ends: false },
    durability: random() < 0.3 ? 'relaxed' : 'full',
    seed: Math.floor(random() * 2 ** 31),
  }
}

describe('a sender that is killed again and again', () => {
  test(`delivers every event, in order, to everybody who wants it, over ${KILLS} kills`, {
    timeout: 60_000 + KILLS * 2000 + EVENTS * DESTINATIONS * 2,
  }, async () => {
    report(`deliveries: seed ${SEED}`)
    const random = randomFrom(SEED)
    const { database, receivers } = await setup(random)
    const began = performance.now()
    const senders = createSenders()
    // The first one ends by itself: it leaves its compiled code to the others.
    await senders.run({ ...workOf(database, 100, random), ends: true })
    const tally = await killAll(database, senders, random)
    const killed = performance.now()
    await senders.run({ ...workOf(database, EVENTS, random), ends: true })
    const delivered = performance.now()
    const engine = await openSending(database, 'full')
    const judged = await judge(engine, receivers)
    await engine.close()
    const { interrupted, failed } = failuresIn(database)
    const seconds = (from: number, to: number) => `${((to - from) / 1000).toFixed(0)} s`
    report(
      `deliveries: seed ${SEED}, ${judged.events} events to ${DESTINATIONS} destinations, ` +
        `${tally.kills} kills in ${seconds(began, killed)}, the rest in ${seconds(killed, delivered)}, ` +
        `judged in ${seconds(delivered, performance.now())}; ` +
        `of ${tally.looks} that were looked at, ${tally.givingOut} while the log was given out, ` +
        `${tally.delivering} with deliveries under way; ` +
        `${judged.deliveries} deliveries in ${judged.attempts} attempts, ${interrupted} interrupted, ` +
        `${failed} failed, ${judged.duplicates} duplicates, ${judged.problems.length} problems`,
    )
    expect(judged.problems.slice(0, 20)).toEqual([])
    // Nobody takes on what somebody is at who lives.
    expect(interrupted).toBeLessThanOrEqual(tally.kills * CONCURRENCY)
    // A few kills may all have hit senders that had nothing to do.
    if (KILLS >= 20) expect(Math.min(interrupted, failed)).toBeGreaterThan(KILLS)
  })
})

const POINTS = numberFrom(
  'PAWL_DELIVERY_POINTS',
  sizeFor({ quick: 8, ci: 40, deep: Number.MAX_SAFE_INTEGER }),
)

/** The calls with which files are changed, and the one with which requests are sent. */
const CALLS = ['pwrite64', 'fsync', 'ftruncate', 'writev'] as const

/** How many processes work at a time. */
const AT_A_TIME = 2

/** A place to die: before the so-manieth call of a kind. */
interface Point {
  readonly call: string
  readonly number: number
}

const isTracing = canTrace('deliveries, kill at every write')

/** Does something with a file and its receivers; the destinations are there, and have yet to be activated. */
async function withScene<T>(work: (scene: Scene) => Promise<T>): Promise<T> {
  const folder = makeTemporaryDirectory()
  const receivers = await createReceivers(SCRIPTED.length, () => 1, badTwice)
  try {
    const database = join(folder, 'pawl.db')
    const engine = await openSending(database, 'full')
    await createDestinations(engine, receivers, SCRIPTED)
    await engine.close()
    return await work({ database, receivers })
  } finally {
    receivers.close()
    removeDirectory(folder)
  }
}

/** A file and where its events go. */
interface Scene {
  readonly database: string
  readonly receivers: Receivers
}

/** Goes through the script to its end; gives where it could have died. */
function survey(): Promise<Point[]> {
  return withScene(async ({ database, receivers }) => {
    const log = join(dirname(database), 'calls')
    expect(await goThrough(database, ['-o', log, '-e', `trace=${CALLS.join()}`])).toEqual([0, null])
    const engine = await openSending(database, 'full')
    expect((await judge(engine, receivers)).problems).toEqual([])
    await engine.close()
    return toPoints(readFileSync(log, 'utf8'))
  })
}

/** The script under strace, which watches only the main thread: that one uses the database and the network. */
async function goThrough(database: string, options: readonly string[]): Promise<unknown[]> {
  const command = [process.execPath, bundled.path, JSON.stringify({ database } satisfies Scripted)]
  const child = spawn('strace', ['-qq', ...options, ...command], { stdio: 'inherit' })
  return once(child, 'close')
}

/** The places of a log of calls, in the order in which they come. */
function toPoints(log: string): Point[] {
  const counts = new Map<string, number>()
  return [...log.matchAll(/^(\w+)\(/gm)].map(([, call = '']) => {
    const number = (counts.get(call) ?? 0) + 1
    counts.set(call, number)
    return { call, number }
  })
}

/** So many of the points: as many of each call, as long as there are, and evenly spread. */
function choose(points: readonly Point[], count: number): Point[] {
  const kinds = CALLS.map((call) => points.filter((point) => point.call === call))
  kinds.sort((one, other) => one.length - other.length)
  const chosen: Point[] = []
  for (const [index, kind] of kinds.entries()) {
    const share = Math.ceil((count - chosen.length) / (kinds.length - index))
    chosen.push(...evenly(kind, Math.min(share, kind.length)))
  }
  return chosen
}

/** Neither the first nor the last of them, as long as there is a choice: the last ones may not be reached. */
function evenly<T>(all: readonly T[], count: number): T[] {
  const before = (index: number) => Math.floor((index * count) / all.length + 0.5)
  return all.filter((_, index) => before(index + 1) > before(index))
}

/** Dies at a point, and has another engine do the rest; gives whether it died, and what came of it. */
function dieAt({ call, number }: Point): Promise<Judgement & { readonly hasDied: boolean }> {
  return withScene(async ({ database, receivers }) => {
    const kill = `inject=${call}:signal=SIGKILL:when=${number}`
    const options = ['-o', '/dev/null', '-e', `trace=${call}`, '-e', kill]
    const [code, signal] = await goThrough(database, options)
    const hasDied = signal === 'SIGKILL' || code === 128 + 9
    // How often it writes depends on which answers come together.
    if (!hasDied) expect(code).toBe(0)
    return { ...(await finish(database, receivers)), hasDied }
  })
}

/** Does the rest of the script on a clock that is moved past all leases, and judges what has come of it. */
async function finish(database: string, receivers: Receivers): Promise<Judgement> {
  const engine = await createTestEngine({ ...SENDING, database, now: new Date() })
  await activateAll(engine)
  await makeCalls(engine)
  await engine.clock.advance('1m')
  const judged = await judge(engine, receivers)
  await engine.close()
  expect(judged.problems).toEqual([])
  return judged
}

describe.skipIf(!isTracing)('a sender that is killed at one of its writes', () => {
  test('has everything delivered by the next one', {
    timeout: 60_000 + Math.min(POINTS, 1000) * 5000,
  }, async () => {
    const points = await survey()
    const chosen = choose(points, POINTS)
    const waiting = [...chosen]
    const tally = { died: 0, deliveries: 0, attempts: 0, duplicates: 0 }
    const takeTurns = async (): Promise<void> => {
      for (let point = waiting.shift(); point !== undefined; point = waiting.shift()) {
        try {
          const { hasDied, ...judged } = await dieAt(point)
          if (hasDied) tally.died += 1
          tally.deliveries += judged.deliveries
          tally.attempts += judged.attempts
          tally.duplicates += judged.duplicates
        } catch (cause) {
          throw new Error(`killed at ${point.call} number ${point.number}`, { cause })
        }
      }
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, takeTurns))
    const kinds = CALLS.map((call) => `${chosen.filter((p) => p.call === call).length} ${call}`)
    report(
      `deliveries, kill at every write: ${chosen.length} of ${points.length} points ` +
        `(${kinds.join(', ')}), ${tally.died} died there; ${tally.deliveries} deliveries in ` +
        `${tally.attempts} attempts, ${tally.duplicates} duplicates, none lost`,
    )
    expect(tally.died).toBeGreaterThan(chosen.length * 0.7)
  })
})
