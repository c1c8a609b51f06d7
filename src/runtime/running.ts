/** How does everything that goes on come to an end? @module */

import type { Context, Running } from '../context.ts'

/** The life of something that goes on until its caller or the engine ends it. */
export interface Life {
  /** Aborted when it has to stop. */
  readonly signal: AbortSignal
  /** Whether it has to stop because the engine is closing: then nobody can wait for long. */
  isClosing(): boolean
  /** To be called when it has stopped; what still waits within it stops waiting. */
  end(): void
}

/** Begins a life. It ends with the caller's signal, or with the engine. */
export function beginLife({ running }: Context, signal?: AbortSignal): Life {
  const controller = new AbortController()
  let closing = false
  let resolveOver = () => {}
  const over = new Promise<void>((resolve) => {
    resolveOver = resolve
  })
  const self: Running = {
    stop: () => {
      closing = true
      controller.abort()
      return over
    },
  }
  const abort = () => controller.abort()
  running.add(self)
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort, { once: true })
  return {
    signal: controller.signal,
    isClosing: () => closing,
    end: () => {
      controller.abort()
      running.delete(self)
      signal?.removeEventListener('abort', abort)
      resolveOver()
    },
  }
}

/** Stops everything that goes on; resolves when all of it has stopped. */
export async function stopAll({ running }: Context): Promise<void> {
  await Promise.all([...running].map((one) => one.stop()))
}
