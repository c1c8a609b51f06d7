/** How does everything that goes on come to an end? @module */

import type { Context, Running } from '../context.ts'
import { aborted, type Source } from './wait.ts'

/** The life of something that goes on until its caller or the engine ends it. */
export interface Life {
  /** Aborted when it has to stop. */
  readonly signal: AbortSignal
  /** Aborted when the engine closes: then nobody can wait for long. */
  readonly closing: AbortSignal
  /** To be called when it has stopped; what still waits within it stops waiting. */
  end(): void
}

/** Begins a life. It ends with the caller's signal, or with the engine. */
export function beginLife({ running }: Context, signal?: AbortSignal): Life {
  const controller = new AbortController()
  const closing = new AbortController()
  let resolveOver = () => {}
  const over = new Promise<void>((resolve) => {
    resolveOver = resolve
  })
  const self: Running = {
    stop: () => {
      controller.abort()
      closing.abort()
      return over
    },
  }
  const abort = () => controller.abort()
  running.add(self)
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort, { once: true })
  return {
    signal: controller.signal,
    closing: closing.signal,
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

// How long what has to stop may still take, in milliseconds.
const GRACE_MS = 2000

/** Rings when the engine has been closing for a while. */
export function graceOver({ closing }: Life): Source {
  return (ring) => {
    let timeout: NodeJS.Timeout | undefined
    const callOff = aborted(closing)(() => {
      timeout = setTimeout(ring, GRACE_MS)
    })
    return () => {
      callOff()
      clearTimeout(timeout)
    }
  }
}
