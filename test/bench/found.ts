/** What does the benchmark find? @module */

import { type Durability, quantile } from './measure.ts'

/** How often something can be done. */
export interface Rate {
  readonly name: string
  readonly durability: Durability
  readonly perSecond: number
  /** Milliseconds for one; null where nobody waits for a single one. */
  readonly p50: number | null
  readonly p99: number | null
  /** How long the event loop was held up, in milliseconds: 99 of 100 times less. */
  readonly loop: number | null
  /** Bytes of the database for one change; null where that is not measured. */
  readonly bytes: number | null
}

/** What is no rate. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: '×' | 'ms' | 'MB'
  /** What it comes from. */
  readonly note: string
}

/** What one part of the benchmark has found. */
export interface Found {
  readonly rates: readonly Rate[]
  readonly figures: readonly Figure[]
}

/** Of what several rounds have found: the rate in the middle, the worst figure. */
export function merge(rounds: readonly Found[]): Found {
  const rates = groups(rounds.flatMap((round) => round.rates))
  const figures = groups(rounds.flatMap((round) => round.figures))
  return { rates: rates.map(middle), figures: figures.map(worst) }
}

/** Those of the same name and durability together, in the order of the first of each. */
function groups<T extends { readonly name: string; readonly durability?: string }>(
  all: readonly T[],
): readonly (readonly [T, ...T[]])[] {
  const found = new Map<string, [T, ...T[]]>()
  for (const one of all) {
    const key = `${one.name} ${one.durability}`
    const group = found.get(key)
    if (group === undefined) found.set(key, [one])
    else group.push(one)
  }
  return [...found.values()]
}

const MEASURED = ['perSecond', 'p50', 'p99', 'loop', 'bytes'] as const

/** Value by value. */
function middle(group: readonly [Rate, ...Rate[]]): Rate {
  const of = (key: (typeof MEASURED)[number]) =>
    group[0][key] === null
      ? null
      : quantile(
          group.map((rate) => rate[key] ?? 0),
          0.5,
        )
  const measured = MEASURED.map((key) => [key, of(key)])
  return { ...group[0], ...Object.fromEntries(measured) }
}

function worst(group: readonly [Figure, ...Figure[]]): Figure {
  return group.reduce((one, other) => (other.value > one.value ? other : one))
}
