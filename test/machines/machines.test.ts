import { describe, expect, test } from 'vitest'
import { type AnyActor, createActor, SimulatedClock } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { mismatches, schemaIssues } from '../../machines/json-schema.ts'
import type { Checked, ResourceDefinition, ResourceView } from '../../src/core/definition.ts'
import { isPawlError } from '../../src/errors.ts'
import { failureOf } from '../support/errors.ts'
import { lifecycleOf, lifecycles, pairsOf, type Row, rowsOf } from '../support/lifecycles.ts'

type Fields = Readonly<Record<string, unknown>>
type Command = Fields & { readonly type: string }

const definitions = new Map<string, ResourceDefinition>(
  Object.values(agentPlatform()).map((definition) => [definition.type, definition]),
)

const types = [...definitions.keys()]

function definitionOf(type: string): ResourceDefinition {
  const definition = definitions.get(type)
  if (definition === undefined) throw new Error(`no ${type}`)
  return definition
}

const LOGIN = { username: 'ada', password: 'secret' }

const INTERACTION = {
  type: 'mfa',
  message: 'Enter the code',
  fields: [{ name: 'code', type: 'text', label: 'Code' }],
}

/** The least that a resource can be created with. */
const INPUTS: Readonly<Record<string, Fields>> = {
  agent: { name: 'A' },
  source: { type: 'website', website: { url: 'https://s.example' } },
  credential: { source_id: 'src_1', auth_method: 'username_password', auth_credentials: LOGIN },
  session: {},
  task: { name: 'T', agent_id: 'agt_1' },
  task_run: { task_id: 'task_1', session_id: 'sess_1', credential_id: 'cred_1' },
  storage: { task_run_id: 'trun_1', file_name: 'a', file_type: 'text/plain', file_size: 1 },
  event_destination: { name: 'D', events: ['*'], webhook: { url: 'https://d.example' } },
}

/** What the engine takes over from the task and the credential. */
const COPIED: Readonly<Record<string, Fields>> = {
  task_run: { agent_id: 'agt_1', source_id: 'src_1', settings: { timeout_seconds: 1800 } },
}

/** How to get to a status. */
const PATHS: Readonly<Record<string, readonly string[]>> = {
  'credential verified': ['verify'],
  'credential invalid': ['reject'],
  'session running': ['start', 'run_attached', 'run_started'],
  'session idle': ['start', 'run_attached', 'run_started', 'run_settled'],
  'session completing': ['end'],
  'session completed': ['end', 'complete'],
  'session failed': ['fail'],
  'task test': ['promote'],
  'task live': ['promote', 'promote'],
  'task_run running': ['start'],
  'task_run interaction_required': ['start', 'require_interaction'],
  'task_run pending': ['start', 'request_review'],
  'task_run canceling': ['start', 'cancel'],
  'task_run completed': ['start', 'complete'],
  'task_run failed': ['fail'],
  'task_run canceled': ['cancel'],
  'event_destination active': ['activate'],
  'event_destination inactive': ['deactivate'],
}

/** What commands carry, where they have to carry something. */
const PAYLOADS: Readonly<Record<string, Fields>> = {
  'session fail': { error: { code: 'crashed', message: 'the browser died' } },
  'session run_attached': { run_id: 'trun_1' },
  'session run_started': { run_id: 'trun_1' },
  'session run_settled': { run_id: 'trun_1' },
  'task_run require_interaction': { interaction: INTERACTION },
  'task_run submit_interaction': { input: { code: '123456' } },
  'task_run fail': { errors: [{ code: 'broken', message: 'it broke' }] },
  'event_destination fail_verification': { error: 'it does not answer' },
}

/** The payloads of rows that name a condition. */
const CONDITIONS: Readonly<Record<string, Fields>> = {
  'credential verified update unverified': { auth_credentials: LOGIN },
  'credential invalid update unverified': { auth_credentials: LOGIN },
  'session running run_settled running': { run_id: 'trun_2' },
  'event_destination active update pending_verification': { webhook: { url: 'https://e.example' } },
}

interface Living {
  readonly actor: AnyActor
  readonly clock: SimulatedClock
  readonly emitted: string[]
}

function parsed(schema: ResourceDefinition['input'], value: unknown): Fields {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise || result.issues) throw new Error(JSON.stringify(result))
  return result.value as Fields
}

function accepts(schema: ResourceDefinition['input'] | undefined, value: unknown): boolean {
  const result = schema?.['~standard'].validate(value)
  return result !== undefined && !(result instanceof Promise) && result.issues === undefined
}

