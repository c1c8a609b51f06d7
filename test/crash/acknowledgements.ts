import { writeSync } from 'node:fs'

/** A call as it can be made again. */
export interface Request {
  /** The property of the engine. */
  readonly property: string
  /** Whom a command is for; null for `create`. */
  readonly id: string | null
  readonly input: Readonly<Record<string, unknown>>
}

/** An event as a caller gets it: id, place in the log and type. */
export type Told = readonly [id: string, seq: number, type: string]

/** What a caller gets whose database goes away. */
export type Unanswered = 'indeterminate' | 'storage_busy'

/** What a process says of its work, each line before it takes the next step. */
export type Line =
  | { readonly is: 'tried'; readonly key: string; readonly request: Request }
  | {
      readonly is: 'acknowledged'
      readonly key: string | null
      readonly id: string
      readonly version: number
      readonly events: readonly Told[]
    }
  | { readonly is: 'noted'; readonly key: string }
  /** The database went away: what has become of the call is not known, or it came to nothing. */
  | { readonly is: 'unanswered'; readonly name: string; readonly code: Unanswered }
  | { readonly is: 'failed'; readonly message: string }

/**
 * Writes a line to a file descriptor before it returns: what has been acknowledged to a caller is known
 * outside of the process when that takes its next step, however it dies.
 */
export function say(file: number, line: Line): void {
  let left = Buffer.from(`${JSON.stringify(line)}\n`)
  while (left.length > 0) left = left.subarray(writeSome(file, left))
}

function writeSome(file: number, bytes: Buffer): number {
  try {
    return writeSync(file, bytes)
  } catch (error) {
    // The pipe is full; its reader is on its way.
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0
    throw error
  }
}

/** The lines of an output that have come whole. */
export function linesOf(output: string): Line[] {
  const whole = output.slice(0, output.lastIndexOf('\n') + 1)
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Line => JSON.parse(line))
}
