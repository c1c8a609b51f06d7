import { once } from 'node:events'
import { setInterval } from 'node:timers/promises'

/** Waits until a condition holds, and fails when it does not for too long. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = 'what the test waits for',
): Promise<void> {
  const deadline = performance.now() + 10_000
  for await (const _ of setInterval(1)) {
    if (await condition()) return
    if (performance.now() > deadline) throw new Error(`${what} has not come true in 10 s`)
  }
}

/** Whether something is done within a time; otherwise it most likely waits for somebody. */
export function isSoon(work: Promise<unknown>, milliseconds = 300): Promise<boolean> {
  const late = once(AbortSignal.timeout(milliseconds), 'abort')
  return Promise.race([work.then(() => true), late.then(() => false)])
}

/** Something to wait for, and the hand that lets it happen. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

/** Makes a gate that is shut. */
export function gate(): Gate {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}
