import { writeSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { isPawlError, type PawlError } from '../../src/index.ts'
import { createTestEngine, type TestClock } from '../../src/testing.ts'
import { COPIER } from './copies.ts'
import type { FailingDisk, Said } from './failing-disk.ts'
import { copyTasks, makeOwnTables } from './own-rows.ts'
import { randomFrom } from './settings.ts'
import { type Call, createWorkload, type Done, type PlatformEngine } from './workload.ts'

// Without the line of the source that Node shows: a bundle has few lines, and long ones.
process.once('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

const settings: FailingDisk = JSON.parse(process.argv[2] ?? '{}')
const { database, durability, seed, rounds, cachePages } = settings

const CALLERS = 3
// More often than the disk fails.
const MOST_TRIES = 500
const OUTPUT = 1

type TestEngine = PlatformEngine & { readonly clock: TestClock }

function say(said: Said): void {
  writeSync(OUTPUT, `${JSON.stringify(said)}\n`)
}

function sayFailed(what: string, error: unknown): void {
  const code = isPawlError(error) ? error.code : `no error of the engine, but ${error}`
  say({ is: 'failed', what, code, cause: isPawlError(error) ? causeOf(error) : null })
}

function causeOf({ cause }: PawlError): string | null {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : null
}

/** Does something again until it succeeds. */
async function insist<T>(what: string, work: () => T | PromiseLike<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      sayFailed(what, error)
      if (attempt === MOST_TRIES) throw error
    }
  }
}

/** Something with the application's own connection: it gets SQLite's errors. */
function insistOn<T>(work: () => T): T {
  for (let attempt = 1; ; attempt++) {
    try {
      return work()
    } catch (error) {
      if (attempt === MOST_TRIES || !(error instanceof Sqlite.SqliteError)) throw error
    }
  }
}

async function open(now: Date | undefined) {
  const given = cachePages === null ? database : insistOn(() => new Sqlite(database))
  const all = { database: given, durability, ...(now === undefined ? {} : { now }) }
  const onError = (error: unknown) => sayFailed('something in the background', error)
  const engine = await insist('open', () => createTestEngine({ ...all, onError }))
  if (typeof given !== 'string') {
    insistOn(() => given.pragma(`cache_size = ${cachePages}`))
    insistOn(() => given.pragma('wal_autocheckpoint = 30'))
  }
  const close = async () => {
    await insist('close', () => engine.close())
    if (typeof given !== 'string') insistOn(() => given.close())
  }
  return { engine, close }
}

/** Copies events; gives what stops that. */
function startCopying(engine: TestEngine): () => Promise<void> {
  const stop = new AbortController()
  // A failure that counted as the handler's would park the event at once. The clock runs fast here.
  const patience = { tries: 1, backoff: 1, lease: '5m' } as const
  const copying = insist('consume', () => copyTasks(engine, stop.signal, patience))
  return () => {
    stop.abort()
    return copying
  }
}

/** Waits until everything has been copied, what was parked included. */
async function finishCopying(engine: TestEngine): Promise<void> {
  for (;;) {
    await insist('advance', () => engine.clock.advance('1s'))
    await turn()
    const [consumer] = await insist('consumers', () => engine.consumers.list())
    const parked = await insist('parked', () => engine.consumers.parked(COPIER))
    if (consumer?.lag === 0 && parked.length === 0) return
    for (const { event_id, error } of parked) {
      say({ is: 'parked', error })
      await insist('retry', () => engine.consumers.retry(COPIER, event_id))
    }
  }
}

/** Moves the log of the file into the file, as an operator might, unless somebody is writing. */
function checkpoint(): void {
  let connection: Sqlite.Database | undefined
  try {
    connection = new Sqlite(database, { timeout: 0 })
    connection.pragma('wal_checkpoint(truncate)')
  } catch (error) {
    if (!(error instanceof Sqlite.SqliteError)) throw error
  } finally {
    connection?.close()
  }
}

async function read(engine: TestEngine): Promise<void> {
  const { data } = await insist('list', () => engine.agents.list({ limit: 1000 }))
  const [{ id = '' } = {}] = data
  await insist('get', () => engine.agents.get(id))
  await insist('history', () => engine.agents.history(id))
  await insist('at', () => engine.agents.at(id, engine.clock.now()))
  await insist('events', () => engine.events.list({ limit: 1000, internal: true }))
  await insist('timers', () => engine.timers.list())
}

/** Verifies until there is no difference; what cannot be read is one. */
async function verify(engine: TestEngine): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const { differences } = await insist('verify', () => engine.verify())
    say({ is: 'verified', differences })
    if (differences.length === 0) return
  }
}

const random = randomFrom(seed)
let count = 0

/** What is done with one engine, from its opening to its end. */
interface Life {
  readonly engine: TestEngine
  readonly plan: (key: string) => Call
  readonly made: Map<string, Call>
}

async function make({ plan, made }: Life): Promise<void> {
  const key = `k${++count}`
  const call = plan(key)
  made.set(key, call)
  const { seqs } = await insist('call', call)
  say({ is: 'acknowledged', key, seqs })
}

async function work(life: Life, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: CALLERS }, () => make(life)))
    if (random() < 0.2) await read(life.engine)
  }
}

/** Makes every call again: none of them may have an effect. */
async function repeat({ made }: Life): Promise<void> {
  for (const [key, call] of made) {
    const { seqs, replayed }: Done = await insist('repeat', call)
    say({ is: 'repeated', key, seqs, replayed })
  }
}

/** Waits for a timer. */
async function untilFailed(engine: TestEngine, session: string): Promise<void> {
  do await insist('advance', () => engine.clock.advance('10m'))
  while ((await insist('get', () => engine.sessions.get(session))).status !== 'failed')
}

/** Opens the file, makes calls, and closes it when all has been settled. */
async function live(name: string, now?: Date): Promise<Date> {
  const { engine, close } = await open(now)
  await insist('tables', () => makeOwnTables(engine))
  const stop = startCopying(engine)
  const create = () => engine.sessions.create({}, { idempotencyKey: `session of ${name}` })
  const { resource: session } = await insist('session', create)
  const life: Life = { engine, plan: createWorkload(engine, random), made: new Map() }
  // The first three make what the others refer to.
  for (let first = 0; first < 3; first++) await make(life)
  await work(life, rounds)
  checkpoint()
  await work(life, rounds)
  await finishCopying(engine)
  await untilFailed(engine, session.id)
  await verify(engine)
  await repeat(life)
  await stop()
  await close()
  return engine.clock.now()
}

const now = await live('the first life')
await live('the second life', now)
say({ is: 'finished' })
