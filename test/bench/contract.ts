/** What is the engine to reach, and does it? @module */

import type { Figure } from './found.ts'
import type { Result } from './table.ts'

/** One promise about speed. */
export type Promised = {
  readonly name: string
  /** The peer whose rate counts as one; left out for what is no rate. */
  readonly over?: string
} & ({ readonly least: number } | { readonly most: number })

/** What is promised of an engine on SQLite, on a machine with two cores. */
export const CONTRACT: readonly Promised[] = [
  { name: 'pawl/64', over: 'floor', least: 0.6 },
  { name: 'pawl/64', over: 'naive', least: 8 },
  { name: 'pawl/1', over: 'raw', least: 0.75 },
  { name: 'pawl/cascade', over: 'floor', least: 0.15 },
  { name: 'subscribe', over: 'floor', least: 5 },
  { name: 'subscribe/heap', most: 5 },
  { name: 'timers/arm', over: 'floor', least: 0.3 },
  { name: 'timers/fire', over: 'floor', least: 0.3 },
  { name: 'timers/stall', most: 100 },
  { name: 'history/newest', most: 1.5 },
  { name: 'history/by type', most: 1.5 },
  { name: 'history/by resource', most: 1.5 },
  { name: 'history/deep', most: 1.5 },
  { name: 'open', most: 100 },
  { name: 'deliver/pawl', over: 'deliver/undici', least: 0.35 },
  { name: 'deliver/dead', most: 1.1 },
  { name: 'size/64', most: 1.5 },
  { name: 'size/1', most: 1.5 },
]

/** What is promised of engines on PostgreSQL, on a machine with two cores that the server is on as well. */
export const SERVER_CONTRACT: readonly Promised[] = [
  { name: 'pawl/64', over: 'naive', least: 5 },
  { name: 'pawl/2×64', over: 'pawl/64', least: 1 },
  { name: 'pawl/many', over: 'pawl/64', least: 0.95 },
]

/** A promise beside what was measured. */
export interface Verdict {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly target: string
  readonly met: boolean
  readonly note: string
}

/** Says of each promise that was measured whether it is kept. */
export function judge(
  contract: readonly Promised[],
  results: readonly Result[],
  figures: readonly Figure[],
): readonly Verdict[] {
  return contract.flatMap((promised) => {
    const found = find(promised, results, figures)
    if (found === undefined) return []
    const { value } = found
    const isMinimum = 'least' in promised
    const met = isMinimum ? value >= promised.least : value <= promised.most
    const target = isMinimum ? `≥ ${promised.least}` : `≤ ${promised.most}`
    return [{ ...found, name: promised.name, target, met }]
  })
}

function find(
  { name, over }: Promised,
  results: readonly Result[],
  figures: readonly Figure[],
): Pick<Verdict, 'value' | 'unit' | 'note'> | undefined {
  if (over === undefined) return figures.find((figure) => figure.name === name)
  const result = results.find((one) => one.name === name && one.durability === 'full')
  const value = result?.ratios[over]
  return value === undefined ? undefined : { value, unit: `× ${over}`, note: '' }
}
