/** Who changes tasks, and how fast? @module */

import { statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { openCascade } from './cascade.ts'
import { openFloor } from './floor.ts'
import type { Found, Rate } from './found.ts'
import { type Durability, measure, type Open } from './measure.ts'
import { openNaive } from './naive.ts'
import { openPawl } from './pawl.ts'
import { openRaw } from './raw.ts'

/** A way to change tasks, and how it is asked to. */
export interface Entry {
  readonly name: string
  readonly durability: Durability
  readonly callers: number
  readonly open: Open
}

/** All that are measured. */
export const ENTRIES: readonly Entry[] = [
  { name: 'floor', durability: 'full', callers: 64, open: openFloor },
  { name: 'raw', durability: 'full', callers: 1, open: openRaw },
  { name: 'naive', durability: 'full', callers: 1, open: openNaive },
  { name: 'pawl/64', durability: 'full', callers: 64, open: openPawl },
  { name: 'pawl/1', durability: 'full', callers: 1, open: openPawl },
  { name: 'pawl/256', durability: 'full', callers: 256, open: openPawl },
  { name: 'pawl/cascade', durability: 'full', callers: 64, open: openCascade },
  { name: 'floor', durability: 'relaxed', callers: 64, open: openFloor },
  { name: 'pawl/64', durability: 'relaxed', callers: 64, open: openPawl },
]

/** Those that the others are compared with. */
export const PEERS = ['floor', 'raw', 'naive']

/** How many bytes a database has, without what only waits in its WAL. */
function sizeOf(file: string): number {
  const database = new Database(file)
  database.pragma('wal_checkpoint(truncate)')
  database.close()
  return statSync(file).size
}

/** Measures one round: every contender in turn. */
export async function measureEntries(folder: string, entries: readonly Entry[]): Promise<Found> {
  const rates: Rate[] = []
  for (const [index, { name, durability, callers, open }] of entries.entries()) {
    const file = join(folder, `${index}.db`)
    const contender = await open(file, durability)
    const before = sizeOf(file)
    const { changes, ...sample } = await measure(contender, callers)
    const bytes = (sizeOf(file) - before) / changes
    rates.push({ name, durability, ...sample, bytes })
    await contender.close()
  }
  return { rates, figures: [] }
}
