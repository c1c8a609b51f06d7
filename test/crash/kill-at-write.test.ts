import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { type Line, linesOf } from './acknowledgements.ts'
import {
  createBook,
  enter,
  expectProven,
  expectSecrets,
  inspectFile,
  repeat,
  triedIn,
} from './aftermath.ts'
import { type Bundled, bundleForMany } from './bundled.ts'
import { OWN_SCHEMA, openFast } from './fast-platform.ts'
import type { Scripted } from './scripted.ts'
import { numberFrom, report, sizeFor } from './settings.ts'
import { canTrace, traced } from './strace.ts'

const POINTS = numberFrom(
  'PAWL_POINTS',
  sizeFor({ quick: 6, ci: 200, deep: Number.MAX_SAFE_INTEGER }),
)

/** The calls of the system with which SQLite changes files; Node itself uses none of them here. */
const CALLS = ['pwrite64', 'fsync', 'fdatasync', 'ftruncate', 'unlink'] as const

/** How many processes work at a time. */
const AT_A_TIME = 2

/** A place to die: before the so-manieth call of a kind. */
interface Point {
  readonly call: string
  readonly number: number
}

const isTracing = canTrace('kill at every write')

let bundled: Bundled
beforeAll(() => {
  bundled = bundleForMany(new URL('./scripted-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

/** Does something with a database of its own, in a folder that is gone afterwards. */
async function withDatabase<T>(work: (database: string) => Promise<T>): Promise<T> {
  const folder = makeTemporaryDirectory()
  try {
    return await work(join(folder, 'pawl.db'))
  } finally {
    removeDirectory(folder)
  }
}

/** Goes through the script to its end; gives where it could have died, and the tables that there are then. */
function survey(): Promise<{ points: Point[]; tables: string[] }> {
  return withDatabase(async (database) => {
    const log = join(dirname(database), 'calls')
    const settings: Scripted = { database }
    const options = ['-e', `trace=${CALLS.join()}`, '-o', log]
    const { code, output } = await traced(options, [], bundled.path, settings)
    expect(code).toBe(0)
    const points = toPoints(readFileSync(log, 'utf8'))
    await checkAfterwards(database, linesOf(output), tablesOf(database))
    return { points, tables: tablesOf(database) }
  })
}

/** The places of a log of calls, in the order in which they come. */
function toPoints(log: string): Point[] {
  const counts = new Map<string, number>()
  return [...log.matchAll(/^\d+\s+(\w+)\(/gm)].map(([, call = '']) => {
    const number = (counts.get(call) ?? 0) + 1
    counts.set(call, number)
    return { call, number }
  })
}

function tablesOf(database: string): string[] {
  const raw = new Sqlite(database)
  const tables = raw
    .prepare<[], string>(`select name from sqlite_master where name like 'pawl%' order by name`)
    .pluck()
    .all()
  raw.close()
  return tables
}

/**
 * Runs the script under strace, which kills it as it enters a call for the so-manieth time. Only the main thread is
 * watched, which is the one that uses the database. (With `--seccomp-bpf`, strace 6.1 sends no signal.)
 */
async function killedAt(call: string, number: number, settings: Scripted) {
  const kill = `inject=${call}:signal=SIGKILL:when=${number}`
  const options = ['-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', kill]
  const command = [process.execPath, bundled.path, JSON.stringify(settings)]
  const child = spawn('strace', [...options, ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  // strace ends as what it traces does.
  const [code, signal] = await once(child, 'close')
  return { code, hasDied: signal === 'SIGKILL' || code === 128 + 9, output }
}

/** Goes through the script until it dies at a point, and checks what is left. Gives whether it died. */
function dieAt({ call, number }: Point, tables: readonly string[]): Promise<boolean> {
  return withDatabase(async (database) => {
    const settings: Scripted = { database }
    const { code, hasDied, output } = await killedAt(call, number, settings)
    // Which pages a call touches depends a little on random ids: the last point may not be reached.
    if (!hasDied) expect(code).toBe(0)
    await checkAfterwards(database, linesOf(output), tables)
    return hasDied
  })
}

async function checkAfterwards(
  database: string,
  lines: readonly Line[],
  tables: readonly string[],
): Promise<void> {
  const found = tablesOf(database)
  if (found.length === 0) expect(lines).toEqual([])
  else expect(found).toEqual(tables)
  const book = createBook()
  enter(book, lines)
  const raw = new Sqlite(database)
  raw.exec(OWN_SCHEMA)
  if (found.length > 0) inspectFile(raw, book)
  const engine = await openFast(database, 'full', {})
  await expectProven(engine)
  const tried = triedIn(lines)
  await expectSecrets(engine, tried)
  for (const one of tried) await repeat(engine, one)
  await engine.close()
  inspectFile(raw, book)
  raw.close()
}

/** So many of the points: all those of calls that are rare, and the others evenly spread. */
function choose(points: readonly Point[], count: number): Point[] {
  const isRare = ({ call }: Point) => points.filter((p) => p.call === call).length <= count / 20
  const rare = points.filter(isRare)
  const others = points.filter((point) => !isRare(point))
  const wanted = Math.min(count - rare.length, others.length)
  return [...rare, ...others.filter((_, index) => takes(index, others.length, wanted))]
}

/** Whether one of `all` things is among the `wanted` ones, which are evenly spread. */
function takes(index: number, all: number, wanted: number): boolean {
  return Math.floor(((index + 1) * wanted) / all) > Math.floor((index * wanted) / all)
}

describe.skipIf(!isTracing)('a process that is killed at one of its writes', () => {
  test('leaves a file that is whole, from its creation to its end', {
    timeout: 60_000 + Math.min(POINTS, 1000) * 5000,
  }, async () => {
    const { points, tables } = await survey()
    const chosen = choose(points, POINTS)
    const waiting = [...chosen]
    let died = 0
    const takeTurns = async (): Promise<void> => {
      for (let point = waiting.shift(); point !== undefined; point = waiting.shift()) {
        try {
          if (await dieAt(point, tables)) died += 1
        } catch (cause) {
          throw new Error(`killed at ${point.call} number ${point.number}`, { cause })
        }
      }
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, takeTurns))
    const kinds = CALLS.map((call) => `${chosen.filter((p) => p.call === call).length} ${call}`)
    report(
      `kill at every write: ${chosen.length} of ${points.length} points (${kinds.join(', ')}), ` +
        `${died} died there, all whole`,
    )
    expect(died).toBeGreaterThan(chosen.length * 0.9)
  })
})