function born(type: string): Living {
  const { machine, input } = definitionOf(type)
  const clock = new SimulatedClock()
  const given = { ...parsed(input, INPUTS[type]), ...COPIED[type] }
  const actor = createActor(machine, { id: `${type}_1`, input: given, clock })
  const emitted: string[] = []
  actor.on('*', (event) => emitted.push(event.type))
  actor.start()
  return { actor, clock, emitted }
}

function commandOf(type: string, name: string, payload?: Fields): Command {
  const schema = definitionOf(type).commands[name]
  if (schema === undefined) throw new Error(`${type} has no ${name}`)
  return { ...parsed(schema, payload ?? PAYLOADS[`${type} ${name}`] ?? {}), type: name }
}

function reach(type: string, status: string): Living {
  const living = born(type)
  const path = PATHS[`${type} ${status}`] ?? (status === 'deleted' ? ['delete'] : [])
  for (const name of path) living.actor.send(commandOf(type, name))
  expect(statusOf(living)).toBe(status)
  living.emitted.length = 0
  return living
}

function statusOf({ actor }: Living): string {
  let value: unknown = actor.getSnapshot().value
  while (typeof value === 'object' && value !== null) {
    const [key = '', inner] = Object.entries(value)[0] ?? []
    value = typeof inner === 'object' && Object.keys(inner).length === 0 ? key : inner
  }
  return String(value)
}

function take(type: string, row: Row): Living & { readonly before: unknown } {
  const living = reach(type, row.from)
  const before = living.actor.getSnapshot().context
  const payload = CONDITIONS[`${type} ${row.from} ${row.command} ${row.to}`]
  living.actor.send(commandOf(type, row.command, payload))
  return { ...living, before }
}

const rows = Object.entries(lifecycles.resources).flatMap(([type, { transitions }]) =>
  transitions.map((row) => ({ type, row, title: `${type} ${row.from} ${row.command} ${row.to}` })),
)

describe('the machines', () => {
  test.each(types)('%s is born as its table says', (type) => {
    const { status, event } = lifecycleOf(type).create

    const living = born(type)

    expect(statusOf(living)).toBe(status)
    expect(living.emitted).toEqual(event === null ? [] : [event])
  })

  test.each(rows)('$title', ({ type, row }) => {
    const living = take(type, row)

    expect(statusOf(living)).toBe(row.to)
    expect(living.emitted).toEqual(row.event === null ? [] : [row.event])
    if (row.note?.startsWith('unchanged')) {
      expect(living.actor.getSnapshot().context).toEqual(living.before)
    }
  })

  test.each(types)('%s accepts the commands of its table and no other', (type) => {
    for (const { status, command } of pairsOf(type)) {
      const snapshot = reach(type, status).actor.getSnapshot()
      // Unlike this, `can` says no to a transition that does nothing.
      const taken = snapshot.machine.getTransitionData(snapshot, commandOf(type, command))

      expect(taken.length > 0, `${status} ${command}`).toBe(
        rowsOf(type, status, command).length > 0,
      )
    }
  })

  test('emit the 32 public events', () => {
    const emitted = [
      ...types.flatMap((type) => born(type).emitted),
      ...rows.flatMap(({ type, row }) => take(type, row).emitted),
    ]

    expect([...new Set(emitted)].sort()).toEqual([...lifecycles.events].sort())
  })

  test.each(types)('%s describes its states and commands, and names the contract', (type) => {
    const { machine, commands, input, prefix, internal = [], summary = [] } = definitionOf(type)
    const { statuses, ...contract } = lifecycleOf(type)
    const states = Object.values(machine.root.states).flatMap((state) => [
      state,
      ...Object.values(state.states),
    ])

    expect(states.filter(({ description }) => !description?.endsWith('.'))).toEqual([])
    expect(states.filter(({ key }) => key !== 'active' || type !== 'task_run')).toHaveLength(
      Object.keys(statuses).length,
    )
    for (const schema of [input, ...Object.values(commands)]) {
      expect(schema).toHaveProperty('description', expect.stringMatching(/\.$/))
    }
    expect(Object.keys(commands)).toEqual(Object.keys(contract.commands))
    expect(internal).toEqual(
      Object.keys(commands).filter((name) => contract.commands[name]?.internal),
    )
    expect(prefix).toBe(contract.prefix)
    expect(['id', 'object', 'status', ...summary, 'created_at', 'updated_at']).toEqual(
      contract.summary,
    )
  })
})

const MINUTE = 60_000

