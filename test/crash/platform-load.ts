import type { Request } from './acknowledgements.ts'
import { type FastEngine, type Outcome, perform } from './fast-platform.ts'

/** Ids of resources that a load can go on with, by the property of the engine. */
type Pools = Readonly<
  Record<'agents' | 'sources' | 'tasks' | 'credentials' | 'sessions' | 'runs', string[]>
>

/** Thinks up the calls of a mixed load, as the random numbers want it. */
export interface Load {
  next(name: string): Request
  /** Learns what a call has come to, so that later calls go on with it. */
  learn(request: Request, outcome: Outcome): void
}

// So few that calls meet on the same resources.
const POOL = 12

const ENDED = ['deleted', 'completed', 'failed', 'canceled']

const INTERACTION = {
  type: 'mfa',
  message: 'Enter the code',
  fields: [{ name: 'code', type: 'text', label: 'Code' }],
}

const FILE = { file_name: 'jan.pdf', file_type: 'application/pdf', file_size: 12 }

/** The password of a credential, from the name of the call. */
export function passwordOf(name: string): string {
  return `secret of ${name}`
}

/** Prepares a load on a file: with the resources that are there, or else with new ones. */
export async function createLoad(engine: FastEngine, random: () => number): Promise<Load> {
  const pools = await findPools(engine)
  if (pools.tasks.length === 0) await makeFirst(engine, pools)
  const one = <T>(some: readonly T[], otherwise: T): T =>
    some[Math.floor(random() * some.length)] ?? otherwise
  const kinds = toKinds(pools, one)
  return {
    next: (name) => one(kinds, kinds[0] ?? newAgent)(name),
    learn: ({ property }, { resource }) => {
      const pool = poolOf(pools, property)
      if (pool !== undefined) keepIn(pool, resource)
    },
  }
}

/** Adds what is new to a pool, and removes what has ended. */
function keepIn(pool: string[], { id, status }: Outcome['resource']): void {
  const index = pool.indexOf(id)
  // Something has to be left to refer to.
  if (ENDED.includes(status) && index >= 0 && pool.length > 1) pool.splice(index, 1)
  if (ENDED.includes(status) || index >= 0) return
  pool.push(id)
  if (pool.length > POOL) pool.shift()
}

function poolOf(pools: Pools, property: string): string[] | undefined {
  const entry = Object.entries({ ...pools, taskRuns: pools.runs }).find(([key]) => key === property)
  return entry?.[1]
}

async function findPools(engine: FastEngine): Promise<Pools> {
  const limit = POOL / 2
  const idsOf = ({ data }: { readonly data: readonly { readonly id: string }[] }) =>
    data.map(({ id }) => id)
  return {
    agents: idsOf(await engine.agents.list({ limit })),
    sources: idsOf(await engine.sources.list({ limit })),
    tasks: idsOf(await engine.tasks.list({ limit })),
    credentials: idsOf(
      await engine.credentials.list({ limit, status: ['unverified', 'verified'] }),
    ),
    sessions: idsOf(await engine.sessions.list({ limit, status: ['queued', 'running', 'idle'] })),
    runs: idsOf(await engine.taskRuns.list({ limit, status: ['queued', 'running', 'pending'] })),
  }
}

/** Makes what all else refers to. */
async function makeFirst(engine: FastEngine, pools: Pools): Promise<void> {
  const source = await perform(engine, newSource('first'), null)
  const agent = await perform(engine, newAgent('first'), null)
  const input = { name: 'first', agent_id: agent.resource.id }
  const task = await engine.tasks.create(input)
  pools.sources.push(source.resource.id)
  pools.agents.push(agent.resource.id)
  pools.tasks.push(task.resource.id)
}

type Kind = (name: string) => Request

const newAgent: Kind = (name) => ({ property: 'agents', id: null, input: { name } })

const newSource: Kind = (name) => ({
  property: 'sources',
  id: null,
  input: { name, type: 'website', website: { url: 'https://source.example' } },
})

type One = <T>(some: readonly T[], otherwise: T) => T

function toKinds(pools: Pools, one: One): Kind[] {
  const newSession: Kind = () => ({ property: 'sessions', id: null, input: {} })
  const sessionCommand: Kind = () => {
    const id = one(pools.sessions, '')
    if (id === '') return newSession('')
    const fail = { type: 'fail', error: { code: 'crashed', message: 'the browser died' } }
    const end = { type: 'end', reason: 'enough' }
    const start = { type: 'start' }
    return {
      property: 'sessions',
      id,
      input: one([start, start, start, end, { type: 'complete' }, fail], end),
    }
  }
  const newRun: Kind = (name) => {
    const session_id = one(pools.sessions, '')
    const login = { credential_id: one(pools.credentials, '') }
    const source = { source_id: one(pools.sources, '') }
    return {
      property: 'taskRuns',
      id: null,
      input: {
        task_id: one(pools.tasks, ''),
        ...(login.credential_id !== '' && one([true, false], true) ? login : source),
        // Mostly several runs in one session.
        ...(session_id !== '' && one([true, true, false], true) ? { session_id } : {}),
        input: { name },
      },
    }
  }
  const runCommand: Kind = (name) => {
    const id = one(pools.runs, '')
    return id === '' ? newRun(name) : { property: 'taskRuns', id, input: one(RUN_COMMANDS, START) }
  }
  const task: Kind = (name) => ({
    property: 'tasks',
    id: one(pools.tasks, ''),
    input: one([{ type: 'update', name }, { type: 'promote' }, { type: 'demote' }], START),
  })
  const storage: Kind = (name) => {
    const id = one(pools.runs, '')
    return id === ''
      ? newRun(name)
      : { property: 'storageItems', id: null, input: { task_run_id: id, ...FILE } }
  }
  return [
    ...[newAgent, newAgent, newAgent, newSession, sessionCommand, sessionCommand, sessionCommand],
    ...[newRun, newRun, runCommand, runCommand, runCommand, runCommand, runCommand, runCommand],
    ...[task, task, storage, newCredential(pools, one)],
  ]
}

function newCredential(pools: Pools, one: One): Kind {
  return (name) => ({
    property: 'credentials',
    id: null,
    input: {
      source_id: one(pools.sources, ''),
      auth_method: 'username_password',
      auth_credentials: { username: 'ada', password: passwordOf(name) },
      external_id: name,
    },
  })
}

const START = { type: 'start' }

const RUN_COMMANDS: readonly Readonly<Record<string, unknown>>[] = [
  ...[START, START, START],
  { type: 'require_interaction', interaction: INTERACTION },
  { type: 'submit_interaction', input: { code: '123456' } },
  { type: 'request_review' },
  ...[{ type: 'approve' }, { type: 'complete' }, { type: 'complete' }],
  ...[{ type: 'cancel' }, { type: 'confirm_cancel' }, { type: 'login_succeeded' }],
  { type: 'login_rejected' },
  { type: 'fail', errors: [{ code: 'broken', message: 'it broke' }] },
]
