import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { type Line, linesOf } from './acknowledgements.ts'
import { nextMessage } from './next-message.ts'

/** What a process that will be killed is told to do. */
export interface KilledWork {
  readonly database: string
  readonly durability: 'full' | 'relaxed'
  readonly seed: number
  /** What the names of its calls begin with. */
  readonly name: string
  /** Whether it also moves the log into the file all the time. */
  readonly checkpoints: boolean
}

/** The file descriptor on which it says what it has done. */
export const TOLD = 4

const ACKNOWLEDGED = '"is":"acknowledged"'

/** Processes that are ready to work and then to be killed. */
export interface Victims {
  /** Has one work for some milliseconds after its first acknowledgement; gives what it has said until it was killed. */
  killAfter(work: KilledWork, milliseconds: number): Promise<Line[]>
  stop(): void
}

function start(path: string): ChildProcess {
  return fork(path, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] })
}

/** How long a process works whose compiled code the others use: until most of the code has run once. */
const REHEARSAL_MS = 500

/** One process works for a while and ends when it is asked to: it leaves its compiled code to all others. */
export async function rehearse(path: string, work: KilledWork): Promise<void> {
  const child = start(path)
  await nextMessage(child)
  const ended = once(child, 'close')
  const output = listen(child.stdio[TOLD] as Readable)
  child.send(work)
  await Promise.race([output.acknowledged, ended])
  await once(AbortSignal.timeout(REHEARSAL_MS), 'abort')
  child.kill('SIGTERM')
  const [code] = await ended
  if (code !== 0) throw new Error(`it ended with ${code}`)
}

/** Keeps so many processes ready: a start takes longer than all the rest. */
export function prepareVictims(path: string, ready: number): Victims {
  const alive = new Set<ChildProcess>()
  const waiting = Array.from({ length: ready }, () => awaited(start(path), alive))
  const killAfter = async (work: KilledWork, milliseconds: number): Promise<Line[]> => {
    const next = waiting.shift()
    waiting.push(awaited(start(path), alive))
    if (next === undefined) throw new Error('nobody is ready')
    const child = await next
    const told = child.stdio[TOLD] as Readable
    const output = listen(told)
    const ended = once(child, 'close')
    child.send(work)
    await Promise.race([output.acknowledged, ended])
    await once(AbortSignal.timeout(milliseconds), 'abort')
    child.kill('SIGKILL')
    const [code, signal] = await ended
    alive.delete(child)
    if (signal !== 'SIGKILL') throw new Error(`it ended by itself, with ${code ?? signal}`)
    return linesOf(output.text())
  }
  const stop = (): void => {
    for (const child of alive) child.kill('SIGKILL')
  }
  return { killAfter, stop }
}

/** Collects what is said; tells when the first call has been acknowledged. */
function listen(told: Readable) {
  let text = ''
  const acknowledged = new Promise<void>((resolve) => {
    told.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes(ACKNOWLEDGED)) resolve()
    })
  })
  return { acknowledged, text: () => text }
}

async function awaited(child: ChildProcess, alive: Set<ChildProcess>): Promise<ChildProcess> {
  alive.add(child)
  await nextMessage(child)
  return child
}
