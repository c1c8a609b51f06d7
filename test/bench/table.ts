/** Prints the results side by side. @module */

import type { Durability, Sample } from './measure.ts'

/** One line of the results. */
export interface Result extends Sample {
  readonly name: string
  readonly durability: Durability
  /** Its speed over that of the peers with the same durability, by the peer's name. */
  readonly ratios: Readonly<Record<string, number>>
}

/** The results as text, one line each. */
export function table(results: readonly Result[], peers: readonly string[]): string {
  const head = [
    'name',
    'durability',
    'per second',
    'p50 ms',
    'p99 ms',
    ...peers.map((p) => `÷ ${p}`),
  ]
  const lines = results.map(({ name, durability, perSecond, p50, p99, ratios }) => [
    name,
    durability,
    Math.round(perSecond).toLocaleString('en'),
    p50.toFixed(3),
    p99.toFixed(3),
    ...peers.map((peer) => ratios[peer]?.toFixed(2) ?? ''),
  ])
  const rows = [head, ...lines]
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => align(row, widths)).join('\n')
}

/** Words to the left, numbers to the right. */
function align(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) =>
      column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    .join('  ')
}
