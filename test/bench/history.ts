/** How long does a page of the log take to read, and does it take longer when the log is long? @module */

import type { Filled } from './filled.ts'
import type { Figure, Found } from './found.ts'
import { quantile } from './measure.ts'
import { type AgentEngine, openEngine } from './pawl.ts'

type Filter = Parameters<AgentEngine['events']['list']>[0]

/** The pages that are read, turn after turn. */
const PAGES: Readonly<Record<string, (log: Filled, turn: number) => Filter>> = {
  newest: () => ({}),
  // The tasks were created at the very beginning of the log.
  'by type': () => ({ type: 'task.created' }),
  'by resource': ({ tasks }, turn) => ({ resource: tasks[turn % tasks.length] ?? '' }),
  // Half of 10⁶ events are 10,000 pages.
  deep: ({ middle }, turn) => ({ cursor: middle[turn % middle.length] ?? '' }),
}

const PAGE = 50
const WARM_UP = 20
const TURNS = 200

/** Reads pages of a short and of a long log. */
export async function measureHistory(few: Filled, many: Filled): Promise<Found> {
  const engines = [await openEngine(few.file, 'full'), await openEngine(many.file, 'full')] as const
  const figures: Figure[] = []
  for (const [name, filterOf] of Object.entries(PAGES)) {
    const times: [number[], number[]] = [[], []]
    for (let turn = 0; turn < WARM_UP + TURNS; turn++) {
      times[0].push(await timeOf(engines[0], filterOf(few, turn)))
      times[1].push(await timeOf(engines[1], filterOf(many, turn)))
    }
    figures.push(compared(name, few, many, times))
  }
  for (const engine of engines) await engine.close()
  return { rates: [], figures }
}

async function timeOf(engine: AgentEngine, filter: Filter): Promise<number> {
  const start = performance.now()
  const { data } = await engine.events.list(filter)
  const time = performance.now() - start
  if (data.length !== PAGE) throw new Error(`a page has ${data.length} events`)
  return time
}

function compared(
  name: string,
  few: Filled,
  many: Filled,
  times: readonly [readonly number[], readonly number[]],
): Figure {
  const [short, long] = [p50(times[0]), p50(times[1])]
  const note = `p50 of a page ${of(short, few)}, ${of(long, many)}`
  return { name: `history/${name}`, value: long / short, unit: '×', note }
}

function p50(times: readonly number[]): number {
  return quantile(times.slice(WARM_UP), 0.5)
}

function of(time: number, { events }: Filled): string {
  return `${time.toFixed(3)} ms of ${events.toLocaleString('en')} events`
}
