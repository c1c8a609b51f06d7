import { describe, expect, test } from 'vitest'
import { type AnyActor, createActor, SimulatedClock } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { mismatches, schemaIssues } from '../../machines/json-schema.ts'
import type { Checked, ResourceDefinition, ResourceView } from '../../src/core/definition.ts'
import { isPawlError } from '../../src/errors.ts'
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
      let error: unknown
      try {
        agentPlatform({ timeouts: timeouts as object })
      } catch (thrown) {
        error = thrown
      }

      expect(isPawlError(error, 'invalid_input')).toBe(true)
    },
  )
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
    ['a password', destination, { name: 'D', webhook: { url: 'https://a:b@c.d' }, events: ['*'] }],
    ['a broken schema', task, { name: 'T', agent_id: 'agt_1', input_schema: { type: 'x' } }],
    ['a broken schema', taskCommands.update, { output_schema: [] }],
    ['a timeout of nothing', taskCommands.update, { settings: { timeout_seconds: 0 } }],
    ['part of a file', definitionOf('storage').input, { ...INPUTS.storage, file_size: 0.5 }],
  ])('refuse %s', (_, schema, value) => {
    expect(accepts(schema, value)).toBe(false)
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
