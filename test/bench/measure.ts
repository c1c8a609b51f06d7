/** How many changes per second, and how long does one take? @module */

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
}

const WARM_UP_MS = 500
const ROUND_MS = 2000

/** Measures one round of a contender: a warm-up, then concurrent callers that each wait for their change. */
export async function measure(contender: Contender, callers: number): Promise<Sample> {
  const turn = turns()
  await drive(contender, callers, WARM_UP_MS, turn)
  return drive(contender, callers, ROUND_MS, turn)
}

type Turn = () => { readonly task: number; readonly command: Command }

/** All tasks are promoted in turn, then all are demoted: no two callers ever meet at one task. */
function turns(): Turn {
  let turn = 0
  return () => {
    const command = Math.floor(turn / TASKS) % 2 === 0 ? 'promote' : 'demote'
    return { task: turn++ % TASKS, command }
  }
}

async function drive(
  contender: Contender,
  callers: number,
  milliseconds: number,
  turn: Turn,
): Promise<Sample> {
  const latencies: number[] = []
  const start = performance.now()
  async function caller(): Promise<void> {
    for (let now = start; now < start + milliseconds; ) {
      const { task, command } = turn()
      const sent = performance.now()
      await contender.change(task, command)
      now = performance.now()
      latencies.push(now - sent)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const seconds = (performance.now() - start) / 1000
  latencies.sort((a, b) => a - b)
  const quantile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN
  return { perSecond: latencies.length / seconds, p50: quantile(0.5), p99: quantile(0.99) }
}

/** The sample in the middle, value by value. */
export function median(samples: readonly Sample[]): Sample {
  const middle = (key: keyof Sample) => {
    const values = samples.map((sample) => sample[key]).sort((a, b) => a - b)
    return values[Math.floor(values.length / 2)] ?? Number.NaN
  }
  return { perSecond: middle('perSecond'), p50: middle('p50'), p99: middle('p99') }
}
