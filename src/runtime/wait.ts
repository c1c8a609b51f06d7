/** How is one of several things waited for, so that nothing is left behind? @module */

/** Something that calls back once, and can be called off. */
export type Source = (ring: () => void) => () => void

/** Resolves with the first of the sources that rings; the others are called off. */
export function firstOf(...sources: readonly Source[]): Promise<void> {
  return new Promise((resolve) => {
    let callOff: readonly (() => void)[] | null = null
    let hasRung = false
    const ring = (): void => {
      hasRung = true
      for (const off of callOff ?? []) off()
      resolve()
    }
    const started = sources.map((source) => source(ring))
    callOff = started
    // One of them rang while the others were still being set up.
    if (hasRung) ring()
  })
}

/** Rings when a signal is aborted, at once if it has been. */
export function aborted(signal: AbortSignal): Source {
  return (ring) => {
    if (signal.aborted) ring()
    else signal.addEventListener('abort', ring, { once: true })
    return () => signal.removeEventListener('abort', ring)
  }
}

/** Resolves when the event loop has turned: timers and sockets of the whole process have had their say. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
