import { expect } from 'vitest'
import { type AnyEngine, type AnyOutcome, type AnyResource, handleOf } from './engine.ts'
import { lifecycles, type Row } from './lifecycles.ts'
import {
  makeAnonymousRun,
  makeRun,
  makeRunningRun,
  makeTask,
  NEW_LOGIN,
  reach,
  send,
  sessionOf,
  startRun,
  validCommand,
} from './world.ts'

/** What a legal command does: a public event, an internal entry, or nothing at all. */
export type Effect = 'event' | 'data' | 'unchanged'

/** A resource in the status that a row starts from, and the call that takes the row. */
export interface Prepared {
  readonly id: string
  readonly act: () => Promise<AnyOutcome>
}

export interface Variant {
  readonly when: string
  readonly effect: Effect
  readonly prepare: (engine: AnyEngine) => Promise<Prepared>
  readonly check?: (after: AnyResource, before: AnyResource) => void
}

export interface Case extends Variant {
  readonly type: string
  readonly row: Row
  readonly title: string
}

type Fields = Readonly<Record<string, unknown>>
type Prepare = Variant['prepare']
type Check = Variant['check']

function variant(when: string, effect: Effect, prepare: Prepare, check?: Check): Variant {
  return check ? { when, effect, prepare, check } : { when, effect, prepare }
}

/** Sends a command, with another payload than the usual one, in a status. */
function sending(type: string, status: string, command: string, payload?: Fields): Prepare {
  return async (engine) => {
    const { id } = await reach(engine, type, status)
    const whole = payload ? { type: command, ...payload } : validCommand(type, command)
    return { id, act: () => send(engine, type, id, whole) }
  }
}

/** Sends a command twice, so that the second one is the case. */
function repeating(type: string, status: string, command: string, payload: Fields = {}): Prepare {
  return async (engine) => {
    const { id } = await reach(engine, type, status)
    await send(engine, type, id, { type: command, ...payload })
    return { id, act: () => send(engine, type, id, { type: command, ...payload }) }
  }
}

/** Has a run do something that tells its session. */
function telling(setup: (engine: AnyEngine) => Promise<AnyResource>, command: string): Prepare {
  return async (engine) => {
    const run = await setup(engine)
    return { id: sessionOf(run), act: () => send(engine, 'task_run', run.id, command) }
  }
}

/** A queued run in a session of the given status. */
async function runIn(engine: AnyEngine, status: string): Promise<AnyResource> {
  const session = await reach(engine, 'session', status)
  return makeRun(engine, { session_id: session.id })
}

function attaching(status: string): Prepare {
  return async (engine) => {
    const task_id = (await makeTask(engine)).id
    const source_id = (await reach(engine, 'source', 'active')).id
    const { id } = await reach(engine, 'session', status)
    const input = { task_id, source_id, session_id: id }
    return { id, act: () => handleOf(engine, 'taskRuns').create(input) }
  }
}

function starting(status: string): Prepare {
  return async (engine) => {
    const { id } = await runIn(engine, status)
    return { id, act: () => send(engine, 'task_run', id, 'start') }
  }
}

/** Two runs executing in one session; gives the second. */
async function secondRunning(engine: AnyEngine): Promise<AnyResource> {
  const first = await makeRunningRun(engine)
  return startRun(engine, await makeRun(engine, { session_id: sessionOf(first) }))
}

/** A run that is being canceled since its session ended. */
async function endedRun(engine: AnyEngine): Promise<AnyResource> {
  const run = await makeRunningRun(engine)
  await send(engine, 'session', sessionOf(run), 'end')
  return run
}

const executing = (count: number, of: number): Check => {
  return (after) => {
    const runs = after.task_runs as readonly { readonly executing: boolean }[]
    expect(runs).toHaveLength(of)
    expect(runs.filter((run) => run.executing)).toHaveLength(count)
  }
}

const OUTPUT_SCHEMA = {
  type: 'object',
  required: ['total'],
  properties: { total: { type: 'number' } },
}

/** A run whose task says what its output looks like. */
export async function runWithOutputSchema(engine: AnyEngine): Promise<AnyResource> {
  return makeRunningRun(engine, {}, { output_schema: OUTPUT_SCHEMA })
}

function completing(setup: typeof runWithOutputSchema, payload: Fields): Prepare {
  return async (engine) => {
    const { id } = await setup(engine)
    return { id, act: () => send(engine, 'task_run', id, { type: 'complete', ...payload }) }
  }
}

