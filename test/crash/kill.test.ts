import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { makeTemporaryDirectory, removeDirectory, temporaryFile } from '../support/temp.ts'
import { until } from '../support/until.ts'
import {
  type Book,
  createBook,
  enter,
  expectOverdueFire,
  expectProven,
  expectSecrets,
  inspectFile,
  repeat,
  triedIn,
} from './aftermath.ts'
import { type Bundled, bundleForMany } from './bundled.ts'
import { copyAgents, lagOf, OWN_SCHEMA, openFast } from './fast-platform.ts'
import { prepareVictims, rehearse, type Victims } from './killing.ts'
import { numberFrom, randomFrom, report, sizeFor } from './settings.ts'

const KILLS = numberFrom('PAWL_KILLS', sizeFor({ quick: 12, ci: 300, deep: 5000 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

/** How many kills a file lives through; more, and checking all of it takes longer than all else. */
const KILLS_PER_FILE = 20

let bundled: Bundled
let victims: Victims
beforeAll(async () => {
  bundled = bundleForMany(new URL('./killed-process.ts', import.meta.url))
  await rehearseOnce(bundled.path)
  victims = prepareVictims(bundled.path, 2)
})
afterAll(() => {
  victims.stop()
  bundled.remove()
})

/** One process works on a file of its own, before any is killed. */
async function rehearseOnce(path: string): Promise<void> {
  const folder = makeTemporaryDirectory()
  const database = join(folder, 'pawl.db')
  createOwnTables(database).close()
  await rehearse(path, { database, durability: 'full', seed: 1, name: 'r', checkpoints: true })
  removeDirectory(folder)
}

function createOwnTables(database: string): Sqlite.Database {
  const raw = new Sqlite(database)
  raw.exec(OWN_SCHEMA)
  return raw
}

/** A file that processes write until they are killed. */
interface Scene {
  readonly database: string
  readonly book: Book
  /** A connection that stays, so that the files beside the database do as well; else each round begins anew. */
  readonly staying: Sqlite.Database | null
  readonly random: () => number
  readonly tally: Tally
}

interface Tally {
  kills: number
  acknowledged: number
  repeated: number
  overdue: number
}

function createScene(random: () => number, tally: Tally): Scene {
  const database = temporaryFile()
  const raw = createOwnTables(database)
  const stays = random() < 0.5
  if (stays) onTestFinished(() => void raw.close())
  else raw.close()
  return { database, book: createBook(), staying: stays ? raw : null, random, tally }
}

/** One process works until it is killed; now and then two do, and die one after the other. */
async function killSome({ database, random, tally }: Scene) {
  const count = random() < 0.15 ? 2 : 1
  const works = Array.from({ length: count }, () => ({
    database,
    durability: random() < 0.3 ? ('relaxed' as const) : ('full' as const),
    seed: Math.floor(random() * 2 ** 31),
    name: `r${tally.kills++}`,
    checkpoints: random() < 0.25,
  }))
  const killed = works.map((work) => victims.killAfter(work, 5 + Math.floor(random() * 81)))
  return (await Promise.all(killed)).flat()
}

async function checkAfterwards(scene: Scene, lines: Awaited<ReturnType<typeof killSome>>) {
  const { database, book, staying, tally } = scene
  enter(book, lines)
  const raw = staying ?? new Sqlite(database)
  inspectFile(raw, book)
  const engine = await openFast(database, 'full')
  await expectProven(engine)
  const tried = triedIn(lines)
  await expectSecrets(engine, tried)
  for (const one of tried) await repeat(engine, one)
  tally.acknowledged += lines.filter(({ is }) => is !== 'tried').length
  tally.repeated += tried.length
  tally.overdue += await expectOverdueFire(raw, engine)
  await engine.close()
  if (staying === null) raw.close()
}

/** In the end the consumer catches up: every event has been copied once. */
async function checkInTheEnd({ database, book }: Scene): Promise<void> {
  const engine = await openFast(database, 'full')
  const copying = copyAgents(engine)
  await until(async () => (await lagOf(engine)) === 0, 'the last copy')
  await expectProven(engine)
  await engine.close()
  await copying
  const raw = new Sqlite(database)
  inspectFile(raw, book)
  const copies = raw.prepare('select count(*) from copies').pluck().get()
  const agents = raw.prepare(`select count(*) from pawl_events where type like 'agent.%'`)
  expect(copies).toBe(agents.pluck().get())
  raw.close()
}

describe('a process that is killed while it writes', () => {
  test(`loses nothing that was acknowledged and leaves nothing half-written, over ${KILLS} kills`, {
    timeout: 60_000 + KILLS * 2000,
  }, async () => {
    report(`kill: seed ${SEED}`)
    const random = randomFrom(SEED)
    const tally: Tally = { kills: 0, acknowledged: 0, repeated: 0, overdue: 0 }
    const began = performance.now()
    while (tally.kills < KILLS) {
      const scene = createScene(random, tally)
      const until = Math.min(KILLS, tally.kills + KILLS_PER_FILE)
      while (tally.kills < until) await checkAfterwards(scene, await killSome(scene))
      await checkInTheEnd(scene)
    }
    const seconds = (performance.now() - began) / 1000
    report(
      `kill: seed ${SEED}, ${tally.kills} kills in ${seconds.toFixed(0)} s, ` +
        `${tally.acknowledged} acknowledged calls, ${tally.repeated} repeated with their key, ` +
        `${tally.overdue} overdue timers fired, 0 lost`,
    )
    expect(tally.kills).toBeGreaterThanOrEqual(KILLS)
    expect(tally.acknowledged).toBeGreaterThan(KILLS)
  })
})
