/** `npm run bench`: how fast is pawl, and how fast could it be on this machine? @module */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { openFloor } from './floor.ts'
import { type Durability, measure, median, type Open, type Sample } from './measure.ts'
import { openNaive } from './naive.ts'
import { openPawl } from './pawl.ts'
import { openRaw } from './raw.ts'
import { type Result, table } from './table.ts'

const ROUNDS = 3

interface Entry {
  readonly name: string
  readonly durability: Durability
  readonly callers: number
  readonly open: Open
}

const entries: readonly Entry[] = [
  { name: 'floor', durability: 'full', callers: 64, open: openFloor },
  { name: 'raw', durability: 'full', callers: 1, open: openRaw },
  { name: 'naive', durability: 'full', callers: 1, open: openNaive },
  { name: 'pawl/64', durability: 'full', callers: 64, open: openPawl },
  { name: 'pawl/1', durability: 'full', callers: 1, open: openPawl },
  { name: 'pawl/256', durability: 'full', callers: 256, open: openPawl },
  { name: 'floor', durability: 'relaxed', callers: 64, open: openFloor },
  { name: 'pawl/64', durability: 'relaxed', callers: 64, open: openPawl },
]

const PEERS = ['floor', 'raw', 'naive']

/** Round by round, every contender in turn: what disturbs the machine disturbs all of them. */
async function measureAll(folder: string): Promise<readonly Sample[]> {
  const samples: Sample[][] = entries.map(() => [])
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [index, { callers, durability, open }] of entries.entries()) {
      const contender = await open(join(folder, `${index}-${round}.db`), durability)
      samples[index]?.push(await measure(contender, callers))
      await contender.close()
    }
  }
  return samples.map(median)
}

function compare(samples: readonly Sample[]): readonly Result[] {
  const measured = entries.map(({ name, durability }, index) => {
    const sample = samples[index]
    if (sample === undefined) throw new Error(`${name} was not measured`)
    return { name, durability, ...sample }
  })
  return measured.map((result) => {
    const peers = measured.filter(
      (peer) => PEERS.includes(peer.name) && peer.durability === result.durability,
    )
    const ratios = peers.map((peer) => [peer.name, result.perSecond / peer.perSecond])
    return { ...result, ratios: Object.fromEntries(ratios) }
  })
}

// Beside this file, not in the system's temporary folder: that one may be memory, where nothing is durable.
const folder = mkdtempSync(join(import.meta.dirname, 'files-'))
try {
  const results = compare(await measureAll(folder))
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores, median of ${ROUNDS} rounds\n`,
  )
  console.log(table(results, PEERS))
  writeFileSync('test/bench/results.json', `${JSON.stringify(results, null, 2)}\n`)
} finally {
  rmSync(folder, { recursive: true })
}
