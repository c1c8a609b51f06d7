import { describe, expect, test } from 'vitest'
import { runWithOutputSchema } from '../support/cases.ts'
import { fullLog, setupEngine, typesOf } from '../support/engine.ts'
import { refused } from '../support/errors.ts'
import {
  INTERACTION,
  make,
  makeAgent,
  makeAnonymousRun,
  makeCredential,
  makeRun,
  makeRunningRun,
  makeSession,
  makeSource,
  makeTask,
  NEW_LOGIN,
  read,
  send,
  sessionOf,
} from '../support/world.ts'

const reference = { code: 'illegal_transition', reason: 'reference' }
const _inUse = { code: 'illegal_transition', reason: 'in_use' }
const guard = { code: 'illegal_transition', reason: 'guard' }
const invalid = { code: 'invalid_input' }

/** A blocker that names a resource. */
function naming(resource_id: string) {
  return [expect.objectContaining({ resource_id, code: expect.any(String) })]
}

describe('guards', () => {
  test('a session does not complete while a run is being canceled', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const session = sessionOf(run)
    await send(engine, 'session', session, 'end')

    const error = await refused(engine, () => send(engine, 'session', session, 'complete'))

    expect(error).toMatchObject({ ...guard, status: 'completing', command: 'complete' })
  })

  test.each(['login_succeeded', 'login_rejected'])(
    '%s is refused for a run without a credential',
    async (command) => {
      const engine = await setupEngine()
      const run = await makeAnonymousRun(engine)

      const error = await refused(engine, () => send(engine, 'task_run', run.id, command))

      expect(error).toMatchObject({ ...guard, status: 'running', command })
    },
  )

  test('a run does not start before its session', async () => {
    const engine = await setupEngine()
    const run = await makeRun(engine)

    const error = await refused(engine, () => send(engine, 'task_run', run.id, 'start'))

    expect(error).toMatchObject({
      ...reference,
      ...{ resource_id: run.id, status: 'queued', command: 'start' },
      blockers: naming(sessionOf(run)),
    })
    expect((await read(engine, 'task_run', run.id)).version).toBe(1)
  })
})

describe('content that is checked', () => {
  const schema = {
    type: 'object',
    required: ['month'],
    properties: { month: { type: 'string' }, days: { type: 'array', items: { type: 'number' } } },
  }

  test('the input of a run against its task, with every failing path', async () => {
    const engine = await setupEngine()
    const task_id = (await makeTask(engine, { input_schema: schema })).id
    const source_id = (await makeSource(engine)).id
    const input = { month: 1, days: [1, 'two'] }

    const error = await refused(engine, () => makeRun(engine, { task_id, source_id, input }))

    expect(error).toMatchObject(invalid)
    const text = JSON.stringify(error.issues)
    expect(error.issues).toHaveLength(2)
    expect(text).toContain('month')
    expect(text).toContain('days')
  })

  test.each([
    ['an output of the wrong shape', { type: 'complete', output: { total: 'many' } }],
    ['no output', { type: 'complete' }],
    ['a reviewed output of the wrong shape', { type: 'request_review', output: { total: '1' } }],
  ])('%s, where the task says what it is', async (_, command) => {
    const engine = await setupEngine()
    const run = await runWithOutputSchema(engine)

    const error = await refused(engine, () => send(engine, 'task_run', run.id, command))

    expect(error).toMatchObject(invalid)
    expect((await read(engine, 'task_run', run.id)).status).toBe('running')
  })

  test('an answer that leaves a field of the interaction out', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const fields = [...INTERACTION.fields, { name: 'device', type: 'text', label: 'Device' }]
    const interaction = { ...INTERACTION, fields }
    await send(engine, 'task_run', run.id, { type: 'require_interaction', interaction })

    const error = await refused(engine, () =>
      send(engine, 'task_run', run.id, { type: 'submit_interaction', input: { code: '1' } }),
    )

    expect(error).toMatchObject(invalid)
    expect(JSON.stringify(error.issues)).toContain('device')
  })

  test.each(['input_schema', 'output_schema'])('an %s that is no JSON Schema', async (field) => {
    const engine = await setupEngine()
    const agent_id = (await makeAgent(engine)).id
    const task = await makeTask(engine)
    const broken = { [field]: { type: 'no such type' } }

    const created = await refused(engine, () =>
      make(engine, 'task', { name: 'T', agent_id, ...broken }),
    )
    const updated = await refused(engine, () =>
      send(engine, 'task', task.id, { type: 'update', ...broken }),
    )

    expect(created).toMatchObject(invalid)
    expect(updated).toMatchObject(invalid)
  })

  test('a source that is not the one of the credential', async () => {
    const engine = await setupEngine()
    const task_id = (await makeTask(engine)).id
    const credential_id = (await makeCredential(engine)).id
    const source_id = (await makeSource(engine)).id

    const error = await refused(engine, () =>
      makeRun(engine, { task_id, credential_id, source_id }),
    )

    expect(error).toMatchObject(invalid)
  })

  test('a run with neither source nor credential', async () => {
    const engine = await setupEngine()
    const task_id = (await makeTask(engine)).id

    expect(await refused(engine, () => make(engine, 'task_run', { task_id }))).toMatchObject(
      invalid,
    )
  })

  test.each([
    ['a login with auth_method none', { auth_credentials: NEW_LOGIN }],
    ['a login with auth_method none', { auth_method: 'none', auth_credentials: NEW_LOGIN }],
    ['username_password without a login', { auth_method: 'username_password' }],
    ['an external id of 256 characters', { external_id: 'x'.repeat(256) }],
  ])('%s', async (_, input) => {
    const engine = await setupEngine()
    const source_id = (await makeSource(engine)).id

    const error = await refused(engine, () => make(engine, 'credential', { source_id, ...input }))

    expect(error).toMatchObject(invalid)
  })

  test('a login sent to a credential with auth_method none', async () => {
    const engine = await setupEngine()
    const source_id = (await makeSource(engine)).id
    const { id } = await make(engine, 'credential', { source_id })

    const error = await refused(engine, () =>
      send(engine, 'credential', id, { type: 'update', auth_credentials: NEW_LOGIN }),
    )

    expect(error).toMatchObject(invalid)
  })

  test.each([
    ['no events', { webhook: { url: 'https://h.example' }, events: [] }],
    ['a star among others', { webhook: { url: 'https://h.example' }, events: ['*', 'agent.*'] }],
    ['no webhook', { events: ['*'] }],
    ['a URL of another scheme', { webhook: { url: 'ftp://h.example' }, events: ['*'] }],
    ['a password in its URL', { webhook: { url: 'https://u:p@h.example' }, events: ['*'] }],
  ])('a destination with %s', async (_, input) => {
    const engine = await setupEngine()

    const error = await refused(engine, () =>
      make(engine, 'event_destination', { name: 'H', ...input }),
    )

    expect(error).toMatchObject(invalid)
  })
})

