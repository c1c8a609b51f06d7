/** What do processes do that share a database, now and then until they are killed? @module */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { type Line, linesOf } from '../acknowledgements.ts'
import { TOLD } from '../killing.ts'
import { nextMessage } from '../next-message.ts'
import type { Address } from './connections.ts'

/** How many callers such a process has. */
export const CALLERS = 8

/** What such a process is told. */
export interface Loading {
  readonly address: Address
  readonly schema: string
  readonly seed: number
  /** What the names of its calls begin with. */
  readonly name: string
}

/** A process that works. */
export interface Loaded {
  /** Has it finish what it is at, and end. */
  stop(): Promise<void>
  kill(): Promise<void>
  /** What it has said, up to its end. */
  lines(): readonly Line[]
}

/** Starts a process and has it work as soon as it is ready. */
export async function startLoading(path: string, loading: Loading): Promise<Loaded> {
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] as const
  const child = fork(path, [JSON.stringify(loading)], { stdio: [...stdio] })
  onTestFinished(() => void child.kill('SIGKILL'))
  // It may end by itself, long before anybody ends it.
  const closed = once(child, 'close')
  let text = ''
  const told = child.stdio[TOLD] as Readable
  told.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await nextMessage(child)
  return {
    stop: () => ended(closed, () => child.send('stop'), [0, null]),
    kill: () => ended(closed, () => child.kill('SIGKILL'), [null, 'SIGKILL']),
    lines: () => linesOf(text),
  }
}

async function ended(
  closed: Promise<unknown[]>,
  end: () => unknown,
  [code, signal]: readonly [number | null, string | null],
): Promise<void> {
  end()
  const how = await closed
  if (how[0] === code && how[1] === signal) return
  throw new Error(`a process ended with ${how[0] ?? how[1]}`)
}
