import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { bundle } from './bundled.ts'
import { tryOpenings } from './hostile/openings.ts'
import { playRounds } from './hostile/rounds.ts'
import { numberFrom, report, sizeFor } from './settings.ts'

const ROUNDS = numberFrom('PAWL_HOSTILE', sizeFor({ quick: 300, ci: 2_000, deep: 1_000_000 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

interface Told {
  readonly rounds: number
  readonly taken: number
  readonly refused: Iterable<readonly [string, number]>
  readonly longest: number
}

function reportCalls(what: string, { rounds, taken, refused, longest }: Told): void {
  const refusals = [...refused].map(([code, count]) => `${count} ${code}`).join(', ')
  report(
    `${what}: seed ${SEED}, ${rounds} calls, ${taken} taken, refused: ${refusals}; ` +
      `the longest took ${Math.round(longest)} ms`,
  )
}

function setupFolder(): string {
  const folder = makeTemporaryDirectory()
  onTestFinished(() => removeDirectory(folder))
  return folder
}

describe('what callers send', { timeout: 60_000 + ROUNDS * 50 }, () => {
  test(`is refused with a type or taken exactly, ${ROUNDS} times`, async () => {
    const tally = await playRounds(setupFolder(), SEED, ROUNDS)

    reportCalls('hostile input', tally)
    expect(tally.rounds).toBe(ROUNDS)
    expect(tally.taken).toBeGreaterThan(ROUNDS / 20)
  })

  const alone = Math.ceil(ROUNDS / 10)

  test(`is so where nothing may touch __proto__, ${alone} times`, async () => {
    const bundled = bundle(new URL('./hostile/process.ts', import.meta.url))
    onTestFinished(() => bundled.remove())
    const args = [bundled.path, setupFolder(), `${SEED}`, `${alone}`]

    const run = await promisify(execFile)(process.execPath, ['--disable-proto=throw', ...args])

    const told: Told = JSON.parse(run.stdout)
    reportCalls('hostile input without __proto__', told)
    expect(told.rounds).toBe(alone)
  })

  const openings = Math.ceil(ROUNDS / 20)

  test(`cannot open an engine in a wrong way, ${openings} times`, async () => {
    const opened = await tryOpenings(SEED, openings)

    report(`hostile options: seed ${SEED}, ${openings} engines, ${opened} opened`)
  })
})
