import { once } from 'node:events'
import Sqlite from 'better-sqlite3'
import { type Line, say } from './acknowledgements.ts'
import { copyAgents, openFast } from './fast-platform.ts'
import { type KilledWork, TOLD } from './killing.ts'
import { callOnce, type Work } from './loaded-calls.ts'
import { createLoad } from './platform-load.ts'
import { randomFrom } from './settings.ts'

const CALLERS = 16
const KEYED = 0.3

/** Moves the log of the file into the file itself every few milliseconds, so that many die while that is done. */
function keepCheckpointing(database: string): void {
  const connection = new Sqlite(database, { timeout: 0 })
  setInterval(() => connection.pragma('wal_checkpoint(passive)'), 3)
}

async function workOn({ database, durability, seed, name, checkpoints }: KilledWork) {
  const random = randomFrom(seed)
  const engine = await openFast(database, durability)
  const starting = engine.start()
  const copying = copyAgents(engine)
  const tell = (line: Line): void => say(TOLD, line)
  const load = await createLoad(engine, random)
  const common: Work = { engine, load, random, tell, keyed: KEYED }
  let made = 0
  const call = async (): Promise<never> => {
    for (;;) await callOnce(common, `${name}-${++made}`)
  }
  if (checkpoints) keepCheckpointing(database)
  await Promise.all([starting, copying, ...Array.from({ length: CALLERS }, call)])
}

async function run(): Promise<void> {
  // Most of the start is behind it: the rest begins when somebody says on which file.
  process.send?.('ready')
  const [work]: KilledWork[] = await once(process, 'message')
  if (work === undefined) throw new Error('there is nothing to do')
  await workOn(work)
}

void run()
