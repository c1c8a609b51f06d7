import { join } from 'node:path'
import fc from 'fast-check'
import { isPawlError } from '../../../src/index.ts'
import { engineCall } from './engine-calls.ts'
import { difference } from './exactness.ts'
import { type Call, resourceCall } from './resource-calls.ts'
import { handle, openEngine, openWorld, type World } from './world.ts'

/** What has been tried, and what became of it. */
export interface Tally {
  rounds: number
  taken: number
  readonly refused: Map<string, number>
  /** The longest call, in milliseconds of CPU time. */
  longest: number
}

// Every so often a new engine: the log of the old one is verified, and a backup of it is read.
const ROUNDS_PER_ENGINE = 1000
const ROUNDS_PER_BOX = 50
const LONGEST_CALL_MS = 100

const ORIGINAL_KEYS = ownKeys()

/** Makes hostile calls on engines in a folder; throws with a shrunk call at the first that is not as it has to be. */
export async function playRounds(folder: string, seed: number, rounds: number): Promise<Tally> {
  const tally: Tally = { rounds: 0, taken: 0, refused: new Map(), longest: 0 }
  for (let chunk = 0; chunk * ROUNDS_PER_ENGINE < rounds; chunk++) {
    const numRuns = Math.min(ROUNDS_PER_ENGINE, rounds - chunk * ROUNDS_PER_ENGINE)
    const world = await openWorld(join(folder, `${chunk}.db`), seed + chunk)
    const property = fc.asyncProperty(fc.oneof(resourceCall, engineCall), async (call) => {
      if (tally.rounds++ % ROUNDS_PER_BOX === 0) world.box = await newBox(world)
      await play(world, call, tally)
    })
    try {
      await fc.assert(property, { seed: seed + chunk, numRuns })
      await checkEnd(world)
    } finally {
      await world.engine.close()
    }
  }
  return tally
}

async function newBox({ engine }: World): Promise<string> {
  return (await handle(engine, 'boxes').create({ n: 0 })).resource.id
}

async function play(world: World, call: Call, tally: Tally): Promise<void> {
  const { answer, error, took } = await timed(world, call)
  tally.longest = Math.max(tally.longest, took)
  if (error !== undefined) count(tally.refused, codeOf(call, error.thrown))
  else {
    const wrong = (await call.check?.(world, answer)) ?? null
    if (wrong !== null) throw new Error(`${call.name}: ${wrong}`)
    tally.taken += 1
  }
  if (ownKeys() !== ORIGINAL_KEYS) throw new Error(`${call.name} has changed a prototype`)
  await work(world)
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function codeOf({ name }: Call, error: unknown): string {
  if (isPawlError(error) && CALLERS.has(error.code)) return error.code
  const stack = error instanceof Error ? error.stack : Object.prototype.toString.call(error)
  throw new Error(`${name} fails as no call of a caller may: ${stack}`, { cause: error })
}

/** The codes that speak of what the caller did; the others would blame the machine or the database. */
const CALLERS: ReadonlySet<string> = new Set([
  ...['invalid_input', 'not_found', 'already_exists', 'illegal_transition', 'version_conflict'],
  'idempotency_mismatch',
])

interface Timed {
  readonly answer?: unknown
  readonly error?: { readonly thrown: unknown }
  readonly took: number
}

/** Makes a call; one that seems to take too long is made again, since others share the machine. */
async function timed(world: World, call: Call): Promise<Timed> {
  const first = await attempt(call.prepare(world))
  let took = first.took
  for (let again = 0; again < 5 && took > LONGEST_CALL_MS; again++) {
    took = Math.min(took, (await attempt(call.prepare(world))).took)
  }
  if (took > LONGEST_CALL_MS) throw new Error(`${call.name} took ${Math.round(took)} ms`)
  return { ...first, took }
}

async function attempt(make: () => unknown): Promise<Timed> {
  const begun = process.cpuUsage()
  const tookSince = () => {
    const { user, system } = process.cpuUsage(begun)
    return (user + system) / 1000
  }
  try {
    const answer = await make()
    return { answer, took: tookSince() }
  } catch (thrown) {
    return { error: { thrown }, took: tookSince() }
  }
}

/** Checks that the engine goes on with what is plain. */
async function work({ engine, box }: World): Promise<void> {
  const { resource } = await handle(engine, 'boxes').send(box, { type: 'put', n: 1 })
  const found = difference({ n: 1 }, resource.held)
  if (found !== null) throw new Error(`a plain command went wrong: ${found}`)
}

/** The names of all that everything inherits. */
function ownKeys(): string {
  return [Object.prototype, Array.prototype, Function.prototype, String.prototype]
    .map((prototype) => Reflect.ownKeys(prototype).map(String).join())
    .join(' ')
}

/** Checks that the log agrees with the state, and that a backup holds what was taken. */
async function checkEnd({ engine, database, taken }: World): Promise<void> {
  const { differences } = await engine.verify()
  if (differences.length > 0) throw new Error(`verify: ${JSON.stringify(differences)}`)
  const copy = `${database}.copy`
  await engine.backup(copy)
  const restored = await openEngine(copy, 1)
  try {
    for (const [key, { sent, seq }] of taken) {
      const [id = ''] = key.split(' ')
      const { held } = await handle(restored, 'boxes').at(id, seq)
      const found = difference(sent, held)
      if (found !== null) throw new Error(`the backup of ${id}: ${found}`)
    }
  } finally {
    await restored.close()
  }
}
