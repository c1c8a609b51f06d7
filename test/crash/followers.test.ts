import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { setInterval } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../src/index.ts'
import { temporaryFile } from '../support/temp.ts'
import { type Bundled, bundle } from './bundled.ts'
import { numberFrom, report } from './settings.ts'

const EVENTS = numberFrom('PAWL_EVENTS', 20_000)

const WRITERS = 2

const MOST_GROWTH_MB = 20

/** The last event says so: subscribers do not know how many there will be. */
const LAST = 'the last event'

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./writing-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

interface Seen {
  readonly id: string
  readonly seq: number
  readonly type: string
  readonly data: object
}

/** Sums up events in so little memory that a million of them do not matter. */
function createSum() {
  const hash = createHash('sha256')
  let [count, last] = [0, 0]
  return {
    add: ({ id, seq, type }: Seen): void => {
      if (seq <= last) throw new Error(`event ${seq} came after ${last}`)
      hash.update(`${seq} ${id} ${type}\n`)
      last = seq
      count += 1
    },
    count: () => count,
    digest: () => ({ count, last, hash: hash.copy().digest('hex') }),
  }
}

type Sum = ReturnType<ReturnType<typeof createSum>['digest']>

async function sumOf(events: AsyncIterable<Seen>): Promise<Sum> {
  const sum = createSum()
  for await (const event of events) sum.add(event)
  return sum.digest()
}

function isLast({ data }: Seen): boolean {
  return 'name' in data && data.name === LAST
}

/** Reads to the last event, doing something after each one. */
async function follow(
  events: AsyncIterable<Seen>,
  after: (count: number) => unknown = () => {},
): Promise<Sum> {
  const sum = createSum()
  for await (const event of events) {
    sum.add(event)
    if (isLast(event)) break
    const waiting = after(sum.count())
    if (waiting instanceof Promise) await waiting
  }
  return sum.digest()
}

/** Begins anew every so many events, after the last one that it has seen. */
async function* reconnecting(
  subscribe: (from: string) => AsyncIterable<Seen>,
  every: number,
): AsyncGenerator<Seen> {
  for (let from = 'start'; ; ) {
    let left = every
    for await (const event of subscribe(from)) {
      from = event.id
      yield event
      if (--left === 0) break
    }
  }
}

/** A moment in which nothing is read. */
async function pause(): Promise<void> {
  for await (const _ of setInterval(2)) return
}

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** What is in use, in MB, without what is only waiting to be collected. */
function usedHeap(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed / 2 ** 20
}

/** Processes that are ready to write so many events each; gives what has them begin and waits for their end. */
async function prepareWriters(database: string, events: number): Promise<() => Promise<unknown>> {
  const children = Array.from({ length: WRITERS }, () =>
    fork(bundled.path, [database, String(events)]),
  )
  onTestFinished(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  await Promise.all(children.map((child) => once(child, 'message')))
  return () =>
    Promise.all(
      children.map(async (child) => {
        const gone = once(child, 'exit')
        child.send('write')
        expect(await gone).toEqual([0, null])
      }),
    )
}

describe('subscribers, while two processes write', () => {
  test(`see each of ${EVENTS} events once and in order, in memory that does not grow`, {
    timeout: 60_000 + EVENTS,
  }, async () => {
    const database = temporaryFile()
    const engine = await createEngine({ database, durability: 'relaxed' })
    onTestFinished(() => engine.close())
    const write = await prepareWriters(database, Math.floor((EVENTS - 1) / WRITERS))
    const heap: number[] = []
    const stride = Math.ceil(EVENTS / 20)
    const measure = (count: number) => {
      if (count >= EVENTS / 10 && count % stride === 0) heap.push(usedHeap())
    }
    const fromStart = (from = 'start') => engine.events.subscribe({ from })

    const following = Promise.all([
      follow(fromStart(), measure),
      follow(fromStart(), (count) => (count % 1000 === 0 ? pause() : null)),
      follow(reconnecting(fromStart, 5000)),
      follow(engine.events.subscribe({ from: 'start', type: 'agent.*' })),
    ])
    const began = performance.now()
    await write()
    const written = performance.now()
    await engine.agents.create({ name: LAST })
    const [first, slow, reconnected, filtered] = await following
    const ended = performance.now()

    const growth = Math.max(...heap) - (heap[0] ?? Number.NaN)
    const rate = (since: number, until: number) =>
      Math.round((first.count / (until - since)) * 1000)
    report(
      `followers: ${first.count} events, written at ${rate(began, written)}/s, ` +
        `seen by all at ${rate(began, ended)}/s; heap ${heap[0]?.toFixed(1)} MB, ` +
        `growth ${growth.toFixed(1)} MB; WAL ${Math.round(statSync(`${database}-wal`).size / 2 ** 20)} MB`,
    )
    const log = await sumOf(engine.events.list({ order: 'asc', limit: 1000 }))
    const agents = { type: 'agent.*', order: 'asc', limit: 1000 } as const
    expect(log.count).toBe(1 + WRITERS * Math.floor((EVENTS - 1) / WRITERS))
    expect(log.last).toBe(log.count)
    expect({ first, slow, reconnected }).toEqual({ first: log, slow: log, reconnected: log })
    expect(filtered).toEqual(await sumOf(engine.events.list(agents)))
    expect(filtered.count).toBeGreaterThan(EVENTS / 5)
    expect(growth).toBeLessThanOrEqual(MOST_GROWTH_MB)
  })
})
