import { openSync, writeSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { createEngine } from '../../src/index.ts'
import { copyTasks, makeOwnTables } from './own-rows.ts'
import type { Acknowledgement, Recorded } from './recordings.ts'
import { randomFrom } from './settings.ts'
import { createWorkload } from './workload.ts'

// Without the line of the source that Node shows: a bundle has few lines, and long ones.
process.once('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

const settings: Recorded = JSON.parse(process.argv[2] ?? '{}')
const { database, acknowledgements, durability, seed, calls, checkpointPages } = settings

const CALLERS = 6
const file = openSync(acknowledgements, 'w')
const random = randomFrom(seed)
let made = 0

function acknowledge(acknowledgement: Acknowledgement): void {
  writeSync(file, `${JSON.stringify(acknowledgement)}\n`)
}

/** Opens a connection with checkpoints that are as frequent as the recording wants them. */
async function open() {
  if (checkpointPages === null) {
    const engine = await createEngine({ database, durability })
    return { engine, close: () => engine.close() }
  }
  const connection = new Sqlite(database)
  const engine = await createEngine({ database: connection, durability })
  connection.pragma(`wal_autocheckpoint = ${checkpointPages}`)
  const close = async () => {
    await engine.close()
    connection.close()
  }
  return { engine, close }
}

/** Opens the file, makes calls, and closes it. */
async function live(until: number): Promise<void> {
  const { engine, close } = await open()
  await makeOwnTables(engine)
  acknowledge({ key: null, seqs: [] })
  const stop = new AbortController()
  const copying = copyTasks(engine, stop.signal, {})
  const plan = createWorkload(engine, random)
  const call = async (): Promise<void> => {
    while (made < until) {
      const key = `k${++made}`
      const { seqs } = await plan(key)()
      acknowledge({ key, seqs })
    }
  }
  // The first three calls make what the others refer to.
  for (const end of [made + 1, made + 2, made + 3]) {
    const key = `k${++made}`
    acknowledge({ key, seqs: (await plan(key)()).seqs })
    if (made !== end) throw new Error('somebody else has called')
  }
  await Promise.all(Array.from({ length: CALLERS }, call))
  stop.abort()
  await copying
  await close()
}

await live(Math.floor((calls * 2) / 3))
await live(calls)
