import { agentPlatform, type Timeouts } from '../../machines/index.ts'
import { createEngine, type EngineOptions } from '../../src/index.ts'
import { OFFLINE } from '../support/offline.ts'
import type { Request } from './acknowledgements.ts'
import type { CopyTables } from './copies.ts'

/** The built-in resources, so impatient that their timers fire within a moment. */
const FAST_TIMEOUTS = {
  session_provisioning: 60,
  session_idle: 25,
  session_teardown: 40,
  task_run_timeout: 150,
  task_run_interaction: 30,
  task_run_canceling: 20,
  storage_retention: 200,
}

/** The key of everybody who opens such a file. */
const ENCRYPTION_KEY = Buffer.alloc(32, 7).toString('base64')

/** The consumer of such a file, and the events that it copies. */
const AGENT_COPIER = { name: 'agent copier', type: 'agent.*' } as const

/** The tables that are written beside the engine's: two notes in each transaction of its own. */
export type OwnTables = CopyTables & Record<'notes', { readonly id: string; readonly n: number }>

export const OWN_SCHEMA = `
  create table if not exists notes (id text not null, n integer not null) strict;
  create table if not exists copies
    (id integer primary key, event_id text, seq integer, attempt integer) strict`

export type FastEngine = Awaited<ReturnType<typeof openFast>>

/** Opens an engine with the impatient resources, or with other timeouts. */
export function openFast(
  database: EngineOptions['database'],
  durability: 'full' | 'relaxed',
  timeouts: Timeouts = FAST_TIMEOUTS,
) {
  return createEngine({
    database,
    durability,
    resources: agentPlatform({ timeouts }),
    encryptionKeys: [ENCRYPTION_KEY],
    delivery: OFFLINE,
  })
}

/** Copies events, each in the transaction that moves the consumer on. */
export function copyAgents(engine: FastEngine, signal?: AbortSignal): Promise<unknown> {
  const patient = { lease: 100, backoff: 1, tries: 1_000_000 }
  const options = {
    type: AGENT_COPIER.type,
    ...patient,
    ...(signal === undefined ? {} : { signal }),
  }
  return engine.consume(AGENT_COPIER.name, options, async ({ id, seq }, { tx, attempt }) => {
    const db = tx.db.withTables<OwnTables>()
    await db.insertInto('copies').values({ event_id: id, seq, attempt }).execute()
  })
}

/** How many entries of the log the consumer has not come to yet. */
export async function lagOf(engine: FastEngine): Promise<number> {
  const consumers = await engine.consumers.list()
  return consumers.find(({ name }) => name === AGENT_COPIER.name)?.lag ?? Number.POSITIVE_INFINITY
}

/** What a call gives, of whatever resource. */
export interface Outcome {
  readonly resource: { readonly id: string; readonly status: string; readonly version: number }
  readonly events: readonly { readonly id: string; readonly seq: number; readonly type: string }[]
  readonly replayed: boolean
}

interface Handle {
  create(input: unknown, options: object): Promise<Outcome>
  send(id: string, command: unknown, options: object): Promise<Outcome>
}

/** Makes a call. */
export function perform(
  engine: object,
  { property, id, input }: Request,
  key: string | null,
): Promise<Outcome> {
  const handle: Handle = Reflect.get(engine, property)
  const options = key === null ? {} : { idempotencyKey: key }
  return id === null ? handle.create(input, options) : handle.send(id, input, options)
}
