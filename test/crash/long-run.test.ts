import { spawn } from 'node:child_process'
import { once } from 'node:events'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { temporaryFile } from '../support/temp.ts'
import { expectProven } from './aftermath.ts'
import { type Bundled, bundle } from './bundled.ts'
import { OWN_SCHEMA, openFast } from './fast-platform.ts'
import type { Holding, Life, LongLife } from './long-life.ts'
import { numberFrom, report, sizeFor } from './settings.ts'

const SECONDS = numberFrom('PAWL_SECONDS', sizeFor({ quick: 2, ci: 10, deep: 120 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

// The second half may hold this much more than the first one. Compiled code and caches still settle.
const HEAP_SHARE = 0.1
const HEAP_MB = 4
// One timer more or less, a read that is on its way.
const HANDLES = 4

/** Twice the size at which SQLite begins to move the log into the file. */
const LARGEST_WAL_MB = 64

const LONGEST_CLOSE_MS = 2000
const LONGEST_EXIT_MS = 2000

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./long-running-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

/** Has a process live its life; gives what it said and how long it took to end after that. */
async function live(settings: LongLife): Promise<{ life: Life; exitMs: number }> {
  const child = spawn(process.execPath, [bundled.path, JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [text, spoke] = ['', 0]
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    spoke = performance.now()
  })
  expect(await once(child, 'close')).toEqual([0, null])
  return { life: JSON.parse(text), exitMs: performance.now() - spoke }
}

/** The two halves of a life, without its beginning, in which everything is done for the first time. */
function halvesOf(holdings: readonly Holding[]): [readonly Holding[], readonly Holding[]] {
  const settled = holdings.slice(Math.floor(holdings.length / 5))
  const middle = Math.floor(settled.length / 2)
  return [settled.slice(0, middle), settled.slice(middle)]
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}

describe('a process under full load', () => {
  test(`holds no more after ${SECONDS} s than before, and ends by itself`, {
    timeout: 60_000 + SECONDS * 3000,
  }, async () => {
    const database = temporaryFile()
    const raw = new Sqlite(database)
    raw.exec(OWN_SCHEMA)
    raw.close()

    const { life, exitMs } = await live({ database, seconds: SECONDS, seed: SEED })

    const [first, second] = halvesOf(life.holdings)
    const medians = (name: keyof Holding) =>
      [first, second].map((half) => median(half.map((holding) => holding[name])))
    const [heap = 0, heapLater = 0] = medians('heapMb')
    const [handles = 0, handlesLater = 0] = medians('handles')
    const [files = 0, filesLater = 0] = medians('files')
    const largestWal = Math.max(...life.holdings.map(({ walMb }) => walMb))
    const { calls, seen, copied, pruned, closeMs, errors } = life
    report(
      `long run: seed ${SEED}, ${SECONDS} s, ${calls} calls, ${seen} events seen, ${copied} passed by the consumer, ` +
        `${pruned} pruned; heap ${heap.toFixed(1)} then ${heapLater.toFixed(1)} MB, ` +
        `handles ${handles} then ${handlesLater}, files ${files} then ${filesLater}, ` +
        `WAL at most ${largestWal.toFixed(0)} MB, closed in ${closeMs.toFixed(0)} ms, gone after ${exitMs.toFixed(0)} ms`,
    )
    expect(errors).toEqual([])
    expect(heapLater).toBeLessThanOrEqual(heap * (1 + HEAP_SHARE) + HEAP_MB)
    expect(handlesLater).toBeLessThanOrEqual(handles + HANDLES)
    expect(filesLater).toBeLessThanOrEqual(files)
    expect(largestWal).toBeLessThanOrEqual(LARGEST_WAL_MB)
    expect(closeMs).toBeLessThanOrEqual(LONGEST_CLOSE_MS)
    expect(exitMs).toBeLessThanOrEqual(LONGEST_EXIT_MS)
    expect(seen).toBeGreaterThan(calls / 2)

    const engine = await openFast(database, 'full')
    onTestFinished(() => engine.close())
    await expectProven(engine)
  })
})
