/** How long does it take to open a database whose log is long? @module */

import type { Filled } from './filled.ts'
import type { Found } from './found.ts'
import { quantile } from './measure.ts'
import { openEngine } from './pawl.ts'

const TURNS = 9

/** Opens a filled database several times. */
export async function measureOpen({ file, events }: Filled): Promise<Found> {
  const times: number[] = []
  for (let turn = 0; turn < TURNS; turn++) {
    const start = performance.now()
    const engine = await openEngine(file, 'full')
    times.push(performance.now() - start)
    await engine.close()
  }
  const note = `median of ${TURNS}, ${events.toLocaleString('en')} events`
  const figure = { name: 'open', value: quantile(times, 0.5), unit: 'ms', note } as const
  return { rates: [], figures: [figure] }
}