describe('the timers', () => {
  test.each([
    ['session', 'queued', 5 * MINUTE, 'failed'],
    ['session', 'idle', 10 * MINUTE, 'completing'],
    ['session', 'completing', 5 * MINUTE, 'failed'],
    ['task_run', 'running', 30 * MINUTE, 'failed'],
    ['task_run', 'pending', 30 * MINUTE, 'failed'],
    ['task_run', 'interaction_required', 15 * MINUTE, 'failed'],
    ['task_run', 'canceling', MINUTE, 'canceled'],
    ['storage', 'stored', 90 * 24 * 60 * MINUTE, 'deleted'],
  ])('%s leaves %s after %i ms for %s', (type, status, duration, to) => {
    const living = reach(type, status)

    living.clock.increment(duration - 1)
    expect(statusOf(living)).toBe(status)
    living.clock.increment(1)

    expect(statusOf(living)).toBe(to)
  })

  test('a run is timed from its start, and its runtime too', () => {
    const living = reach('task_run', 'running')
    living.clock.increment(20 * MINUTE)
    living.actor.send(commandOf('task_run', 'require_interaction'))
    living.clock.increment(MINUTE)
    living.actor.send({ type: 'submit_interaction' })
    living.clock.increment(9 * MINUTE)

    expect(living.actor.getSnapshot().context).toMatchObject({
      errors: [{ type: 'task', code: 'timeout' }],
      result: 'failure',
      interaction: null,
      runtime_ms: 30 * MINUTE,
    })
  })

  test('are set by agentPlatform', () => {
    const timeouts = { session_idle: '1h', task_run_timeout: '90s' } as const
    const { sessions, tasks } = agentPlatform({ timeouts })

    expect(sessions.machine.implementations.delays).toMatchObject({ session_idle: 60 * MINUTE })
    expect(parsed(tasks.input, INPUTS.task)).toMatchObject({ settings: { timeout_seconds: 90 } })
  })

  test.each([{ sesion_idle: '1h' }, { session_idle: 'soon' }, { session_idle: -1 }])(
    'cannot be %j',
    (timeouts) => {
      const [name = ''] = Object.keys(timeouts)
      let error: unknown
      try {
        agentPlatform({ timeouts: timeouts as object })
      } catch (thrown) {
        error = thrown
      }

      if (!isPawlError(error, 'invalid_input')) expect.fail('it could')
      expect(error.issues[0]?.path).toContain(name)
    },
  )
})

describe('what a session keeps', () => {
  const run = (name: string, run_id: string) => ({ type: `run_${name}`, run_id })
  const contextOf = ({ actor }: Living) => actor.getSnapshot().context as Fields

  function told(...sent: readonly Command[]): Living {
    const living = born('session')
    living.clock.increment(MINUTE)
    for (const command of sent) living.actor.send(command)
    return living
  }

  const start = { type: 'start' }
  const two = [start, run('attached', 'trun_1'), run('attached', 'trun_2')]

  test('are its runs, and which of them execute', () => {
    expect(contextOf(told(...two, run('started', 'trun_2')))).toMatchObject({
      task_runs: [
        { id: 'trun_1', executing: false },
        { id: 'trun_2', executing: true },
      ],
    })
    expect(contextOf(told(...two, run('settled', 'trun_1'))).task_runs).toEqual([
      { id: 'trun_2', executing: false },
    ])
  })

  test.each([
    ['the one that executes has ended', ['trun_1'], 'trun_1', 'idle'],
    ['another one has ended', ['trun_1'], 'trun_2', 'running'],
    ['one of two that execute has ended', ['trun_1', 'trun_2'], 'trun_1', 'running'],
    ['none executes', [], 'trun_1', 'running'],
  ])('says what it is doing when %s', (_, executing, settled, status) => {
    const started = executing.map((id) => run('started', id))

    expect(statusOf(told(...two, ...started, run('settled', settled)))).toBe(status)
  })

  test('ends only once all its runs have', () => {
    const living = told(...two, { type: 'end' }, { type: 'complete' })
    expect(statusOf(living)).toBe('completing')

    for (const id of ['trun_1', 'trun_2']) living.actor.send(run('settled', id))
    living.actor.send({ type: 'complete' })

    expect(statusOf(living)).toBe('completed')
  })

  test('is how long it was up, from its first start to its end', () => {
    const living = told(start, run('attached', 'trun_1'), run('started', 'trun_1'))
    living.clock.increment(MINUTE)
    living.actor.send(run('settled', 'trun_1'))
    living.clock.increment(MINUTE)
    for (const name of ['attached', 'started', 'settled']) living.actor.send(run(name, 'trun_2'))
    living.actor.send({ type: 'end' })
    living.actor.send({ type: 'complete' })

    expect(contextOf(living)).toMatchObject({ runtime_ms: 2 * MINUTE, error: null })
    expect(contextOf(reach('session', 'failed')).runtime_ms).toBeNull()
  })

  test.each([
    ['queued', 'timeout', 'the session could not be started in time'],
    ['completing', 'teardown_timeout', 'the session could not be torn down in time'],
  ])('is why it failed: %s too long', (status, code, message) => {
    const living = reach('session', status)
    living.clock.increment(5 * MINUTE)

    expect(contextOf(living).error).toEqual({ type: 'session', code, message })
  })

  test.each(['queued', 'running', 'idle', 'completing'])(
    'is what it was told of its failure, %s, and no runs any more',
    (status) => {
      const living = reach('session', status)
      living.actor.send(run('attached', 'trun_9'))
      living.actor.send(commandOf('session', 'fail'))

      expect(contextOf(living)).toMatchObject({
        ...{ error: { ...(PAYLOADS['session fail']?.error as object), type: 'session' } },
        task_runs: [],
      })
    },
  )
})

