import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'vitest'
import { isPawlError } from '../../src/index.ts'
import { createTestEngine, type TestClock } from '../../src/testing.ts'
import { expectSettled } from './after-storage-errors.ts'
import { COPIER } from './copies.ts'
import type { Said } from './failing-disk.ts'
import { copyTasks, makeOwnTables } from './own-rows.ts'
import { randomFrom } from './settings.ts'
import { makeSmallDisk, type SmallDisk } from './small-disk.ts'
import { type Call, createWorkload, type PlatformEngine } from './workload.ts'

type TestEngine = PlatformEngine & { readonly clock: TestClock }

// As long as nobody fills the disk there is room for all that is done.
const MEGABYTES = 24
const ROUNDS = 25
const CALLERS = 3

/** Work on a disk that is full now and then. */
interface Work {
  readonly engine: TestEngine
  readonly plan: (key: string) => Call
  readonly calls: Map<string, Call>
  readonly said: Said[]
  /** What went wrong though there was room, or because there was none in another way. */
  readonly unexpected: unknown[]
  /** How often there was no room. */
  refused: number
}

/** Works on a disk that somebody fills and empties meanwhile; all settles when there is room. */
export async function surviveFullDisk(seed: number): Promise<{ calls: number; refused: number }> {
  const disk = makeSmallDisk(MEGABYTES)
  const database = join(disk.folder, 'pawl.db')
  const random = randomFrom(seed)
  const engine = await createTestEngine({ database, onError: (error) => note(work, error) })
  const plan = createWorkload(engine, random)
  const work: Work = { engine, plan, calls: new Map(), said: [], unexpected: [], refused: 0 }
  try {
    await makeOwnTables(engine)
    const stop = new AbortController()
    // A failure that counted as the handler's would park the event at once. The clock runs fast here.
    const copying = copyTasks(engine, stop.signal, { tries: 1, backoff: 1, lease: '5m' })
    for (let round = 0; round < ROUNDS; round++) {
      change(disk, random)
      await Promise.all(Array.from({ length: CALLERS }, () => callOnce(work)))
      await attempt(work, () => engine.clock.advance('1s'))
    }
    disk.clear()
    await settle(work)
    await untilCopied(engine)
    stop.abort()
    await copying
    await engine.close()
    expect(work.unexpected).toEqual([])
    await expectSettled(database, work.said)
    return { calls: work.calls.size, refused: work.refused }
  } catch (cause) {
    throw new Error(`a full disk: seed ${seed}`, { cause })
  } finally {
    await engine.close()
  }
}

function change(disk: SmallDisk, random: () => number): void {
  if (random() < 0.4) disk.clear()
  else disk.fill(Math.floor(random() ** 2 * 200_000))
}

/** The only thing that may go wrong is that there is no room. */
function note(work: Work, error: unknown): void {
  if (isPawlError(error, 'storage_full')) work.refused += 1
  else work.unexpected.push(error)
}

async function attempt(work: Work, call: () => Promise<unknown>): Promise<void> {
  try {
    await call()
  } catch (error) {
    note(work, error)
  }
}

function callOnce(work: Work): Promise<void> {
  const key = `k${work.calls.size + 1}`
  const call = work.plan(key)
  work.calls.set(key, call)
  return attempt(work, async () => {
    const { seqs } = await call()
    work.said.push({ is: 'acknowledged', key, seqs })
  })
}

/** Makes every call again: those that were refused have their effect now, and the others none. */
async function settle({ calls, said }: Work): Promise<void> {
  const done = new Set(said.map((one) => (one.is === 'acknowledged' ? one.key : '')))
  for (const [key, call] of calls) {
    const { seqs, replayed } = await call()
    // What lacked room has not happened; that is for certain.
    expect(replayed).toBe(done.has(key))
    if (!replayed) said.push({ is: 'acknowledged', key, seqs })
  }
  for (const [key, call] of calls) said.push({ is: 'repeated', key, ...(await call()) })
}

async function untilCopied(engine: TestEngine): Promise<void> {
  do {
    await engine.clock.advance('1s')
    await turn()
  } while ((await engine.consumers.list())[0]?.lag !== 0)
  expect(await engine.consumers.parked(COPIER)).toEqual([])
}