describe('couplings', () => {
  test('a run without a session gets one, whose event comes first', async () => {
    const engine = await setupEngine()

    const run = await makeRun(engine)

    const log = await fullLog(engine)
    const types = typesOf(log.filter((entry) => !entry.internal)).slice(-2)
    expect(types).toEqual(['session.queued', 'task_run.queued'])
    expect(typesOf(log)).toContain('session.run_attached')
    expect((await read(engine, 'session', sessionOf(run))).status).toBe('queued')
  })

  test('a rejected login invalidates the credential, then leaves the session idle', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)

    const { events } = await send(engine, 'task_run', run.id, 'login_rejected')

    expect(typesOf(events)).toEqual(['task_run.failed', 'credential.invalid', 'session.idle'])
  })

  test('ending a session reaches its runs in the order of their creation', async () => {
    const engine = await setupEngine()
    const { id } = await makeSession(engine)
    const runs: string[] = []
    for (let i = 0; i < 4; i++) runs.push((await makeRun(engine, { session_id: id })).id)

    const { events } = await send(engine, 'session', id, 'end')

    expect(events.map((event) => event.resource_id)).toEqual([id, ...runs])
  })

  test('the failure of a session names its error to every run', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const other = await makeRun(engine, { session_id: sessionOf(run) })
    const error = { code: 'crashed', message: 'the browser died' }

    const outcome = await send(engine, 'session', sessionOf(run), { type: 'fail', error })

    expect(outcome.events.map((event) => event.resource_id)).toEqual([
      sessionOf(run),
      run.id,
      other.id,
    ])
    for (const { id } of [run, other]) {
      const { errors, result } = await read(engine, 'task_run', id)
      expect(errors).toMatchObject([{ type: 'session', ...error }])
      expect(result).toBe('failure')
    }
  })

  test('the type of an error defaults to task', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const errors = [
      { code: 'a', message: 'x' },
      { type: 'site', code: 'b', message: 'y' },
    ]

    const { resource } = await send(engine, 'task_run', run.id, { type: 'fail', errors })

    expect(resource.errors).toMatchObject([{ type: 'task' }, { type: 'site' }])
  })
})
