/** Which parts of the benchmark are asked for, and how large? @module */

import { parseArgs } from 'node:util'
import { ENTRIES, type Entry } from './contenders.ts'
import { CONTRACT } from './contract.ts'

/** How much is measured. */
export interface Sizes {
  readonly rounds: number
  /** The lengths of the two logs. */
  readonly few: number
  readonly many: number
  readonly timers: number
  readonly deliveries: number
}

/** What is measured besides the entries. */
const PARTS = ['timers', 'history', 'subscribe', 'open', 'phases', 'size', 'deliver'] as const

// It takes minutes and several gigabytes: only for those who ask for it by name.
const LARGE = 'size'

const FULL: Sizes = { rounds: 3, few: 10_000, many: 1_000_000, timers: 100_000, deliveries: 20_000 }
const QUICK: Sizes = { rounds: 1, few: 10_000, many: 100_000, timers: 10_000, deliveries: 5000 }

/** What is asked for on the command line. */
export interface Asked {
  readonly sizes: Sizes
  /** On which database. */
  readonly store: 'sqlite' | 'postgres'
  /** Those asked for, and the peers that they are compared with. */
  readonly entries: readonly Entry[]
  /** Whether one of these is asked for. */
  isAsked(...parts: readonly (typeof PARTS)[number][]): boolean
}

/** Reads the arguments: `--only history,pawl/64` for some parts, `--quick` for small sizes, `--store postgres` for that. */
export function parseOptions(args: readonly string[]): Asked {
  const options = {
    only: { type: 'string' },
    quick: { type: 'boolean' },
    store: { type: 'string' },
  } as const
  const { only, quick = false, store = 'sqlite' } = parseArgs({ args: [...args], options }).values
  if (store !== 'sqlite' && store !== 'postgres')
    throw new Error(`--store ${store}: there is only sqlite and postgres`)
  const names = only?.split(',') ?? null
  refuseUnknown(names ?? [])
  const isWanted = (name: string) =>
    names === null ? name !== LARGE : names.some((asked) => isPartOf(asked, name))
  const peers = CONTRACT.filter(({ name }) => isWanted(name)).map(({ over }) => over)
  const entries = ENTRIES.filter(
    ({ name, durability }) => isWanted(name) || (durability === 'full' && peers.includes(name)),
  )
  return {
    sizes: quick ? QUICK : FULL,
    store,
    entries,
    isAsked: (...parts) => parts.some(isWanted),
  }
}

/** `pawl` stands for `pawl/64` and all the others. */
function isPartOf(asked: string, name: string): boolean {
  return name === asked || name.startsWith(`${asked}/`)
}

function refuseUnknown(names: readonly string[]): void {
  const known = [...new Set(ENTRIES.map(({ name }) => name)), ...PARTS]
  const unknown = names.filter((asked) => !known.some((name) => isPartOf(asked, name)))
  if (unknown.length === 0) return
  throw new Error(`--only ${unknown.join(',')}: there is only ${known.join(', ')}`)
}
