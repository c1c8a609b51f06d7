import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { FailingDisk } from './failing-disk.ts'
import { type Ended, filesOf, traced } from './strace.ts'

/** A system call that fails: which one, with what, and at which of its calls. */
export interface Injection {
  readonly call: string
  readonly error: string
  /** Such as `20`, `5..9` or `20..80+7`: every seventh from the twentieth to the eightieth. */
  readonly when: string
}

/** How a process has ended, and how many of its system calls have failed. */
export interface Suffered extends Ended {
  readonly failed: number
}

/** Has a process work on a disk that fails; only its database is concerned. */
export async function suffer(
  script: string,
  told: FailingDisk,
  { call, error, when }: Injection,
): Promise<Suffered> {
  const options = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${error}:when=${when}`]
  const { lines, ...ended } = await watched(script, told, options)
  return { ...ended, failed: lines.filter((line) => line.endsWith('(INJECTED)')).length }
}

/** How often a process makes each of some system calls on its database when none of them fails. */
export async function countCalls(
  script: string,
  told: FailingDisk,
  calls: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const { lines, code } = await watched(script, told, ['-e', `trace=${calls.join()}`])
  if (code !== 0) throw new Error(`the process ended with ${code}, though nothing has failed`)
  const named = lines.map((line) => /^\d+ +(\w+)\(/.exec(line)?.[1])
  return new Map(calls.map((call) => [call, named.filter((name) => name === call).length]))
}

async function watched(script: string, told: FailingDisk, options: readonly string[]) {
  const folder = dirname(told.database)
  const trace = join(folder, 'trace')
  const paths = [folder, ...filesOf(told.database)]
  const ended = await traced(['-o', trace, ...options], paths, script, told)
  // Beside the trace, for whoever looks into what has gone wrong.
  writeFileSync(join(folder, 'output'), ended.output)
  return { ...ended, lines: readFileSync(trace, 'latin1').split('\n') }
}
