import { once } from 'node:events'
import { isPawlError } from '../../src/index.ts'
import {
  after,
  allDelivered,
  bringBack,
  CHANGES,
  countEvents,
  destinationsOf,
  interrupt,
  makeCalls,
  openSending,
  type SenderWork,
} from './deliveries.ts'
import { type FastEngine, perform } from './fast-platform.ts'
import { createLoad, type Load } from './platform-load.ts'
import type { Scripted } from './scripted.ts'
import { randomFrom } from './settings.ts'

// How many callers make events, beside what is delivered.
const CALLERS = 4

// How many of the calls are about destinations.
const ABOUT_DESTINATIONS = 0.05

/** Where calls come from. */
interface Source {
  readonly engine: FastEngine
  readonly load: Load
  readonly random: () => number
}

/** Makes events until there are enough. */
async function produce(engine: FastEngine, { database, seed, events }: SenderWork): Promise<void> {
  const random = randomFrom(seed)
  const source = { engine, random, load: await createLoad(engine, random) }
  let there = countEvents(database)
  let made = 0
  const call = async (): Promise<void> => {
    while (there < events) {
      const more = await callOnce(source, `${seed}-${++made}`)
      there += more
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, call))
}

/** Makes one call; gives how many events it has caused. */
async function callOnce(source: Source, name: string): Promise<number> {
  try {
    return await (source.random() < ABOUT_DESTINATIONS ? disturb(source) : ask(source, name))
  } catch (error) {
    // What is not legal now is refused: others call as well.
    if (isPawlError(error, 'illegal_transition')) return 0
    throw error
  }
}

async function ask({ engine, load }: Source, name: string): Promise<number> {
  const request = load.next(name)
  const outcome = await perform(engine, request, null)
  load.learn(request, outcome)
  return outcome.events.length
}

/** Has a destination want something else, or stop for a moment. */
async function disturb({ engine, random }: Source): Promise<number> {
  const one = <T>(some: readonly T[]): T | undefined => some[Math.floor(random() * some.length)]
  if (random() < 0.5) {
    const pausing = one(await destinationsOf(engine, 'pausing'))
    if (pausing !== undefined) await interrupt(engine, pausing.id)
    return 0
  }
  const changing = one(await destinationsOf(engine, 'changing'))
  const events = one(CHANGES)
  if (changing === undefined || events === undefined) return 0
  await engine.eventDestinations.send(changing.id, { type: 'update', events: [...events] })
  return 0
}

/** Makes events and delivers them, until it is killed or all is done. */
async function workOn(work: SenderWork): Promise<void> {
  const engine = await openSending(work.database, work.durability)
  await engine.start()
  process.send?.('started')
  await produce(engine, work)
  if (!work.ends) return
  for (const { id } of await destinationsOf(engine, 'pausing')) await bringBack(engine, id)
  await allDelivered(engine, work.database)
  await engine.close()
  process.disconnect?.()
}

/** Goes through the script: a few events, and their deliveries. */
async function goThrough({ database }: Scripted): Promise<void> {
  const engine = await openSending(database, 'full')
  await engine.start()
  for (const { id } of await destinationsOf(engine, 'pausing')) await bringBack(engine, id)
  for (const { id } of await destinationsOf(engine, 'steady')) {
    while ((await engine.eventDestinations.get(id)).status !== 'active') await after(2)
  }
  await makeCalls(engine)
  await allDelivered(engine, database)
  await engine.close()
}

async function run(): Promise<void> {
  const script = process.argv[2]
  if (script !== undefined) return goThrough(JSON.parse(script))
  // Most of the start is behind it: the rest begins when somebody says on which file.
  process.send?.('ready')
  const [work]: SenderWork[] = await once(process, 'message')
  if (work === undefined) throw new Error('there is nothing to do')
  await workOn(work)
}

void run()
