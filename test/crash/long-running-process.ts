import { once } from 'node:events'
import { readdirSync, statSync, writeSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Line } from './acknowledgements.ts'
import { copyAgents, openFast } from './fast-platform.ts'
import { callOnce, type Work } from './loaded-calls.ts'
import type { Holding, Life, LongLife } from './long-life.ts'
import { createLoad } from './platform-load.ts'
import { randomFrom } from './settings.ts'

const CALLERS = 64
const LOOKS = 40

const { database, seconds, seed }: LongLife = JSON.parse(process.argv[2] ?? '{}')

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const random = randomFrom(seed)
const engine = await openFast(database, 'full')
const errors: string[] = []
let [made, calls, seen, pruned, isOver] = [0, 0, 0, 0, false]

const tell = (line: Line): void => {
  if (line.is === 'failed') errors.push(line.message)
  if (line.is === 'acknowledged' || line.is === 'noted') calls += 1
}
// What an outcome that is kept for its key refers to is not pruned, and keys are kept for a day.
const keyed = 0
const work: Work = { engine, load: await createLoad(engine, random), random, tell, keyed }

async function call(): Promise<void> {
  while (!isOver) await callOnce(work, `l${++made}`)
}

async function subscribe(): Promise<void> {
  let last = 0
  for await (const { seq } of engine.events.subscribe({ from: 'start' })) {
    if (seq <= last) errors.push(`event ${seq} came after ${last}`)
    last = seq
    seen += 1
  }
}

function look(): Holding {
  collectGarbage()
  const megabyte = 2 ** 20
  return {
    heapMb: process.memoryUsage().heapUsed / megabyte,
    handles: process.getActiveResourcesInfo().length,
    files: readdirSync('/proc/self/fd').length,
    walMb: statSync(`${database}-wal`).size / megabyte,
  }
}

/** Looks at what is held again and again, and removes what is old from the log on the way. */
async function watch(): Promise<Holding[]> {
  const holdings: Holding[] = []
  const old = Math.max(1000, seconds * 250)
  for (let count = 0; count < LOOKS; count++) {
    await once(AbortSignal.timeout((seconds * 1000) / LOOKS), 'abort')
    holdings.push(look())
    if (count % 8 === 7) pruned += (await engine.prune({ events: old })).events
  }
  return holdings
}

await engine.start()
const running = [copyAgents(engine), subscribe(), ...Array.from({ length: CALLERS }, call)]
const holdings = await watch()
const copied = (await engine.consumers.list())[0]?.position ?? 0
const began = performance.now()
const closing = engine.close()
isOver = true
await closing
const closeMs = performance.now() - began
await Promise.all(running)
const life: Life = { holdings, calls, seen, copied, pruned, errors, closeMs }
writeSync(1, JSON.stringify(life))