describe('what a run keeps', () => {
  const contextOf = ({ actor }: Living) => actor.getSnapshot().context as Fields

  function ended(status: string, command: Command): Fields {
    const living = reach('task_run', status)
    living.clock.increment(1500)
    living.actor.send(command)
    return contextOf(living)
  }

  test('is how long it ran, without the time in the queue', () => {
    const living = born('task_run')
    for (const [ms, name] of [
      [MINUTE, 'start'],
      [1500, 'complete'],
    ] as const) {
      living.clock.increment(ms)
      living.actor.send(commandOf('task_run', name))
    }

    expect(contextOf(living).runtime_ms).toBe(1500)
  })

  test.each(['queued', 'running', 'canceling'])('is why it failed, %s', (status) => {
    const errors = [{ type: 'task', code: 'broken', message: 'it broke' }]

    expect(ended(status, { type: 'fail', errors })).toMatchObject({ errors, result: 'failure' })
  })

  test.each([
    ['the source rejected the credential', {}],
    ['the source rejected the credential', { reason: '' }],
    ['wrong password', { reason: 'wrong password' }],
  ])('says that its login failed: %s', (message, payload) => {
    expect(ended('running', { ...payload, type: 'login_rejected' })).toMatchObject({
      ...{ result: 'failure', runtime_ms: 1500 },
      errors: [{ type: 'auth', code: 'auth_invalid', message }],
    })
  })

  test.each([
    ['the output was not approved', {}],
    ['too short', { reason: 'too short' }],
  ])('says that its output was rejected: %s', (message, payload) => {
    expect(ended('pending', { ...payload, type: 'reject' })).toMatchObject({
      ...{ result: 'failure', errors: [{ type: 'task', code: 'rejected', message }] },
    })
  })

  test.each([
    ['running', 30, 'task', 'timeout', 'the run exceeded the time limit of its task'],
    ['interaction_required', 15, 'interaction', 'interaction_timeout', 'nobody answered in time'],
  ])('says that it waited too long: %s for %i minutes', (status, minutes, type, code, message) => {
    const living = reach('task_run', status)
    living.clock.increment(minutes * MINUTE)

    expect(contextOf(living).errors).toEqual([{ type, code, message }])
  })

  test('is when it first logged in', () => {
    const living = reach('task_run', 'running')
    expect(contextOf(living).authenticated_at).toBeNull()
    for (const _ of ['first', 'second']) {
      living.clock.increment(1500)
      living.actor.send({ type: 'login_succeeded' })
    }

    expect(contextOf(living).authenticated_at).toBe('1970-01-01T00:00:01.500Z')
  })

  test('is no login without a credential', () => {
    const input = { ...parsed(definitionOf('task_run').input, INPUTS.task_run), ...COPIED.task_run }
    const actor = createActor(definitionOf('task_run').machine, {
      input: { ...input, credential_id: null },
    }).start()
    for (const type of ['start', 'login_succeeded', 'login_rejected']) actor.send({ type })

    expect(actor.getSnapshot()).toMatchObject({
      ...{ value: { active: 'running' }, context: { authenticated_at: null, errors: [] } },
    })
  })

  test.each([
    ['queued', null],
    ['canceling', 1500],
  ])('is when it was canceled, %s, and how long it had run', (status, runtime_ms) => {
    const type = status === 'queued' ? 'cancel' : 'confirm_cancel'

    expect(ended(status, { type })).toMatchObject({
      ...{ canceled_at: '1970-01-01T00:00:01.500Z', runtime_ms, result: null },
    })
  })

  test('is its output, once it is there', () => {
    expect(ended('running', { type: 'request_review' }).output).toBeNull()
    expect(ended('running', { type: 'request_review', output: 7 }).output).toBe(7)
    expect(ended('running', { type: 'complete', result: 'unknown' })).toMatchObject({
      ...{ output: null, result: 'unknown' },
    })
    expect(ended('running', { type: 'complete', output: [7], result: 'success' })).toMatchObject({
      ...{ output: [7], result: 'success' },
    })
    expect(ended('pending', { type: 'approve' }).result).toBe('success')
  })

  test('is the question that it asks, until it is answered', () => {
    const living = reach('task_run', 'interaction_required')
    expect(contextOf(living).interaction).toEqual(INTERACTION)

    living.actor.send({ type: 'submit_interaction' })

    expect(contextOf(living).interaction).toBeNull()
  })
})