async function approving(engine: AnyEngine): Promise<Prepared> {
  const { id } = await runWithOutputSchema(engine)
  await send(engine, 'task_run', id, { type: 'request_review', output: { total: 7 } })
  return { id, act: () => send(engine, 'task_run', id, 'approve') }
}

const failedWith =
  (type: string, code: string): Check =>
  (after) => {
    expect(after.result).toBe('failure')
    expect(after.errors).toEqual([expect.objectContaining({ type, code })])
  }

const canceled: Check = (after) => {
  expect(after.result).toBe(null)
  expect(after.canceled_at).toBe(after.updated_at)
}

function credentialVariants(status: string): Record<string, readonly Variant[]> {
  const update = (payload: Fields) => sending('credential', status, 'update', payload)
  const again = { external_id: 'user-9' }
  return {
    [`credential ${status} update unverified`]: [
      variant('with a login', 'event', update({ auth_credentials: NEW_LOGIN })),
      variant('with both', 'event', update({ auth_credentials: NEW_LOGIN, ...again })),
    ],
    [`credential ${status} update ${status}`]: [
      variant('with an external id', 'data', update(again)),
      variant(
        'with the same id again',
        'unchanged',
        repeating('credential', status, 'update', again),
      ),
      variant('with nothing', 'unchanged', update({})),
    ],
  }
}

const sameUrl = { webhook: { url: 'https://hooks.example/in' } }
const otherUrl = { webhook: { url: 'https://hooks.example/other' } }

