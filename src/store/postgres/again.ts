/** When is work done again that PostgreSQL has not done? @module */

import { setTimeout as sleep } from 'node:timers/promises'
import { closed } from '../../errors.ts'
import { isConflict, isDisconnected, storageError } from './failures.ts'

/** How long work is done again. */
export interface Retry {
  readonly operation: string
  /** When it is given up, by `performance.now()`. */
  readonly end: number
  /** Whether nobody waits for it any more. */
  isOver(): boolean
}

// A server that restarts is asked again after this long at most; what lost against others, at once.
const LONGEST_WAIT_MS = 250
const LONGEST_CONFLICT_MS = 8

/** Repeats an attempt that lost against another transaction or its connection. Throws `storage_busy` at the end. */
export async function untilDone<T>(retry: Retry, attempt: () => Promise<T>): Promise<T> {
  for (let wait = 1; ; wait *= 2) {
    try {
      return await attempt()
    } catch (error) {
      requireHope(retry, error)
      const longest = isDisconnected(error) ? LONGEST_WAIT_MS : LONGEST_CONFLICT_MS
      // With jitter, so that processes do not march in step.
      await sleep(Math.min(wait, longest) * (0.5 + Math.random()))
    }
  }
}

/** Throws what cannot be mended by doing it again, or may not be any more. */
function requireHope({ operation, end, isOver }: Retry, error: unknown): void {
  const isLost = isDisconnected(error) || isConflict(error)
  if (isLost && isOver()) throw closed()
  if (!isLost || performance.now() >= end) throw storageError(operation, error)
}
