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

// Most of the start is behind it: the rest begins when somebody says on which file.
process.send?.('ready')
const [work]: KilledWork[] = await once(process, 'message')
if (work === undefined) throw new Error('there is nothing to do')
const { database, durability, seed, name, checkpoints } = work

const random = randomFrom(seed)
const engine = await openFast(database, durability)
const starting = engine.start()
const copying = copyAgents(engine)

/** Moves the log of the file into the file itself every few milliseconds, so that many die while that is done. */
function keepCheckpointing(): void {
  const connection = new Sqlite(database, { timeout: 0 })
  setInterval(() => connection.pragma('wal_checkpoint(passive)'), 3)
}

const tell = (line: Line): void => say(TOLD, line)
const common: Work = { engine, load: await createLoad(engine, random), random, tell, keyed: KEYED }
let made = 0

async function call(): Promise<never> {
  for (;;) await callOnce(common, `${name}-${++made}`)
}

if (checkpoints) keepCheckpointing()
await Promise.all([starting, copying, ...Array.from({ length: CALLERS }, call)])
