import { describe, expect, test } from 'vitest'
import { createEngine, isPawlError } from '../../src/index.ts'
import { type AnyEngine, fullLog, handleOf, setupEngine } from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import {
  LOGIN,
  makeAgent,
  makeCredential,
  makeRun,
  makeRunningRun,
  makeSession,
  makeSource,
  makeTask,
  reach,
  sessionOf,
} from '../support/world.ts'

async function setup() {
  const engine = await setupEngine()
  const handles = {
    agents: handleOf(engine, 'agents'),
    runs: handleOf(engine, 'taskRuns'),
    sessions: handleOf(engine, 'sessions'),
    tasks: handleOf(engine, 'tasks'),
  }
  return { engine, ...handles }
}

const key = { idempotencyKey: 'k1' }

describe('the first that applies wins', () => {
  test('the shape of the payload before the existence of the resource', async () => {
    const { agents } = await setup()

    const malformed = await failureOf(agents.send('agt_none', { type: 'update', name: 5 }))
    const unknown = await failureOf(agents.send('agt_none', { type: 'explode' }))

    expect([malformed.code, unknown.code]).toEqual(['invalid_input', 'invalid_input'])
  })

  test('the existence of the resource before the key', async () => {
    const { engine, agents } = await setup()
    const { id } = await makeAgent(engine)
    await agents.send(id, { type: 'update', name: 'B' }, key)

    const error = await failureOf(agents.send('agt_none', { type: 'delete' }, key))

    expect(error).toMatchObject({ code: 'not_found', resource_id: 'agt_none' })
  })

  test('the key before what is reserved', async () => {
    const { engine, sessions } = await setup()
    const { id } = await makeSession(engine)
    await sessions.send(id, { type: 'start' }, key)

    const error = await failureOf(sessions.send(id, { type: 'run_started', run_id: 'x' }, key))

    expect(error.code).toBe('idempotency_mismatch')
  })

  test('what is reserved before the version', async () => {
    const { engine, sessions } = await setup()
    const { id } = await makeSession(engine)
    const command = { type: 'run_started', run_id: 'x' }

    const error = await failureOf(sessions.send(id, command, { expectedVersion: 9 }))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reserved' })
  })

  test('the version before the machine', async () => {
    const { engine, agents, sessions } = await setup()
    const deleted = await reach(engine, 'agent', 'deleted')
    const run = await makeRunningRun(engine)
    await sessions.send(sessionOf(run), { type: 'end' })
    const stale = { expectedVersion: 99 }

    const calls = [
      agents.send(deleted.id, { type: 'delete' }, stale),
      sessions.send(sessionOf(run), { type: 'start' }, stale),
      sessions.send(sessionOf(run), { type: 'complete' }, stale),
    ]

    for (const call of calls) {
      expect(await failureOf(call)).toMatchObject({ code: 'version_conflict', expected: 99 })
    }
  })

  test('the machine before the content', async () => {
    const { engine, runs } = await setup()
    const output_schema = { type: 'object', required: ['total'] }
    const run = await makeRunningRun(engine, {}, { output_schema })
    await runs.send(run.id, { type: 'cancel' })

    const error = await failureOf(runs.send(run.id, { type: 'complete', output: {} }))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'not_accepted' })
  })

  test('the machine before what is in use', async () => {
    const { engine, tasks } = await setup()
    const task = await makeTask(engine)
    await tasks.send(task.id, { type: 'delete' })

    const error = await failureOf(tasks.send(task.id, { type: 'delete' }))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'terminal' })
  })

  test('references before the content that they decide', async () => {
    const { engine, runs } = await setup()
    const input_schema = { type: 'object', required: ['month'] }
    const task_id = (await makeTask(engine, { input_schema })).id
    const source_id = (await makeSource(engine)).id
    const session_id = (await reach(engine, 'session', 'completed')).id

    const error = await failureOf(runs.create({ task_id, source_id, session_id, input: {} }))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reference' })
  })
})