describe('what an update changes', () => {
  function contextAfter(type: string, status: string, ...sent: readonly Command[]): Fields {
    const living = reach(type, status)
    living.clock.increment(1500)
    for (const command of sent) living.actor.send(command)
    return { ...living.actor.getSnapshot().context, status: statusOf(living) }
  }

  test.each(['verified', 'invalid'])('of a %s credential is what it gives', (status) => {
    const update = (fields: Fields) =>
      contextAfter('credential', status, { ...fields, type: 'update' })
    const configured = { username: 'ada', configured: true }

    expect(update({ external_id: 'x' })).toMatchObject({
      ...{ status, external_id: 'x', auth_credentials: configured },
    })
    expect(update({ auth_credentials: { ...LOGIN, username: 'bob' } })).toMatchObject({
      ...{ status: 'unverified', external_id: null },
      auth_credentials: { username: 'bob', configured: true },
    })
    expect(contextAfter('credential', status, { type: 'delete' }).auth_credentials).toBeNull()
  })

  const URL = 'https://e.example'
  const passed = { status: 'passed', error: null, checked_at: '1970-01-01T00:00:00.000Z' }
  const pending = { status: 'pending', error: null, checked_at: null }

  test.each([
    ['its name', { name: 'E' }, 'active', passed],
    [
      'its headers',
      { webhook: { url: 'https://d.example', custom_headers: { a: 'b' } } },
      'active',
      passed,
    ],
    ['its URL', { webhook: { url: URL } }, 'pending_verification', pending],
  ])('of a destination, %s, may mean to verify it again', (_, fields, status, verification) => {
    const found = contextAfter('event_destination', 'active', { ...fields, type: 'update' })

    expect(found).toMatchObject({ ...fields, status, verification })
    expect(found).not.toHaveProperty('type', 'update')
  })

  test('of a destination is forgotten when it is verified again', () => {
    const deactivate = { type: 'deactivate', reason: 'failures', message: 'it is gone' }
    const { type, ...deactivation } = deactivate
    const inactive = contextAfter('event_destination', 'active', deactivate)
    const again = contextAfter('event_destination', 'active', deactivate, {
      ...{ type: 'reactivate', from: 'now' },
    })

    expect(inactive).toMatchObject({ deactivation, verification: passed, resume_from: null })
    expect(again).toMatchObject({
      ...{ status: 'pending_verification', deactivation: null, verification: pending },
      resume_from: 'now',
    })
  })

  test.each([
    ['agent', 'active', { name: 'B', description: 'd' }],
    ['source', 'active', { website: { url: URL } }],
    ['task', 'live', { name: 'U', settings: { timeout_seconds: 5 } }],
  ])('of %s is what it gives', (type, status, fields) => {
    const before = contextAfter(type, status)

    expect(contextAfter(type, status, { ...fields, type: 'update' })).toEqual({
      ...{ ...before, ...fields },
    })
  })
})

