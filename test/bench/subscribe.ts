/** How fast does a subscriber catch up with a long log, and what does it hold in memory? @module */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Filled } from './filled.ts'
import type { Found } from './found.ts'
import { openEngine } from './pawl.ts'

/** Reads a filled database's log from its start to its end. */
export async function measureSubscribe({ file, events }: Filled): Promise<Found> {
  const engine = await openEngine(file, 'full')
  const [warmUp, stride] = [events / 10, events / 20]
  const clock = createClock()
  const heap: number[] = []
  let seen = 0
  for await (const { seq } of engine.events.subscribe({ from: 'start' })) {
    seen += 1
    if (seq !== seen) throw new Error(`event ${seq} came in place of ${seen}`)
    if (seen === events) break
    if (seen >= warmUp && seen % stride === 0) clock.pause(() => heap.push(usedHeap()))
  }
  const perSecond = events / clock.seconds()
  await engine.close()
  const growth = (Math.max(...heap) - (heap[0] ?? 0)) / 2 ** 20
  const note = `growth after the first ${warmUp.toLocaleString('en')} events`
  return {
    rates: [
      {
        ...{ name: 'subscribe', durability: 'full', perSecond },
        ...{ p50: null, p99: null, loop: null, bytes: null },
      },
    ],
    figures: [{ name: 'subscribe/heap', value: growth, unit: 'MB', note }],
  }
}

/** A clock that does not count what measuring takes. */
function createClock() {
  let start = performance.now()
  return {
    pause: (work: () => void) => {
      const paused = performance.now()
      work()
      start += performance.now() - paused
    },
    seconds: () => (performance.now() - start) / 1000,
  }
}

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** What is in use, without what is only waiting to be collected. */
function usedHeap(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
