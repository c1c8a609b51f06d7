/** How does the benchmark have other processes work? @module */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Sample } from './measure.ts'

/** What a process is to do: so many callers, for so many milliseconds. */
export interface Task {
  readonly callers: number
  readonly milliseconds: number
}

/** A process with an engine. */
export interface Worker {
  run(task: Task): Promise<Sample>
  stop(): Promise<void>
}

/** Starts a process with an engine on a schema; resolves when it is ready. */
export async function startWorker(schema: string): Promise<Worker> {
  const child = fork(join(import.meta.dirname, 'postgres-process.js'), [schema])
  const ended = once(child, 'exit')
  const died = ended.then(([code, signal]) => {
    throw new Error(`a process of the benchmark has ended with ${code ?? signal}`)
  })
  // In the end, all of them do.
  died.catch(() => {})
  const answer = async () => {
    const [message] = await Promise.race([once(child, 'message'), died])
    return message
  }
  await answer()
  return {
    run: async (task) => {
      child.send(task)
      return answer()
    },
    stop: async () => {
      child.disconnect()
      await ended
    },
  }
}
