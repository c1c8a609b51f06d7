/** Does the engine agree with the model, over many seeds? The tests that ask so, wherever it keeps its data. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { numberFrom, report, sizeFor } from '../settings.ts'
import type { OpenGround } from './ground.ts'
import { type Played, play } from './play.ts'
import type { Script } from './script.ts'
import { shrink } from './shrink.ts'
import type { Counts } from './stage.ts'
import { writeScript } from './write-script.ts'

const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)
const SHRINKING_MS = numberFrom('PAWL_SHRINK', 60_000)

type Sizes = Parameters<typeof sizeFor>[0]

/** Where a simulation takes place, and how much of it. */
interface Simulation {
  readonly name: string
  /** The file of the test. */
  readonly path: string
  readonly openGround: OpenGround
  readonly seeds: Sizes
  readonly steps: Sizes
  /** Every so many seeds, one is played twice, and the logs have to be equal; null where they may differ. */
  readonly twice: number | null
}

/** Declares the tests of a simulation: of a script from a file, or of those that seeds write. */
export function testAgreement(simulation: Simulation): void {
  const file = process.env.PAWL_SCRIPT
  const seeds = numberFrom('PAWL_SEEDS', sizeFor(simulation.seeds))
  const steps = numberFrom('PAWL_STEPS', sizeFor(simulation.steps))

  test.runIf(file)('plays a script from a file', { timeout: 600_000 }, async () => {
    const script = JSON.parse(readFileSync(file ?? '', 'utf8')) as Script
    expect((await play(script, simulation.openGround)).failure).toBeNull()
  })

  const timeout = 60_000 + SHRINKING_MS + seeds * steps * 100
  test.skipIf(file)(`agrees with the model, over ${seeds} seeds`, { timeout }, () =>
    playSeeds(simulation, seeds, steps),
  )
}

async function playSeeds(simulation: Simulation, seeds: number, steps: number): Promise<void> {
  const { name, openGround, twice } = simulation
  const total: Counts = { steps: 0, calls: 0, entries: 0, faults: 0, restarts: 0 }
  const start = process.cpuUsage()
  let repeated = 0
  for (let seed = SEED; seed < SEED + seeds; seed++) {
    const script = writeScript(seed, steps)
    const again = `PAWL_SEED=${seed} PAWL_SEEDS=1 PAWL_STEPS=${steps}`
    const { counts, digest } = await playSound(simulation, script, again)
    add(total, counts)
    if (twice === null || (seed - SEED) % twice > 0) continue
    expect((await play(script, openGround)).digest, `seed ${seed}, played twice`).toBe(digest)
    repeated += counts.steps
  }
  const { user, system } = process.cpuUsage(start)
  const rate = Math.round(((total.steps + repeated) * 1e6) / (user + system))
  report(
    `${name}: seeds ${SEED} to ${SEED + seeds - 1}, ${total.steps} steps (${rate} per second of CPU), ` +
      `${total.calls} calls, ${total.entries} entries, ${total.faults} faults, ` +
      `${total.restarts} restarts, 0 violations` +
      (twice === null ? '' : `; ${Math.ceil(seeds / twice)} seeds twice with equal logs`),
  )
}

/** Plays a script that has to find nothing. */
async function playSound(simulation: Simulation, script: Script, again: string): Promise<Played> {
  const played = await play(script, simulation.openGround)
  if (played.failure !== null) {
    await reportFailure(simulation, script, played)
    report(`or ${again}`)
  }
  expect(played.failure, `seed ${script.seed}`).toBeNull()
  return played
}

/** Tells all that is needed to see a failure again. */
async function reportFailure(
  { name, path, openGround }: Simulation,
  script: Script,
  { failure }: Played,
): Promise<void> {
  report(`${name}: seed ${script.seed} fails at step ${failure?.step}: ${failure?.message}`)
  const shrunk = await shrink(script, openGround, SHRINKING_MS)
  const again = await play(shrunk, openGround)
  report(`shrunk to ${shrunk.steps.length} steps: ${again.failure?.message}`)
  report(JSON.stringify(shrunk))
  report(`to see it again: put that into a file and run PAWL_SCRIPT=<file> npx vitest run ${path}`)
}

function add(total: Counts, counts: Counts): void {
  total.steps += counts.steps
  total.calls += counts.calls
  total.entries += counts.entries
  total.faults += counts.faults
  total.restarts += counts.restarts
}
