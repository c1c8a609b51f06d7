import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { expectSound } from './after-power-loss.ts'
import { type Bundled, bundle } from './bundled.ts'
import type { Files } from './disk.ts'
import { type Cut, cuts } from './power-cuts.ts'
import { type Recording, record, type Workload } from './recordings.ts'
import { numberFrom, randomFrom, report, sizeFor } from './settings.ts'
import { canTrace } from './strace.ts'

const STATES = numberFrom('PAWL_POWER_CUTS', sizeFor({ quick: 24, ci: 200, deep: 20_000 }))
const RECORDINGS = numberFrom('PAWL_RECORDINGS', sizeFor({ quick: 2, ci: 4, deep: 40 }))
const CALLS = numberFrom('PAWL_CALLS', sizeFor({ quick: 30, ci: 120, deep: 150 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./recorded-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

/** The recordings differ in what a commit waits for, and in how often there is a checkpoint. */
function workload(number: number): Workload {
  return {
    durability: number % 2 === 0 ? 'full' : 'relaxed',
    checkpointPages: number % 4 < 2 ? 40 : null,
    seed: SEED + number,
    calls: CALLS,
  }
}

/** Puts what is left into a folder of its own, which stays where something is wrong with it. */
async function lostIn(recording: Recording, cut: Cut): Promise<number> {
  const folder = restore(cut.files)
  try {
    const lost = await expectSound(folder, recording, cut)
    removeDirectory(folder)
    return lost
  } catch (cause) {
    const where = `recording of seed ${recording.seed}, cut after operation ${cut.at}`
    throw new Error(`power loss: seed ${SEED}, ${where}: see ${folder}`, { cause })
  }
}

function restore(files: Files): string {
  const folder = makeTemporaryDirectory()
  for (const [name, content] of files) writeFileSync(join(folder, name), content)
  return folder
}

/** The states of one recording, where all cannot be divided evenly. */
function share(number: number): number {
  const upTo = (count: number) => Math.round((STATES * count) / RECORDINGS)
  return upTo(number + 1) - upTo(number)
}

describe('a power cut', () => {
  test.runIf(canTrace('power loss'))(
    `loses nothing acknowledged or, relaxed, only the latest commits, in ${STATES} states`,
    { timeout: 60_000 + STATES * 1000 },
    async () => {
      const random = randomFrom(SEED)
      const states = { full: 0, relaxed: 0, inCheckpoint: 0, losing: 0 }
      let lost = 0
      for (let number = 0; number < RECORDINGS; number++) {
        const recording = await record(bundled.path, workload(number))
        for (const cut of cuts(recording, share(number), random)) {
          const lostNow = await lostIn(recording, cut)
          states[recording.durability] += 1
          states.inCheckpoint += Number(cut.inCheckpoint)
          states.losing += Number(lostNow > 0)
          lost += lostNow
        }
      }
      report(
        `power loss: seed ${SEED}, ${RECORDINGS} recordings, ${STATES} states (${states.full} full, ` +
          `${states.relaxed} relaxed, ${states.inCheckpoint} within a checkpoint), all survived; ` +
          `full lost nothing, relaxed the last ${lost} calls of ${states.losing} states`,
      )
      // Among a few there may be none.
      if (STATES < 200) return
      expect(states.inCheckpoint).toBeGreaterThan(0)
      expect(states.losing).toBeGreaterThan(0)
    },
  )
})
