/** How many calls per second, and how long does one take? @module */

import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The tasks that the commands go to. */
export const TASKS = 1000

/** What a task is told. */
export type Command = 'promote' | 'demote'

/** What a commit survives: loss of power, or a crash of the process. */
export type Durability = 'full' | 'relaxed'

/** One way to change tasks, on a database of its own. */
export interface Contender {
  change(task: number, command: Command): Promise<unknown>
  close(): Promise<void> | void
}

/** Opens a contender on a file that does not exist yet. */
export type Open = (file: string, durability: Durability) => Promise<Contender> | Contender

/** What one round found. */
export interface Sample {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  /** Milliseconds. */
  readonly p99: number
  /** How long the event loop was held up, in milliseconds: 99 of 100 times less. */
  readonly loop: number
}

const WARM_UP_MS = 500
const ROUND_MS = 2000

/** Measures one round of a contender: a warm-up, then concurrent callers that each wait for their change. */
export async function measure(
  contender: Contender,
  callers: number,
): Promise<Sample & { readonly changes: number }> {
  const turn = turns(TASKS)
  let changes = 0
  const call = () => {
    const { task, command } = turn()
    changes += 1
    return contender.change(task, command)
  }
  await drive(callers, during(WARM_UP_MS), call)
  const sample = await drive(callers, during(ROUND_MS), call)
  return { ...sample, changes }
}

export type Turn = () => { readonly task: number; readonly command: Command }

/** All tasks are promoted in turn, then all are demoted: no two callers ever meet at one task. */
export function turns(tasks: number): Turn {
  let turn = 0
  return () => {
    const command = Math.floor(turn / tasks) % 2 === 0 ? 'promote' : 'demote'
    return { task: turn++ % tasks, command }
  }
}

/** Whether there is time for another call, or need of one. */
type GoesOn = (now: number) => boolean

/** From now on for so many milliseconds. */
export function during(milliseconds: number): GoesOn {
  const end = performance.now() + milliseconds
  return (now) => now < end
}

/** So many calls, all callers together. */
export function times(calls: number): GoesOn {
  let left = calls
  return () => left-- > 0
}

/** Has callers call at the same time, each waiting for its own call before the next one. */
export async function drive(
  callers: number,
  goesOn: GoesOn,
  call: () => Promise<unknown>,
): Promise<Sample> {
  const latencies: number[] = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  async function caller(): Promise<void> {
    for (let now = start; goesOn(now); ) {
      const sent = performance.now()
      await call()
      now = performance.now()
      latencies.push(now - sent)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const seconds = (performance.now() - start) / 1000
  delay.disable()
  const [p50, p99] = [quantile(latencies, 0.5), quantile(latencies, 0.99)]
  return { perSecond: latencies.length / seconds, p50, p99, loop: delay.percentile(99) / 1e6 }
}

/** The value below which a share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}
