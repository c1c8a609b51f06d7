/** Numbers that a seed gives again: mulberry32, evenly from 0 to 1. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A whole number of the environment, or another one. */
export function numberFrom(name: string, otherwise: number): number {
  const text = process.env[name]
  const number = text === undefined ? otherwise : Number(text)
  if (!Number.isSafeInteger(number)) throw new Error(`${name} has to be a whole number`)
  return number
}

/** Sizes of a test: for everybody's run, for the one that decides, and for the one that takes its time. */
interface Sizes {
  readonly quick: number
  readonly ci: number
  readonly deep: number
}

/** The size that is asked for: `PAWL_DEEP` for the deep one, `CI` for the one that decides. */
export function sizeFor({ quick, ci, deep }: Sizes): number {
  if (process.env.PAWL_DEEP) return deep
  return process.env.CI ? ci : quick
}

/** Tells the reader of the test's output. */
export function report(line: string): void {
  process.stdout.write(`${line}\n`)
}
