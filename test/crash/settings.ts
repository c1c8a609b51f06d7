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

/** Tells the reader of the test's output. */
export function report(line: string): void {
  process.stdout.write(`${line}\n`)
}
