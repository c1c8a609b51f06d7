import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { openRaw, rowsOf } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { type Bundled, bundle } from './bundled.ts'
import type { Account, Acknowledged, Assignment } from './contention.ts'
import { nextMessage } from './next-message.ts'
import { numberFrom, report, sizeFor } from './settings.ts'

const WRITERS = numberFrom('PAWL_WRITERS', sizeFor({ quick: 3, ci: 8, deep: 16 }))
const SECONDS = numberFrom('PAWL_SECONDS', sizeFor({ quick: 1, ci: 10, deep: 60 }))

const LONGEST_STALL_MS = 100

/** How much more the most successful writer may get done than the least successful one. */
const WIDEST_SPREAD = 5

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./contending-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

async function setup() {
  const database = temporaryFile()
  const raw = openRaw(database)
  raw.exec('create table counts (id integer primary key, n integer not null) strict')
  raw.exec('insert into counts (id, n) values (1, 0)')
  const engine = await createEngine({ database })
  onTestFinished(() => engine.close())
  const sharedAgent = (await engine.agents.create({ name: 'S' })).resource.id
  return { database, raw, engine, sharedAgent }
}

/** Starts writers; they all begin once the last one is ready. */
async function startWriters(database: string): Promise<ChildProcess[]> {
  const writers = Array.from({ length: WRITERS }, () => fork(bundled.path, [database]))
  onTestFinished(() => {
    for (const writer of writers) writer.kill('SIGKILL')
  })
  await Promise.all(writers.map((writer) => nextMessage(writer)))
  return writers
}

/** Has a writer write, and waits until it has said how that went and is gone. */
async function accountOf(writer: ChildProcess, assignment: Assignment): Promise<Account> {
  const gone = once(writer, 'exit')
  const told = nextMessage<Account>(writer)
  writer.send(assignment)
  const account = await told
  expect(await gone).toEqual([0, null])
  return account
}

/** Follows the log from its start, until it is told at which place to stop. */
function follow(engine: Awaited<ReturnType<typeof setup>>['engine']) {
  const seqs: number[] = []
  const stop = new AbortController()
  let last = Number.POSITIVE_INFINITY
  const following = (async () => {
    for await (const { seq } of engine.events.subscribe({ from: 'start', signal: stop.signal })) {
      seqs.push(seq)
      if (seq >= last) return
    }
  })()
  return {
    upTo: async (head: number): Promise<number[]> => {
      last = head
      if ((seqs.at(-1) ?? 0) >= head) stop.abort()
      await following
      return seqs
    },
  }
}

/** The calls, of all writers, that began after another one had ended and yet come before it in the log. */
function outOfOrder(calls: readonly Acknowledged[]): number[][] {
  const byEnd = calls.toSorted((a, b) => a.ended - b.ended)
  let [done, highest] = [0, 0]
  const wrong: number[][] = []
  for (const { began, seqs } of calls.toSorted((a, b) => a.began - b.began)) {
    for (let next = byEnd[done]; next !== undefined && next.ended < began; next = byEnd[++done]) {
      highest = Math.max(highest, ...next.seqs)
    }
    if (Math.min(...seqs) <= highest) wrong.push([...seqs, highest])
  }
  return wrong
}

/**
 * Syncs a small file beside the database again and again; gives what ends that and says how long the slowest
 * sync took. A commit waits for the disk, and the disk is shared with everything else on the machine: a
 * writer that is held up may be held up by that much more.
 */
function probeDisk(beside: string): () => Promise<number> {
  const stop = new AbortController()
  let slowest = 0
  const probing = (async () => {
    const file = await open(`${beside}.probe`, 'w')
    for (let count = 0; !stop.signal.aborted; count++) {
      await file.write(String(count), 0)
      const began = performance.now()
      await file.datasync()
      slowest = Math.max(slowest, performance.now() - began)
      await once(AbortSignal.timeout(5), 'abort')
    }
    await file.close()
  })()
  return async () => {
    stop.abort()
    await probing
    return slowest
  }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

describe('several writing processes', () => {
  test(`${WRITERS} share one file for ${SECONDS} s: nobody is turned away, starved or held up`, {
    timeout: 60_000 + SECONDS * 5000,
  }, async () => {
    const { database, raw, engine, sharedAgent } = await setup()
    const writers = await startWriters(database)
    const followed = follow(engine)
    const endProbe = probeDisk(database)

    const accounts = await Promise.all(
      writers.map((writer) => accountOf(writer, { seconds: SECONDS, sharedAgent })),
    )
    const slowestSync = await endProbe()
    const log = raw.prepare('select seq from pawl_events order by seq').pluck().all()
    const seen = await followed.upTo(log.length)

    const calls = accounts.flatMap(({ acknowledged }) => acknowledged)
    const shares = accounts.map(({ acknowledged }) => acknowledged.length)
    const [least, most] = [Math.min(...shares), Math.max(...shares)]
    const worst = (which: 'own' | 'longest') =>
      Math.max(...accounts.map(({ stalls }) => stalls[which]))
    const waited = sumOf(accounts.map(({ stalls }) => stalls.unscheduled / stalls.elapsed))
    report(
      `writers: ${WRITERS} processes, ${SECONDS} s, ${calls.length} calls (${least} to ${most} each), ` +
        `${log.length} entries, longest stall ${worst('own').toFixed(0)} ms ` +
        `(${worst('longest').toFixed(0)} ms with the wait for a processor, ` +
        `which took ${Math.round((waited / WRITERS) * 100)} % of the time), ` +
        `slowest sync of the disk ${slowestSync.toFixed(0)} ms`,
    )
    expect(accounts.flatMap(({ errors }) => errors)).toEqual([])
    expect(seen).toEqual(log)
    expect(log).toEqual(log.map((_, index) => index + 1))
    expect(outOfOrder(calls)).toEqual([])
    expect(rowsOf(raw, 'counts')).toMatchObject([{ n: sumOf(accounts.map((a) => a.counted)) }])
    expect((await engine.agents.get(sharedAgent)).version).toBe(
      1 + sumOf(accounts.map((a) => a.shared)),
    )
    expect(await engine.verify()).toMatchObject({ ok: true, differences: [] })
    expect(least * WIDEST_SPREAD).toBeGreaterThanOrEqual(most)
    expect(worst('own')).toBeLessThanOrEqual(LONGEST_STALL_MS + slowestSync)
  })
})
