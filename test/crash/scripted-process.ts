import { setImmediate } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { type Request, say } from './acknowledgements.ts'
import {
  copyAgents,
  type FastEngine,
  lagOf,
  type Outcome,
  OWN_SCHEMA,
  openFast,
  perform,
} from './fast-platform.ts'
import { note, type Work } from './loaded-calls.ts'
import { passwordOf } from './platform-load.ts'
import type { Scripted } from './scripted.ts'

const { database }: Scripted = JSON.parse(process.argv[2] ?? '{}')

const OUTPUT = 1

/** Makes a call with a key and tells of it before and after. */
async function ask(engine: FastEngine, key: string, request: Request): Promise<string> {
  say(OUTPUT, { is: 'tried', key, request })
  const { resource, events }: Outcome = await perform(engine, request, key)
  const told = events.map(({ id, seq, type }) => [id, seq, type] as const)
  const { id, version } = resource
  say(OUTPUT, { is: 'acknowledged', key, id, version, events: told })
  return id
}

function create(property: string, input: Request['input']): Request {
  return { property, id: null, input }
}

function command(property: string, id: string, type: string): Request {
  return { property, id, input: { type } }
}

/** One call after the other; sessions with runs, a secret, rows of its own, and three callers at once. */
async function work(engine: FastEngine): Promise<void> {
  const agent_id = await ask(engine, 'agent', create('agents', { name: 'A' }))
  const website = { url: 'https://source.example' }
  const source_id = await ask(engine, 'source', create('sources', { type: 'website', website }))
  const auth_credentials = { username: 'ada', password: passwordOf('login') }
  const login = { source_id, auth_method: 'username_password', auth_credentials }
  const credential_id = await ask(engine, 'login', create('credentials', login))
  const task_id = await ask(engine, 'task', create('tasks', { name: 'T', agent_id }))
  const input = { task_id, credential_id, input: { month: '2026-01' } }
  const run = await ask(engine, 'run', create('taskRuns', input))
  const { session_id } = await engine.taskRuns.get(run)
  await ask(engine, 'session', command('sessions', session_id, 'start'))
  await ask(engine, 'start', command('taskRuns', run, 'start'))
  await ask(engine, 'review', command('taskRuns', run, 'request_review'))
  await note(toWork(engine), 'note')
  await Promise.all([
    ask(engine, 'second', create('taskRuns', { ...input, session_id })),
    ask(engine, 'promote', command('tasks', task_id, 'promote')),
    ask(engine, 'other', create('agents', { name: 'B' })),
  ])
  await ask(engine, 'end', command('sessions', session_id, 'end'))
  await ask(engine, 'confirm', command('taskRuns', run, 'confirm_cancel'))
}

function toWork(engine: FastEngine): Pick<Work, 'engine' | 'tell'> {
  return { engine, tell: (line) => say(OUTPUT, line) }
}

/** Runs the consumer until it has copied what there is. */
async function copy(engine: FastEngine): Promise<void> {
  const stop = new AbortController()
  const copying = copyAgents(engine, stop.signal)
  while ((await lagOf(engine)) > 0) await setImmediate()
  stop.abort()
  await copying
}

/** Moves all of the log of the file into the file. */
function checkpoint(): void {
  const connection = new Sqlite(database)
  connection.pragma('wal_checkpoint(truncate)')
  connection.close()
}

/** All of it; and once more, on a file that has been closed. */
async function run(): Promise<void> {
  const engine = await openFast(database, 'full', {})
  const connection = new Sqlite(database)
  connection.exec(OWN_SCHEMA)
  connection.close()
  await work(engine)
  checkpoint()
  await copy(engine)
  await engine.close()

  const again = await openFast(database, 'full', {})
  await again.tick()
  await ask(again, 'third', create('agents', { name: 'C' }))
  await note(toWork(again), 'another note')
  await copy(again)
  await again.close()
}

void run()