/** The rows whose note names conditions, or that no outside command takes. */
const special: Readonly<Record<string, readonly Variant[]>> = {
  ...credentialVariants('verified'),
  ...credentialVariants('invalid'),
  'credential unverified update unverified': [
    variant('with an external id', 'data', sending('credential', 'unverified', 'update')),
    variant(
      'with another password',
      'data',
      sending('credential', 'unverified', 'update', { auth_credentials: NEW_LOGIN }),
    ),
    variant('with nothing', 'unchanged', sending('credential', 'unverified', 'update', {})),
  ],
  'session queued run_attached queued': [variant('', 'data', attaching('queued'), executing(0, 1))],
  'session running run_attached running': [
    variant('', 'data', attaching('running'), executing(0, 1)),
  ],
  'session idle run_attached idle': [variant('', 'data', attaching('idle'), executing(0, 1))],
  'session running run_started running': [
    variant(
      '',
      'data',
      telling((engine) => runIn(engine, 'running'), 'start'),
      executing(1, 1),
    ),
  ],
  'session idle run_started running': [
    variant(
      '',
      'event',
      telling((engine) => runIn(engine, 'idle'), 'start'),
      executing(1, 1),
    ),
  ],
  'session running run_settled idle': [
    variant('by completion', 'event', telling(makeRunningRun, 'complete'), executing(0, 0)),
    variant('by a failed login', 'event', telling(makeRunningRun, 'login_rejected')),
    variant(
      'while another is queued',
      'event',
      telling(async (engine) => {
        const run = await makeRunningRun(engine)
        await makeRun(engine, { session_id: sessionOf(run) })
        return run
      }, 'complete'),
      executing(0, 1),
    ),
  ],
  'session running run_settled running': [
    variant('while another executes', 'data', telling(secondRunning, 'complete'), executing(1, 1)),
    variant(
      'of a queued run beside one that executes',
      'data',
      telling(async (engine) => {
        const first = await makeRunningRun(engine)
        return makeRun(engine, { session_id: sessionOf(first) })
      }, 'cancel'),
      executing(1, 1),
    ),
    variant(
      'of a queued run that is alone',
      'data',
      telling((engine) => runIn(engine, 'running'), 'cancel'),
      executing(0, 0),
    ),
  ],
  'session queued run_settled queued': [
    variant(
      '',
      'data',
      telling((engine) => makeRun(engine), 'cancel'),
      executing(0, 0),
    ),
  ],
  'session idle run_settled idle': [
    variant(
      '',
      'data',
      telling((engine) => runIn(engine, 'idle'), 'cancel'),
      executing(0, 0),
    ),
  ],
  'session completing run_settled completing': [
    variant('', 'data', telling(endedRun, 'confirm_cancel'), executing(0, 0)),
  ],
  'task_run queued start running': [
    variant('in a session that runs', 'event', starting('running')),
    variant('in a session that is idle', 'event', starting('idle')),
  ],
  'task_run running login_succeeded running': [
    variant('the first time', 'data', sending('task_run', 'running', 'login_succeeded'), (after) =>
      expect(after.authenticated_at).toBe(after.updated_at),
    ),
    variant('again', 'unchanged', repeating('task_run', 'running', 'login_succeeded')),
  ],
  'task_run running login_rejected failed': [
    variant(
      '',
      'event',
      sending('task_run', 'running', 'login_rejected', { reason: 'locked' }),
      failedWith('auth', 'auth_invalid'),
    ),
  ],
  'task_run pending reject failed': [
    variant('', 'event', sending('task_run', 'pending', 'reject'), failedWith('task', 'rejected')),
  ],
  'task_run running complete completed': [
    variant('without an output', 'event', sending('task_run', 'running', 'complete'), (after) =>
      expect(after).toMatchObject({ result: 'success', output: null, errors: [] }),
    ),
    variant(
      'with a result unknown',
      'event',
      sending('task_run', 'running', 'complete', { result: 'unknown' }),
      (after) => expect(after.result).toBe('unknown'),
    ),
    variant(
      'with the output that the task asks for',
      'event',
      completing(runWithOutputSchema, { output: { total: 12 } }),
      (after) => expect(after.output).toEqual({ total: 12 }),
    ),
    variant('without a credential', 'event', completing(makeAnonymousRun, {})),
  ],
  'task_run pending approve completed': [
    variant('without an output', 'event', sending('task_run', 'pending', 'approve'), (after) =>
      expect(after.result).toBe('success'),
    ),
    variant('with the output under review', 'event', approving, (after) =>
      expect(after).toMatchObject({ output: { total: 7 }, result: 'success' }),
    ),
  ],
  'task_run running require_interaction interaction_required': [
    variant('', 'event', sending('task_run', 'running', 'require_interaction'), (after) =>
      expect(after.interaction).toMatchObject({ type: 'mfa' }),
    ),
  ],
  'task_run interaction_required submit_interaction running': [
    variant(
      '',
      'event',
      sending('task_run', 'interaction_required', 'submit_interaction'),
      (after) => expect(after.interaction).toBe(null),
    ),
  ],
  'task_run queued cancel canceled': [
    variant('', 'event', sending('task_run', 'queued', 'cancel'), (after) => {
      expect(after).toMatchObject({ result: null, runtime_ms: null })
      expect(after.canceled_at).toBe(after.updated_at)
    }),
  ],
  'task_run canceling confirm_cancel canceled': [
    variant('', 'event', sending('task_run', 'canceling', 'confirm_cancel'), canceled),
  ],
  'task_run interaction_required cancel canceling': [
    variant('', 'event', sending('task_run', 'interaction_required', 'cancel'), (after) =>
      expect(after).toMatchObject({ interaction: null, canceled_at: null }),
    ),
  ],
  'event_destination active update active': [
    variant('', 'data', sending('event_destination', 'active', 'update')),
    variant('same URL', 'unchanged', sending('event_destination', 'active', 'update', sameUrl)),
    variant('nothing', 'unchanged', sending('event_destination', 'active', 'update', {})),
  ],
  'event_destination active update pending_verification': [
    variant('', 'data', sending('event_destination', 'active', 'update', otherUrl)),
  ],
  'event_destination inactive deactivate inactive': [
    variant(
      '',
      'unchanged',
      sending('event_destination', 'inactive', 'deactivate', { reason: 'failures' }),
      (after) => expect(after.deactivation).toMatchObject({ reason: 'user' }),
    ),
  ],
}

/** What an ordinary row does, from its event and its note. */
function effectOf(row: Row): Effect {
  if (row.event !== null) return 'event'
  return row.note?.startsWith('unchanged') ? 'unchanged' : 'data'
}

function casesOf(type: string, row: Row): Case[] {
  const key = `${type} ${row.from} ${row.command} ${row.to}`
  const usual = variant('', effectOf(row), sending(type, row.from, row.command))
  const arrow = `${type} ${row.from} + ${row.command} → ${row.to}`
  return (special[key] ?? [usual]).map((each) => {
    return { ...each, type, row, title: each.when ? `${arrow}, ${each.when}` : arrow }
  })
}

/** Every row of every table, in all its variants. */
export const cases: readonly Case[] = Object.entries(lifecycles.resources).flatMap(
  ([type, lifecycle]) => lifecycle.transitions.flatMap((row) => casesOf(type, row)),
)

/** The keys of variants that belong to no row: none, unless one is misspelt. */
export const strayVariants: readonly string[] = Object.keys(special).filter((key) => {
  return !cases.some(({ type, row }) => key === `${type} ${row.from} ${row.command} ${row.to}`)
})
