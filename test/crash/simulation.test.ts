import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { numberFrom, report, sizeFor } from './settings.ts'
import { type Played, play } from './simulation/play.ts'
import type { Script } from './simulation/script.ts'
import { shrink } from './simulation/shrink.ts'
import type { Counts } from './simulation/stage.ts'
import { writeScript } from './simulation/write-script.ts'

const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)
const SEEDS = numberFrom('PAWL_SEEDS', sizeFor({ quick: 4, ci: 12, deep: 2500 }))
const STEPS = numberFrom('PAWL_STEPS', sizeFor({ quick: 100, ci: 200, deep: 400 }))

/** Every so many seeds, one is played twice. */
const TWICE = 10

const SHRINKING_MS = numberFrom('PAWL_SHRINK', 60_000)

/** Time stands still, so that nothing turns on how long anything takes. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
}

/** Tells all that is needed to see a failure again. */
async function reportFailure(script: Script, { failure }: Played): Promise<void> {
  report(`simulation: seed ${script.seed} fails at step ${failure?.step}: ${failure?.message}`)
  const shrunk = await shrink(script, SHRINKING_MS)
  const again = await play(shrunk)
  report(`shrunk to ${shrunk.steps.length} steps: ${again.failure?.message}`)
  report(JSON.stringify(shrunk))
  report(
    `to see it again: put that into a file and run PAWL_SCRIPT=<file> npx vitest run test/crash/simulation.test.ts, ` +
      `or PAWL_SEED=${script.seed} PAWL_SEEDS=1 PAWL_STEPS=${STEPS}`,
  )
}

describe('a simulation of the whole engine', () => {
  const file = process.env.PAWL_SCRIPT

  test.runIf(file)('plays a script from a file', { timeout: 600_000 }, async () => {
    stopTime()
    const script = JSON.parse(readFileSync(file ?? '', 'utf8')) as Script
    expect((await play(script)).failure).toBeNull()
  })

  const timeout = 60_000 + SHRINKING_MS + SEEDS * STEPS * 100
  test.skipIf(file)(`agrees with the model, over ${SEEDS} seeds`, { timeout }, async () => {
    stopTime()
    const total: Counts = { steps: 0, calls: 0, entries: 0, faults: 0, restarts: 0 }
    const start = process.cpuUsage()
    let repeated = 0
    for (let seed = SEED; seed < SEED + SEEDS; seed++) {
      const script = writeScript(seed, STEPS)
      const { counts, digest } = await playSound(script)
      add(total, counts)
      if ((seed - SEED) % TWICE > 0) continue
      expect((await play(script)).digest, `seed ${seed}, played twice`).toBe(digest)
      repeated += counts.steps
    }
    const { user, system } = process.cpuUsage(start)
    const rate = Math.round(((total.steps + repeated) * 1e6) / (user + system))
    report(
      `simulation: seeds ${SEED} to ${SEED + SEEDS - 1}, ${total.steps} steps (${rate} per second of CPU), ` +
        `${total.calls} calls, ${total.entries} entries, ${total.faults} faults, ` +
        `${total.restarts} restarts, 0 violations; ${Math.ceil(SEEDS / TWICE)} seeds twice with equal logs`,
    )
  })
})

/** Plays a script that has to find nothing. */
async function playSound(script: Script): Promise<Played> {
  const played = await play(script)
  if (played.failure !== null) await reportFailure(script, played)
  expect(played.failure, `seed ${script.seed}`).toBeNull()
  return played
}

function add(total: Counts, counts: Counts): void {
  total.steps += counts.steps
  total.calls += counts.calls
  total.entries += counts.entries
  total.faults += counts.faults
  total.restarts += counts.restarts
}
