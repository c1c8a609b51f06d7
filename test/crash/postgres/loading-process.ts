import { once } from 'node:events'
import { postgres } from '../../../src/postgres.ts'
import { type Line, say } from '../acknowledgements.ts'
import { copyAgents, openFast } from '../fast-platform.ts'
import { TOLD } from '../killing.ts'
import { callOnce, type Work } from '../loaded-calls.ts'
import { createLoad } from '../platform-load.ts'
import { randomFrom } from '../settings.ts'
import { asPool, createPool } from './connections.ts'
import { CALLERS, type Loading } from './loading.ts'

const KEYED = 0.3

async function run({ address, schema, seed, name }: Loading): Promise<void> {
  const random = randomFrom(seed)
  // As applications open them, and as `postgres` does.
  const pool = createPool(schema, { ...address, max: 6, pipeline: seed % 2 === 0 })
  const engine = await openFast(postgres(asPool(pool), { schema }), 'full')
  const load = await createLoad(engine, random)
  const tell = (line: Line): void => say(TOLD, line)
  const work: Work = { engine, load, random, tell, keyed: KEYED, mayGoAway: true }
  let [made, isOver] = [0, false]
  const call = async (): Promise<void> => {
    while (!isOver) await callOnce(work, `${name}-${++made}`)
  }
  const starting = engine.start()
  const copying = copyAgents(engine)
  const calling = Array.from({ length: CALLERS }, call)
  const told = once(process, 'message')
  process.send?.('at work')
  await told
  isOver = true
  await Promise.all([starting, ...calling])
  await engine.close()
  await copying
  await pool.end()
  process.disconnect()
}

void run(JSON.parse(process.argv[2] ?? '{}'))
