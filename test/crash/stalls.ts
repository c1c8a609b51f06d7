import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** How the event loop of a process turned, all in milliseconds. */
export interface Stalls {
  /** The longest pause, whatever caused it. */
  readonly longest: number
  /** The longest pause without the time in which the process waited for a processor. */
  readonly own: number
  /** How long the process waited for a processor, all in all. */
  readonly unscheduled: number
  readonly elapsed: number
}

// How often the loop is looked at.
const EVERY_MS = 2

/**
 * Watches the event loop; gives what ends it.
 *
 * Of eight busy processes on two cores, each waits most of the time for its turn: pauses of a whole time
 * slice that no engine can avoid. The kernel counts them, and each pause is counted without them. What
 * remains is what the process itself does in one go: computing, writing, syncing, waiting for a lock.
 */
export function watchStalls(): () => Stalls {
  const began = performance.now()
  const beganUnscheduled = unscheduledMs()
  const histogram = monitorEventLoopDelay({ resolution: EVERY_MS })
  histogram.enable()
  let [last, lastUnscheduled, own] = [began, beganUnscheduled, 0]
  const look = (): void => {
    // The process may lose its processor between any two of these lines: whatever it waited then is of this pause.
    const before = unscheduledMs()
    const now = performance.now()
    own = Math.max(own, now - last - EVERY_MS - (unscheduledMs() - lastUnscheduled))
    last = now
    lastUnscheduled = before
  }
  const timer = setInterval(look, EVERY_MS)
  return () => {
    look()
    clearInterval(timer)
    histogram.disable()
    const elapsed = performance.now() - began
    const unscheduled = unscheduledMs() - beganUnscheduled
    return { longest: histogram.max / 1e6, own, unscheduled, elapsed }
  }
}

/** How long this thread has been ready to run without running; 0 where the system does not count that. */
function unscheduledMs(): number {
  try {
    const [, waited = '0'] = readFileSync('/proc/self/schedstat', 'utf8').split(' ')
    return Number(waited) / 1e6
  } catch {
    return 0
  }
}
