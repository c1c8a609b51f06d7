import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** The next message of a process. Throws when it ends without one, so that nobody waits in vain. */
export async function nextMessage<T>(child: ChildProcess): Promise<T> {
  const stop = new AbortController()
  const { signal } = stop
  const message = once(child, 'message', { signal })
  const end = once(child, 'close', { signal }).then(([code, killedBy]) => {
    throw new Error(`a process ended with ${code ?? killedBy} and has said nothing`)
  })
  try {
    const [value]: T[] = await Promise.race([message, end])
    if (value === undefined) throw new Error('a process has said nothing')
    return value
  } finally {
    stop.abort()
    await Promise.allSettled([message, end])
  }
}
