/** Prints the results side by side. @module */

import type { Verdict } from './contract.ts'
import type { Rate } from './found.ts'
import type { Phase } from './phases.ts'

/** One line of the table. */
export interface Result extends Rate {
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
    'loop ms',
    'bytes',
    ...peers.map((p) => `÷ ${p}`),
  ]
  const lines = results.map(({ name, durability, perSecond, p50, p99, loop, bytes, ratios }) => [
    name,
    durability,
    Math.round(perSecond).toLocaleString('en'),
    p50?.toFixed(3) ?? '',
    p99?.toFixed(3) ?? '',
    loop?.toFixed(1) ?? '',
    bytes?.toFixed(0) ?? '',
    ...peers.map((peer) => ratios[peer]?.toFixed(2) ?? ''),
  ])
  return aligned([head, ...lines], ['name', 'durability'])
}

/** The verdicts as text, one line each. */
export function verdictLines(verdicts: readonly Verdict[]): string {
  const head = ['contract', 'measured', '', 'target', '', '']
  const lines = verdicts.map(({ name, value, unit, target, met, note }) => [
    name,
    value.toFixed(2),
    unit,
    target,
    met ? 'met' : 'missed',
    note,
  ])
  return aligned([head, ...lines], ['contract', ''])
}

/** The phases as text, one line each. */
export function phaseLines(phases: readonly Phase[]): string {
  const lines = phases.map(({ name, share, perChange }) => [
    ...[name, `${(share * 100).toFixed(1)} %`, perChange.toFixed(1)],
  ])
  return aligned([['phase', 'of the time', 'µs per change'], ...lines], ['phase'])
}

/** Columns with these heads to the left, the others, which are numbers, to the right. */
function aligned(rows: readonly (readonly string[])[], left: readonly string[]): string {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number) =>
    left.includes(head[column] ?? '')
      ? cell.padEnd(widths[column] ?? 0)
      : cell.padStart(widths[column] ?? 0)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}
