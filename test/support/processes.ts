import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A change that the engine acknowledged. */
export interface Written {
  readonly id: string
  readonly version: number
}

export type Order =
  | { readonly do: 'write'; readonly ids: readonly string[] }
  | { readonly do: 'timers' }
  | { readonly do: 'stop' }

export type Report =
  | { readonly is: 'ready' }
  | { readonly is: 'written'; readonly written: readonly Written[] }
  | { readonly is: 'failed'; readonly message: string }

/** Another process with an engine of its own on a file. */
export interface Writer {
  write(ids: readonly string[]): Promise<Written[]>
  startTimers(): Promise<void>
  stop(): Promise<void>
}

const script = fileURLToPath(new URL('./writer-process.ts', import.meta.url))

/** Starts a process that opens the file, and waits until it has. */
export async function startWriter(database: string, number: number): Promise<Writer> {
  const child = fork(script, [database, String(number)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  await report(child)
  return {
    write: (ids) => ask(child, { do: 'write', ids }),
    startTimers: async () => {
      await ask(child, { do: 'timers' })
    },
    stop: () => stop(child),
  }
}

async function ask(child: ChildProcess, order: Order): Promise<Written[]> {
  const answer = report(child)
  child.send(order)
  const { is, ...rest } = await answer
  return is === 'written' && 'written' in rest ? [...rest.written] : []
}

async function report(child: ChildProcess): Promise<Report> {
  const gone = once(child, 'exit').then(([code]) => ({
    is: 'failed' as const,
    message: `the process ended with ${code}`,
  }))
  const message = once(child, 'message').then(([value]) => value as Report)
  const answer = await Promise.race([message, gone])
  if (answer.is === 'failed') throw new Error(answer.message)
  return answer
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.send({ do: 'stop' } satisfies Order)
  await gone
}
