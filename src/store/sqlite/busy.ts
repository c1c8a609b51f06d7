/** What happens while another connection holds the database? @module */

import { setTimeout as sleep } from 'node:timers/promises'
import { isPawlError } from '../../errors.ts'
import { isBusy, storageError } from './failures.ts'

// Waits double from 1 ms to this, each with jitter, so that processes do not march in step. Whoever waits
// much longer than others hold the database hardly ever finds it free.
const LONGEST_WAIT_MS = 8

/** Repeats an attempt until the database is free for it. Throws `storage_busy` after `end`. */
export async function untilFree<T>(
  operation: string,
  end: number,
  attempt: () => T | Promise<T>,
): Promise<T> {
  for (let wait = 1; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    try {
      return await attempt()
    } catch (error) {
      if (!isBusy(error) && !isPawlError(error, 'storage_busy')) throw error
      if (performance.now() >= end) throw storageError(operation, error)
      await sleep(wait * (0.5 + Math.random()))
    }
  }
}
