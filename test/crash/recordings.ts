import { join } from 'node:path'
import { createEngine } from '../../src/index.ts'
import { collect } from '../support/engine.ts'
import { makeTemporaryDirectory, removeDirectory } from '../support/temp.ts'
import { filesOf, traced } from './strace.ts'
import { type Operation, readTrace, recordingTo } from './trace.ts'

/** What a process does that is recorded. */
export interface Workload {
  readonly durability: 'full' | 'relaxed'
  readonly seed: number
  readonly calls: number
  /** After how many pages of the WAL it makes a checkpoint; null for those that the engine sets. */
  readonly checkpointPages: number | null
}

/** What it is told. */
export interface Recorded extends Workload {
  readonly database: string
  readonly acknowledgements: string
}

/** What it has been told by the engine; without a key where it is no call. */
export interface Acknowledgement {
  readonly key: string | null
  readonly seqs: readonly number[]
}

/** All that a process has done, and what came of it in the end. */
export interface Recording extends Workload {
  readonly operations: readonly Operation[]
  readonly log: readonly { readonly id: string; readonly type: string; readonly data: object }[]
}

/** The name of the database in each folder. */
export const DATABASE = 'pawl.db'

/** Has a process do its work on a new file, and records everything that it does to its files. */
export async function record(script: string, workload: Workload): Promise<Recording> {
  const folder = makeTemporaryDirectory()
  const elsewhere = makeTemporaryDirectory()
  try {
    const database = join(folder, DATABASE)
    const acknowledgements = join(elsewhere, 'acknowledgements')
    const trace = join(elsewhere, 'trace')
    const watched = [folder, acknowledgements, ...filesOf(database)]
    const told: Recorded = { ...workload, database, acknowledgements }
    const { code, output } = await traced(recordingTo(trace), watched, script, told)
    if (code !== 0) throw new Error(`the recorded process ended with ${code}: ${output}`)
    const operations = readTrace(trace, { folder, acknowledgements })
    return { ...workload, operations, log: await logOf(database) }
  } finally {
    removeDirectory(folder)
    removeDirectory(elsewhere)
  }
}

async function logOf(database: string): Promise<Recording['log']> {
  const engine = await createEngine({ database })
  const log = await collect(engine.events.list({ internal: true, order: 'asc', limit: 1000 }))
  await engine.close()
  return log
}
