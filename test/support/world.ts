import type { AnyEngine, AnyOutcome, AnyResource, Command } from './engine.ts'
import { handleOf } from './engine.ts'
import { lifecycleOf } from './lifecycles.ts'

type Fields = Readonly<Record<string, unknown>>

/** Creates a resource of a type. */
export async function make(
  engine: AnyEngine,
  type: string,
  input: Fields = {},
): Promise<AnyResource> {
  const outcome = await handleOf(engine, lifecycleOf(type).property).create(input)
  return outcome.resource
}

/** Sends a command, given by its name alone where it has no payload. */
export function send(
  engine: AnyEngine,
  type: string,
  id: string,
  command: Command | string,
): Promise<AnyOutcome> {
  const whole = typeof command === 'string' ? { type: command } : command
  return handleOf(engine, lifecycleOf(type).property).send(id, whole)
}

/** Reads a resource. */
export function read(engine: AnyEngine, type: string, id: string): Promise<AnyResource> {
  return handleOf(engine, lifecycleOf(type).property).get(id)
}

export function makeAgent(engine: AnyEngine): Promise<AnyResource> {
  return make(engine, 'agent', { name: 'Reservations' })
}

export function makeSource(engine: AnyEngine): Promise<AnyResource> {
  return make(engine, 'source', { type: 'website', website: { url: 'https://source.example' } })
}

export async function makeCredential(engine: AnyEngine): Promise<AnyResource> {
  const source = await makeSource(engine)
  return make(engine, 'credential', { source_id: source.id, ...LOGIN })
}

export async function makeTask(engine: AnyEngine, input: Fields = {}): Promise<AnyResource> {
  const agent = await makeAgent(engine)
  return make(engine, 'task', { name: 'Fetch', agent_id: agent.id, ...input })
}

export function makeSession(engine: AnyEngine): Promise<AnyResource> {
  return make(engine, 'session')
}

/** A queued run with a session, a task and a credential of its own, unless given. */
export async function makeRun(
  engine: AnyEngine,
  input: Fields = {},
  task: Fields = {},
): Promise<AnyResource> {
  const task_id = input.task_id ?? (await makeTask(engine, task)).id
  const bare = input.credential_id === undefined && input.source_id === undefined
  const login = bare ? { credential_id: (await makeCredential(engine)).id } : {}
  return make(engine, 'task_run', { task_id, ...login, ...input })
}

/** A running run with a source and no credential. */
export async function makeAnonymousRun(engine: AnyEngine): Promise<AnyResource> {
  const source = await makeSource(engine)
  return makeRunningRun(engine, { source_id: source.id })
}

/** Starts a run, and its session before it where that is still queued. */
export async function startRun(engine: AnyEngine, run: AnyResource): Promise<AnyResource> {
  const session = await read(engine, 'session', sessionOf(run))
  if (session.status === 'queued') await send(engine, 'session', session.id, 'start')
  return (await send(engine, 'task_run', run.id, 'start')).resource
}

export async function makeRunningRun(
  engine: AnyEngine,
  input: Fields = {},
  task: Fields = {},
): Promise<AnyResource> {
  return startRun(engine, await makeRun(engine, input, task))
}

export function makeDestination(engine: AnyEngine, input: Fields = {}): Promise<AnyResource> {
  const webhook = { url: 'https://hooks.example/in' }
  return make(engine, 'event_destination', { name: 'Hooks', webhook, events: ['*'], ...input })
}

/** The id of a run's session. */
export function sessionOf(run: AnyResource): string {
  return String(run.session_id)
}

export const LOGIN = {
  auth_method: 'username_password',
  auth_credentials: { username: 'ada', password: 'first password' },
}

export const NEW_LOGIN = { username: 'ada', password: 'second password' }

export const INTERACTION = {
  type: 'mfa',
  message: 'Enter the code',
  fields: [{ name: 'code', type: 'text', label: 'Code' }],
}

export const FILE = { file_name: 'jan.pdf', file_type: 'application/pdf', file_size: 12 }

type Path = (engine: AnyEngine) => Promise<AnyResource>