describe('what a platform declares', () => {
  const declared = () => {
    const all: readonly ResourceDefinition[] = Object.values(agentPlatform())
    return Object.fromEntries(all.map((each) => [each.type, each]))
  }

  test('is how its resources refer to one another', () => {
    const { task, task_run, storage, credential } = declared()
    const deletion = ['delete']

    expect(task?.references).toEqual({ agent_id: { type: 'agent', restricts: deletion } })
    expect(credential?.references).toEqual({ source_id: { type: 'source', restricts: deletion } })
    expect(storage?.references).toEqual({
      task_run_id: {
        ...{ type: 'task_run' },
        status: ['running', 'interaction_required', 'pending', 'canceling'],
      },
    })
    expect(task_run?.companion).toEqual({ session_id: { type: 'session' } })
    expect(task_run?.references).toEqual({
      task_id: { type: 'task', restricts: deletion, copy: expect.any(Function) },
      agent_id: 'agent',
      session_id: { type: 'session', status: ['queued', 'running', 'idle'] },
      credential_id: {
        ...{ type: 'credential', status: ['unverified', 'verified'] },
        copy: expect.any(Function),
      },
      source_id: { type: 'source', restricts: deletion },
    })
  })

  test('is what a run takes over from its task and its credential', () => {
    const { references = {} } = declared().task_run ?? expect.fail()
    const { task_id, credential_id } = references as Readonly<
      Record<string, { readonly copy?: (of: Fields) => Fields }>
    >
    const fields = { id: 'x_1', agent_id: 'agt_1', source_id: 'src_1', settings: {}, name: 'T' }

    expect(task_id?.copy?.(fields)).toEqual({ agent_id: 'agt_1', settings: {} })
    expect(credential_id?.copy?.(fields)).toEqual({ source_id: 'src_1' })
  })

  test.each(types)('of %s is what nobody gets to see, and what its events show', (type) => {
    const hidden: Readonly<Record<string, readonly string[]>> = {
      session: ['started_at'],
      task_run: ['started_at', 'timeout_seconds'],
      event_destination: ['resume_from'],
    }
    const {
      summary = [],
      commands,
      internal = [],
      ...definition
    } = declared()[type] ?? expect.fail()
    const contract = lifecycleOf(type)

    expect(definition.private ?? []).toEqual(hidden[type] ?? [])
    expect(definition.prefix).toBe(contract.prefix)
    expect(['id', 'object', 'status', ...summary, 'created_at', 'updated_at']).toEqual(
      contract.summary,
    )
    expect(internal).toEqual(
      Object.keys(commands).filter((name) => contract.commands[name]?.internal),
    )
    expect(definition.input).toHaveProperty('description', expect.stringMatching(/\.$/))
  })

  test('is which secrets there are', () => {
    const { task_run, credential, event_destination } = declared()

    expect(task_run?.secrets).toEqual({
      answers: { path: 'input', on: ['submit_interaction'], keep: false },
    })
    expect(Object.keys(credential?.secrets ?? {})).toEqual(['password', 'source_fields'])
    expect(event_destination?.secrets).toEqual({
      secret: {
        ...{ generate: 'whsec_', on: ['create', 'rotate_secret'] },
        retire: 24 * 60 * MINUTE,
      },
    })
  })

  test('is how long all wait, unless that is given', () => {
    const { sessions, taskRuns, storageItems } = agentPlatform({
      timeouts: {
        session_idle: undefined,
        task_run_canceling: '5s',
        storage_retention: 9,
      } as object,
    })

    expect(sessions.machine.implementations.delays).toMatchObject({ session_idle: 10 * MINUTE })
    expect(taskRuns.machine.implementations.delays).toMatchObject({
      ...{ task_run_canceling: 5000, task_run_interaction: 15 * MINUTE },
    })
    expect(storageItems.machine.implementations.delays).toMatchObject({ storage_retention: 9 })
  })
})

test('a credential without a login has none to show', () => {
  const { machine, input } = definitionOf('credential')
  const actor = createActor(machine, { input: parsed(input, { source_id: 'src_1' }) }).start()

  expect(actor.getSnapshot().context).toMatchObject({
    ...{ auth_method: 'none', auth_credentials: null, external_id: null },
  })
})

test('an unknown timeout is refused with those that there are', async () => {
  const error = await failureOf(() => agentPlatform({ timeouts: { idle: '1h' } as object }))

  expect(error.message).toContain('the options of agentPlatform')
  expect(error.issues).toEqual([
    {
      ...{ path: ['timeouts', 'idle'], code: 'unknown_timeout' },
      message: expect.stringMatching(/^is not one of session_provisioning, session_idle, /),
    },
  ])
})

test.each([null, 'soon', 5, () => {}])('%j are no timeouts', async (timeouts) => {
  const error = await failureOf(() => agentPlatform({ timeouts: timeouts as never }))

  expect(error.issues).toEqual([
    { path: ['timeouts'], code: 'invalid_type', message: 'has to be an object' },
  ])
})

test('a misspelt option is refused with those that there are', async () => {
  const error = await failureOf(() => agentPlatform({ timeout: {} } as object))

  expect(error.issues).toEqual([
    { path: ['timeout'], code: 'unknown_option', message: 'is not one of timeouts' },
  ])
})