describe('what an error says', () => {
  test('illegal_transition: the command, why not, and what would be accepted', async () => {
    const { engine, runs } = await setup()
    const run = await makeRunningRun(engine)
    await runs.send(run.id, { type: 'complete' })

    const error = await failureOf(runs.send(run.id, { type: 'start' }))

    expect(error).toMatchObject({
      ...{ code: 'illegal_transition', retryable: false },
      ...{ resource_id: run.id, status: 'completed', command: 'start' },
      ...{ reason: 'terminal', accepts: [], blockers: [] },
    })
    expect(error.message).toContain(run.id)
    expect(error.message).toContain('completed')
    expect(error.message).toContain('start')
  })

  test('illegal_transition: the blockers, by name', async () => {
    const { engine, agents, tasks } = await setup()
    const agent = await makeAgent(engine)
    const made = ['a', 'b'].map((name) => tasks.create({ name, agent_id: agent.id }))
    const ids = (await Promise.all(made)).map(({ resource }) => resource.id)

    const error = await failureOf(agents.send(agent.id, { type: 'delete' }))

    expect(error).toMatchObject({ reason: 'in_use', resource_id: agent.id, status: 'active' })
    for (const blocker of error.blockers ?? []) {
      expect(ids).toContain(blocker.resource_id)
      expect(blocker).toMatchObject({ code: expect.any(String), message: expect.any(String) })
    }
    expect(error.blockers?.length).toBeGreaterThan(0)
  })

  test('illegal_transition: what the told resource said', async () => {
    const { engine, runs } = await setup()
    const run = await makeRun(engine)

    const error = await failureOf(runs.send(run.id, { type: 'start' }))

    expect(error).toMatchObject({ command: 'start', resource_id: run.id, reason: 'reference' })
    expect(error.blockers).toHaveLength(1)
    expect(error.blockers?.[0]).toMatchObject({ resource_id: sessionOf(run) })
    expect(error.blockers?.[0]?.message).toContain('queued')
  })

  test('an unknown command: invalid_input that lists the known ones', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)

    const error = await failureOf(tasks.send(id, { type: 'promot' }))

    expect(error.code).toBe('invalid_input')
    const text = error.message + JSON.stringify(error.issues)
    for (const name of ['update', 'promote', 'demote', 'reset', 'delete']) {
      expect(text).toContain(name)
    }
  })

  test.each(['xstate.init', 'xstate.stop', 'xstate.after.600000.session.idle', 'xstate.x'])(
    '%s is reserved',
    async (type) => {
      const { engine, sessions } = await setup()
      const { id } = await reach(engine, 'session', 'idle')
      const before = await fullLog(engine)

      const error = await failureOf(sessions.send(id, { type }))

      expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reserved' })
      expect(await fullLog(engine)).toEqual(before)
    },
  )

  test.each([{}, { type: 5 }, { type: '' }, null, undefined, 'promote', []])(
    'a command without a type: %j',
    async (command) => {
      const { engine, tasks } = await setup()
      const { id } = await makeTask(engine)

      const error = await failureOf(() => tasks.send(id, command as { type: string }))

      expect(error.code).toBe('invalid_input')
    },
  )

  test('a payload with a field too many', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)

    const error = await failureOf(tasks.send(id, { type: 'promote', twice: true }))

    expect(error.code).toBe('invalid_input')
    expect(JSON.stringify(error.issues)).toContain('twice')
  })

  test('encryption_key_missing, where a secret has no key', async () => {
    const engine = (await createEngine({ database: ':memory:' })) as unknown as AnyEngine
    const source = await makeSource(engine)
    const credentials = handleOf(engine, 'credentials')

    const error = await failureOf(credentials.create({ source_id: source.id, ...LOGIN }))
    const without = await credentials.create({ source_id: source.id })

    expect(error.code).toBe('encryption_key_missing')
    expect(without.resource.status).toBe('unverified')
    await engine.close()
  })

  test('an error is an Error that isPawlError narrows', async () => {
    const { agents } = await setup()

    const error = await caught(() => agents.get('agt_none'))

    expect(error).toBeInstanceOf(Error)
    expect(isPawlError(error)).toBe(true)
    expect(isPawlError(error, 'not_found')).toBe(true)
    expect(isPawlError(error, 'closed')).toBe(false)
    expect(isPawlError(new Error('other'))).toBe(false)
    expect(isPawlError(undefined)).toBe(false)
    if (isPawlError(error, 'not_found')) expect(error.details.resource_id).toBe('agt_none')
  })

  test('an error survives JSON without its stack or secrets', async () => {
    const { engine } = await setup()
    const credential = await makeCredential(engine)
    const credentials = handleOf(engine, 'credentials')
    const auth_credentials = { username: 5, password: 'canary in a malformed payload' }

    const error = await caught(() =>
      credentials.send(credential.id, { type: 'update', auth_credentials }),
    )

    const text = `${String(error)} ${JSON.stringify(error)} ${JSON.stringify((error as { details: unknown }).details)}`
    expect(text).toContain('username')
    expect(text).not.toContain('canary')
  })
})
