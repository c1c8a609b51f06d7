/** How does the event loop keep turning while many reads follow one another? @module */

// SQLite answers at once, so a caller who awaits one read after the other never leaves the
// microtasks: timers and sockets of the whole process would starve. After this long they get a turn.
const LONGEST_TURN_MS = 10

/** Gives a function that says before each read what to wait for: nothing unless the current turn has been long. */
export function createTurns(): () => Promise<void> | undefined {
  let since: number | null = null
  return () => {
    const now = performance.now()
    if (since !== null && now - since > LONGEST_TURN_MS) return nextTurn()
    if (since === null) {
      since = now
      setImmediate(() => {
        since = null
      })
    }
    return undefined
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
