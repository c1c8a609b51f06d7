/** What if very many timers are due at once? @module */

import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Found } from './found.ts'
import { drive, times } from './measure.ts'
import { type AgentEngine, openEngine } from './pawl.ts'

const CALLERS = 64

// They are due long before all of them are set; nothing fires before it is told to.
const SOON = { session_provisioning: 1 }

/** Sets the timers of so many sessions, then fires them together. */
export async function measureTimers(file: string, count: number): Promise<Found> {
  const engine = await openEngine(file, 'full', SOON)
  const armed = await drive(CALLERS, times(count), () => engine.sessions.create())
  const { seconds, stall } = await fire(engine, count)
  await engine.close()
  const note = `longest event-loop delay while ${count.toLocaleString('en')} timers fire`
  const fired = { perSecond: count / seconds, p50: null, p99: null, loop: stall, bytes: null }
  return {
    rates: [
      { name: 'timers/arm', durability: 'full', ...armed, bytes: null },
      { name: 'timers/fire', durability: 'full', ...fired },
    ],
    figures: [{ name: 'timers/stall', value: stall, unit: 'ms', note }],
  }
}

async function fire(engine: AgentEngine, count: number) {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const { fired } = await engine.tick()
  const seconds = (performance.now() - start) / 1000
  delay.disable()
  if (fired !== count) throw new Error(`${fired} of ${count} timers fired`)
  return { seconds, stall: delay.max / 1e6 }
}