describe('the inputs', () => {
  const { input: credential } = definitionOf('credential')
  const { input: run } = definitionOf('task_run')
  const { input: destination } = definitionOf('event_destination')
  const { input: task, commands: taskCommands } = definitionOf('task')
  const webhook = { url: 'https://d.example' }
  const proto = JSON.parse('{ "__proto__": { "a": 1 } }') as Fields

  test.each([
    ['unknown fields', definitionOf('agent').input, { name: 'A', more: 1 }],
    ['an empty name', definitionOf('agent').input, { name: '' }],
    [
      'another scheme',
      definitionOf('source').input,
      { type: 'website', website: { url: 'ftp://a' } },
    ],
    ['a login with auth_method none', credential, { source_id: 'src_1', auth_credentials: LOGIN }],
    ['no login', credential, { source_id: 'src_1', auth_method: 'username_password' }],
    ['a long external id', credential, { source_id: 'src_1', external_id: 'x'.repeat(256) }],
    ['neither source nor credential', run, { task_id: 'task_1' }],
    ['no events', destination, { name: 'D', webhook, events: [] }],
    ['"*" and more', destination, { name: 'D', webhook, events: ['*', 'agent.*'] }],
    ['no event type', destination, { name: 'D', webhook, events: ['agent'] }],
    ['a user name', destination, { name: 'D', webhook: { url: 'https://a@c.d' }, events: ['*'] }],
    [
      'a password alone',
      destination,
      { ...INPUTS.event_destination, webhook: { url: 'https://:b@c.d' } },
    ],
    ['a header that is none', destination, withHeaders({ 'a b': 'c' })],
    ['a header over two lines', destination, withHeaders({ a: 'b', c: 'd\n' })],
    ['a header that is no text', destination, withHeaders({ a: 'b', c: 1 })],
    ['headers in a list', destination, withHeaders(['a'])],
    ['no answer', definitionOf('task_run').commands.submit_interaction, { input: null }],
    ['answers in a list', definitionOf('task_run').commands.submit_interaction, { input: [] }],
    ['a password', destination, { name: 'D', webhook: { url: 'https://a:b@c.d' }, events: ['*'] }],
    ['a broken schema', task, { name: 'T', agent_id: 'agt_1', input_schema: { type: 'x' } }],
    ['a broken schema', taskCommands.update, { output_schema: [] }],
    ['a timeout of nothing', taskCommands.update, { settings: { timeout_seconds: 0 } }],
    ['part of a file', definitionOf('storage').input, { ...INPUTS.storage, file_size: 0.5 }],
  ])('refuse %s', (_, schema, value) => {
    expect(accepts(schema, value)).toBe(false)
  })

  function withHeaders(custom_headers: unknown) {
    return { ...INPUTS.event_destination, webhook: { ...webhook, custom_headers } }
  }

  test('accept headers', () => {
    expect(accepts(destination, withHeaders({ 'X-Key': 'a b', y: '' }))).toBe(true)
  })

  test('accept a source without a credential, and a credential without a source', () => {
    expect(accepts(run, { task_id: 'task_1', source_id: 'src_1' })).toBe(true)
    expect(accepts(run, { task_id: 'task_1', credential_id: 'cred_1' })).toBe(true)
  })

  test('say where a schema is broken', async () => {
    const input_schema = { properties: { a: { type: 'x' } } }
    const { issues } = await task['~standard'].validate({ ...INPUTS.task, input_schema })

    expect(issues?.[0]?.path).toEqual(['input_schema', 'properties', 'a', 'type'])
  })

  test('keep a key named __proto__ as data', () => {
    const input = parsed(run, { ...INPUTS.task_run, input: proto })
    const item = parsed(definitionOf('storage').input, { ...INPUTS.storage, metadata: proto })

    expect(JSON.stringify([input.input, item.metadata])).toBe(JSON.stringify([proto, proto]))
  })
})

