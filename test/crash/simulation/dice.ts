/** Chances that a seed gives again. */

import { randomFrom } from '../settings.ts'

/** Chances, drawn from a seed. */
export interface Dice {
  readonly chance: (of: number) => boolean
  readonly upTo: (most: number) => number
  readonly oneOf: <T>(of: readonly T[]) => T
  readonly weighed: <T>(of: readonly (readonly [number, T])[]) => T
}

/** The chances of a seed. */
export function diceOf(seed: number): Dice {
  const random = randomFrom(seed)
  const upTo = (most: number) => Math.floor(random() * most)
  const oneOf = <T>(of: readonly T[]): T => {
    const one = of[upTo(of.length)]
    if (one === undefined) throw new Error('there is nothing to choose from')
    return one
  }
  const weighed = <T>(of: readonly (readonly [number, T])[]): T => {
    let rest = upTo(of.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, one] of of) {
      rest -= weight
      if (rest < 0) return one
    }
    throw new Error('there is nothing to choose from')
  }
  return { chance: (of) => random() < of, upTo, oneOf, weighed }
}