/** A first step and the commands after it. */
function along(type: string, first: Path, ...commands: (Command | string)[]): Path {
  return async (engine) => {
    let resource = await first(engine)
    for (const command of commands) {
      resource = (await send(engine, type, resource.id, command)).resource
    }
    return resource
  }
}

const agent: Path = makeAgent
const source: Path = makeSource
const credential: Path = makeCredential
const session: Path = makeSession
const task: Path = (engine) => makeTask(engine)
const queuedRun: Path = (engine) => makeRun(engine)
const runningRun: Path = (engine) => makeRunningRun(engine)
const destination: Path = (engine) => makeDestination(engine)

const stored: Path = async (engine) => {
  const run = await makeRunningRun(engine)
  return make(engine, 'storage', { task_run_id: run.id, ...FILE })
}

const idleSession: Path = async (engine) => {
  const run = await makeRunningRun(engine)
  await send(engine, 'task_run', run.id, 'complete')
  return read(engine, 'session', sessionOf(run))
}

const ask: Command = { type: 'require_interaction', interaction: INTERACTION }

/** A legal path to every status of every built-in resource. */
const paths: Readonly<Record<string, Readonly<Record<string, Path>>>> = {
  agent: { active: agent, deleted: along('agent', agent, 'delete') },
  source: { active: source, deleted: along('source', source, 'delete') },
  credential: {
    unverified: credential,
    verified: along('credential', credential, 'verify'),
    invalid: along('credential', credential, 'reject'),
    deleted: along('credential', credential, 'delete'),
  },
  session: {
    queued: session,
    running: along('session', session, 'start'),
    idle: idleSession,
    completing: along('session', session, 'end'),
    completed: along('session', session, 'end', 'complete'),
    failed: along('session', session, {
      type: 'fail',
      error: { code: 'crashed', message: 'the browser died' },
    }),
  },
  task: {
    learning: task,
    test: along('task', task, 'promote'),
    live: along('task', task, 'promote', 'promote'),
    deleted: along('task', task, 'delete'),
  },
  task_run: {
    queued: queuedRun,
    running: runningRun,
    interaction_required: along('task_run', runningRun, ask),
    pending: along('task_run', runningRun, 'request_review'),
    canceling: along('task_run', runningRun, 'cancel'),
    completed: along('task_run', runningRun, 'complete'),
    failed: along('task_run', runningRun, {
      type: 'fail',
      errors: [{ code: 'broken', message: 'it broke' }],
    }),
    canceled: along('task_run', queuedRun, 'cancel'),
  },
  storage: { stored, deleted: along('storage', stored, 'delete') },
  event_destination: {
    pending_verification: destination,
    active: along('event_destination', destination, 'activate'),
    inactive: along('event_destination', destination, 'deactivate'),
    deleted: along('event_destination', destination, 'delete'),
  },
}

/** Makes a resource of a type in a status. */
export function reach(engine: AnyEngine, type: string, status: string): Promise<AnyResource> {
  const path = paths[type]?.[status]
  if (path === undefined) throw new Error(`no path to ${type} ${status}`)
  return path(engine)
}

const PAYLOADS: Readonly<Record<string, Fields>> = {
  'agent.update': { name: 'Renamed', description: 'Other' },
  'source.update': { name: 'Renamed' },
  'credential.update': { external_id: 'user-9' },
  'session.fail': { error: { code: 'crashed', message: 'the browser died' } },
  'session.run_attached': { run_id: 'trun_1' },
  'session.run_started': { run_id: 'trun_1' },
  'session.run_settled': { run_id: 'trun_1' },
  'task.update': { name: 'Renamed' },
  'task_run.require_interaction': { interaction: INTERACTION },
  'task_run.submit_interaction': { input: { code: '123456' } },
  'task_run.fail': { errors: [{ code: 'broken', message: 'it broke' }] },
  'event_destination.update': { name: 'Renamed' },
  'event_destination.fail_verification': { error: 'it does not answer' },
}

/** A command with a payload that is valid everywhere. */
export function validCommand(type: string, command: string): Command {
  return { type: command, ...PAYLOADS[`${type}.${command}`] }
}