describe('the checks', () => {
  const view = (fields: Fields): ResourceView => ({
    ...{ id: 'x_1', object: 'x', status: 'x', version: 1, created_at: '', updated_at: '' },
    ...fields,
  })
  const required = { type: 'object', required: ['month'] }

  function pathsOf(type: string, command: string, checked: Partial<Checked>): unknown[] {
    const { check } = definitionOf(type)
    const run = typeof check === 'function' ? check : check?.[command]
    const found = run?.({ command, payload: {}, resource: null, references: {}, ...checked }) ?? []
    return found.map((issue) => ('path' in issue ? issue.path.join('.') : issue.code))
  }

  test('hold the input of a run against its task and its credential', () => {
    const references = {
      task_id: view({ input_schema: required }),
      credential_id: view({ source_id: 'src_1' }),
      source_id: view({ id: 'src_2' }),
    }

    const found = pathsOf('task_run', 'create', { payload: { input: {} }, references })

    expect(found).toEqual(['input.month', 'source_id'])
  })

  test('say what is wrong in words for programs and for people', () => {
    const found = (type: string, command: string, checked: Partial<Checked>) => {
      const { check } = definitionOf(type)
      const run = typeof check === 'object' ? check[command] : check
      return run?.({ command, payload: {}, resource: null, references: {}, ...checked })
    }
    const credential_id = view({ source_id: 'src_1' })
    const task_id = view({ output_schema: required })
    const answering = { payload: { input: {} }, resource: view({ interaction: INTERACTION }) }
    const login = { payload: { auth_credentials: LOGIN }, resource: view({ auth_method: 'none' }) }

    expect([
      found('task_run', 'create', { references: { credential_id } }),
      found('task_run', 'complete', { references: { task_id } }),
      found('task_run', 'submit_interaction', answering),
      found('credential', 'update', login),
    ]).toMatchObject([
      [{ code: 'other_source', message: 'must be the source of the credential, src_1' }],
      [{ code: 'required', message: 'is required, because the task has an output_schema' }],
      [{ code: 'required', message: 'is not answered' }],
      [
        {
          code: 'not_allowed',
          message: expect.stringContaining('is "none", which takes no auth_credentials'),
        },
      ],
    ])
  })

  test('say nothing of a run whose task asks for nothing, or that fits', () => {
    const create = (payload: Fields, references: Readonly<Record<string, ResourceView | null>>) =>
      pathsOf('task_run', 'create', { payload, references })
    const credential_id = view({ source_id: 'src_1' })
    const source_id = view({ id: 'src_1' })
    const task_id = view({ input_schema: required })

    expect(create({ input: 7 }, { task_id: view({ input_schema: null }), source_id })).toEqual([])
    expect(create({ input: { month: 1 } }, { task_id, credential_id, source_id })).toEqual([])
    expect(create({ input: {} }, {})).toEqual([])
    expect(create({}, { credential_id })).toEqual(['source_id'])
    for (const command of ['complete', 'request_review']) {
      const references = { task_id: view({ output_schema: null }) }
      expect(pathsOf('task_run', command, { payload: {}, references })).toEqual([])
      expect(pathsOf('task_run', command, {})).toEqual([])
    }
    expect(pathsOf('task_run', 'submit_interaction', { payload: { input: {} } })).toEqual([])
  })

  test.each(['complete', 'request_review'])('hold the output of %s against the task', (command) => {
    const references = { task_id: view({ output_schema: required }) }
    const check = (payload: Fields) => pathsOf('task_run', command, { payload, references })

    expect(check({})).toEqual(['output'])
    expect(check({ output: {} })).toEqual(['output.month'])
    expect(check({ output: { month: 1 } })).toEqual([])
  })

  test('miss the fields of an interaction that are not answered', () => {
    const resource = view({ interaction: INTERACTION })
    const check = (input: Fields) =>
      pathsOf('task_run', 'submit_interaction', { payload: { input }, resource })

    expect(check({})).toEqual(['input.code'])
    expect(check({ code: '1' })).toEqual([])
  })

  test('refuse a login where the auth_method takes none', () => {
    const resource = view({ auth_method: 'none' })
    const payload = { auth_credentials: LOGIN }

    expect(pathsOf('credential', 'update', { payload, resource })).toEqual(['auth_credentials'])
    expect(pathsOf('credential', 'update', { payload: {}, resource })).toEqual([])
    const other = view({ auth_method: 'username_password' })
    expect(pathsOf('credential', 'update', { payload, resource: other })).toEqual([])
    expect(pathsOf('credential', 'update', { payload, resource: null })).toEqual([])
  })
})

describe('a JSON Schema', () => {
  test.each([
    ['is no schema', 'x'],
    ['has an unknown type', { properties: { a: { type: 'x' } } }],
    ['is of an unknown draft', { $schema: 'http://json-schema.org/draft-04/schema#' }],
    ['refers to the network', { $ref: 'https://elsewhere.example/schema' }],
    ['refers to nothing but itself', { allOf: [{ $ref: '#' }] }],
    ['has a broken pattern', { pattern: '(' }],
    ['is asynchronous', { $async: true }],
    ['speaks of __proto__', JSON.parse('{ "properties": { "__proto__": { "type": "string" } } }')],
  ])('that %s cannot be used', (_, schema: unknown) => {
    expect(schemaIssues(schema)).not.toEqual([])
    expect(mismatches(schema, {}, ['input'])).not.toEqual([])
  })

  test.each([
    [{ required: ['toString'] }, {}, ['toString']],
    [{ additionalProperties: false }, { 'a/b~c': 1 }, ['a/b~c']],
    [{ items: { type: 'object', required: ['id'] } }, [{ id: 1 }, {}], [1, 'id']],
    [{ additionalProperties: { type: 'string' } }, { 0: 1 }, ['0']],
    [{ if: { type: 'null' }, else: { $ref: '#' } }, 'x', []],
    [false, 1, []],
  ])('%j says where %j does not match', (schema, value, path) => {
    expect(schemaIssues(schema)).toEqual([])
    expect(mismatches(schema, value, ['input'])).toMatchObject([{ path: ['input', ...path] }])
  })

  test('does not disturb another one with the same $id', () => {
    const text = { $id: 'https://a.example', type: 'string' }
    const number = { $schema: 'http://json-schema.org/draft-07/schema#', ...text, type: 'number' }

    expect(mismatches(text, 'x', [])).toEqual([])
    expect(mismatches(number, 1, [])).toEqual([])
  })
})
