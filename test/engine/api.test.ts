import { describe, expect, test } from 'vitest'
import {
  type AnyTestEngine,
  collect,
  fullLog,
  handleOf,
  publicLog,
  START,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { failureOf, viewOf } from '../support/errors.ts'
import { makeAgent, makeRun, makeRunningRun, makeTask, send, sessionOf } from '../support/world.ts'

async function setup() {
  const engine = await setupEngine()
  const agents = handleOf(engine, 'agents')
  const tasks = handleOf(engine, 'tasks')
  const runs = handleOf(engine, 'taskRuns')
  const sessions = handleOf(engine, 'sessions')
  return { engine, agents, tasks, runs, sessions }
}

describe('create', () => {
  test('gives the resource, its event, and says that it changed', async () => {
    const { agents } = await setup()

    const outcome = await agents.create({ name: 'A' })

    const { resource, events, changed, replayed } = outcome
    expect({ changed, replayed }).toEqual({ changed: true, replayed: false })
    expect(resource).toEqual({
      id: expect.stringMatching(/^agt_\w+$/),
      object: 'agent',
      ...{ status: 'active', version: 1, name: 'A', description: null },
      ...{ created_at: START.toISOString(), updated_at: START.toISOString() },
    })
    expect(events).toHaveLength(1)
    expect(outcome).not.toHaveProperty('secrets')
  })

  test('gives every id once', async () => {
    const { agents } = await setup()

    const made = await Promise.all(
      Array.from({ length: 50 }, (_, i) => agents.create({ name: `${i}` })),
    )

    expect(new Set(made.map(({ resource }) => resource.id)).size).toBe(50)
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a missing field', {}],
    ['a wrong type', { name: 5 }],
    ['an unknown field', { name: 'A', nmae: 'B' }],
    ['a list', [{ name: 'A' }]],
    ['a text', 'A'],
  ])('refuses %s as input', async (_, input) => {
    const { engine, agents } = await setup()

    const error = await failureOf(() => agents.create(input))

    expect(error).toMatchObject({ code: 'invalid_input' })
    expect(error.issues?.length).toBeGreaterThan(0)
    expect(await fullLog(engine)).toEqual([])
  })

  test('lists all issues of an input at once', async () => {
    const { tasks } = await setup()

    const error = await failureOf(() => tasks.create({ name: 1, agent_id: 2, prompt: 3 }))

    expect(error.issues).toHaveLength(3)
    const paths = JSON.stringify(error.issues?.map((issue) => issue.path))
    for (const name of ['name', 'agent_id', 'prompt']) expect(paths).toContain(name)
    for (const issue of error.issues ?? []) {
      expect(issue).toMatchObject({ code: expect.any(String), message: expect.any(String) })
    }
  })
})

describe('send', () => {
  test('gives the resource after the command and the events of all resources', async () => {
    const { engine, runs } = await setup()
    const run = await makeRunningRun(engine)
    await engine.clock.advance('2s')

    const outcome = await runs.send(run.id, { type: 'complete', output: { total: 12 } })

    expect(outcome).toMatchObject({ changed: true, replayed: false })
    expect(outcome.resource).toMatchObject({
      ...{ status: 'completed', output: { total: 12 }, runtime_ms: 2000 },
      updated_at: engine.clock.now().toISOString(),
    })
    expect(typesOf(outcome.events)).toEqual(['task_run.completed', 'session.idle'])
    expect(outcome.resource).toEqual(await runs.get(run.id))
  })

  test('writes nothing where a legal command changes nothing', async () => {
    const { engine, tasks } = await setup()
    const task = await makeTask(engine)
    const before = await fullLog(engine)
    await engine.clock.advance('1s')

    const outcome = await tasks.send(task.id, { type: 'reset' })

    expect(outcome).toEqual({ resource: task, events: [], changed: false, replayed: false })
    expect(await fullLog(engine)).toEqual(before)
  })

  test('takes the version that the caller has seen', async () => {
    const { engine, agents } = await setup()
    const agent = await makeAgent(engine)

    const first = await agents.send(
      agent.id,
      { type: 'update', name: 'B' },
      { expectedVersion: agent.version },
    )

    expect(first.resource.version).toBe(2)
    const stale = await failureOf(
      agents.send(agent.id, { type: 'update', name: 'C' }, { expectedVersion: agent.version }),
    )
    expect(stale).toMatchObject({ code: 'version_conflict', expected: 1, actual: 2 })
    expect((await agents.get(agent.id)).name).toBe('B')
  })

  test('checks the version of a command that changes nothing as well', async () => {
    const { engine, tasks } = await setup()
    const task = await makeTask(engine)

    const error = await failureOf(tasks.send(task.id, { type: 'reset' }, { expectedVersion: 7 }))

    expect(error).toMatchObject({ code: 'version_conflict', expected: 7, actual: 1 })
  })

  test.each([0.5, -1, Number.NaN, '1', null])('refuses %s as a version', async (version) => {
    const { engine, agents } = await setup()
    const { id } = await makeAgent(engine)

    const call = agents.send(id, { type: 'delete' }, { expectedVersion: version })

    expect(await failureOf(call)).toMatchObject({ code: 'invalid_input' })
    expect((await agents.get(id)).status).toBe('active')
  })

  test('refuses an option that it does not know', async () => {
    const { engine, agents } = await setup()
    const { id } = await makeAgent(engine)

    const call = agents.send(id, { type: 'delete' }, { expectVersion: 9 })

    expect(await failureOf(call)).toMatchObject({ code: 'invalid_input' })
  })
})

describe('trySend', () => {
  test('gives an outcome that says ok', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)

    const answer = await tasks.trySend(id, { type: 'promote' })

    expect(answer).toMatchObject({ ok: true, changed: true, replayed: false })
    expect(answer.ok && answer.resource.status).toBe('test')
    expect(answer.ok && typesOf(answer.events)).toEqual(['task.updated'])
  })

  test('gives a refusal as a value', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)

    const answer = await tasks.trySend(id, { type: 'demote' })

    expect(answer.ok).toBe(false)
    expect(viewOf(!answer.ok && answer.error)).toMatchObject({
      code: 'illegal_transition',
      reason: 'not_accepted',
    })
  })

  test('gives a version conflict as a value', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)

    const answer = await tasks.trySend(id, { type: 'promote' }, { expectedVersion: 2 })

    expect(!answer.ok && answer.error.code).toBe('version_conflict')
  })

  test('throws every other error', async () => {
    const { engine, tasks } = await setup()
    const { id } = await makeTask(engine)

    const unknown = await failureOf(tasks.trySend('task_none', { type: 'promote' }))
    const malformed = await failureOf(tasks.trySend(id, { type: 'update', name: 5 }))

    expect(unknown.code).toBe('not_found')
    expect(malformed.code).toBe('invalid_input')
  })
})

describe('get and find', () => {
  test('give the resource', async () => {
    const { engine, agents } = await setup()
    const agent = await makeAgent(engine)

    expect(await agents.get(agent.id)).toEqual(agent)
    expect(await agents.find(agent.id)).toEqual(agent)
  })

  test('know nothing of an id that does not exist', async () => {
    const { agents } = await setup()

    expect(await failureOf(agents.get('agt_none'))).toMatchObject({
      code: 'not_found',
      resource_id: 'agt_none',
    })
    expect(await agents.find('agt_none')).toBeUndefined()
  })

  test('know nothing of an id of another type', async () => {
    const { engine, tasks } = await setup()
    const agent = await makeAgent(engine)

    expect((await failureOf(tasks.get(agent.id))).code).toBe('not_found')
    expect(await tasks.find(agent.id)).toBeUndefined()
  })

  test('give a deleted resource', async () => {
    const { engine, agents } = await setup()
    const agent = await makeAgent(engine)
    await agents.send(agent.id, { type: 'delete' })

    expect(await agents.get(agent.id)).toMatchObject({ status: 'deleted', version: 2 })
  })

  test('give a value of its own to each caller', async () => {
    const { engine, agents } = await setup()
    const agent = await makeAgent(engine)

    Object.assign(await agents.get(agent.id), { name: 'changed by the caller' })

    expect(await agents.get(agent.id)).toEqual(agent)
  })
})

describe('accepts and explain', () => {
  test('accepts is empty in a terminal status', async () => {
    const { engine, agents } = await setup()
    const { id } = await makeAgent(engine)
    await agents.send(id, { type: 'delete' })

    expect(await agents.accepts(id)).toEqual([])
  })

  test('both know nothing of an id that does not exist', async () => {
    const { agents } = await setup()

    expect((await failureOf(agents.accepts('agt_none'))).code).toBe('not_found')
    const explained = failureOf(agents.explain('agt_none', { type: 'delete' }))
    expect((await explained).code).toBe('not_found')
  })

  test('explain says what send would, and sends nothing', async () => {
    const { engine, agents, sessions, runs, tasks } = await setup()
    const run = await makeRun(engine)
    const before = await fullLog(engine)
    const session = sessionOf(run)

    expect(await sessions.explain(session, { type: 'start' })).toMatchObject({ accepted: true })
    expect(await sessions.explain(session, { type: 'complete' })).toMatchObject({
      ...{ accepted: false, reason: 'not_accepted', message: expect.any(String) },
    })
    expect(await sessions.explain(session, { type: 'run_started', run_id: 'x' })).toMatchObject({
      ...{ accepted: false, reason: 'reserved' },
    })
    expect(await runs.explain(run.id, { type: 'start' })).toMatchObject({
      ...{ accepted: false, reason: 'reference' },
      blockers: [expect.objectContaining({ resource_id: session })],
    })
    const task = await tasks.get(String(run.task_id))
    expect(await agents.explain(String(task.agent_id), { type: 'delete' })).toMatchObject({
      ...{ accepted: false, reason: 'in_use' },
      blockers: [expect.objectContaining({ resource_id: task.id })],
    })
    expect(await fullLog(engine)).toEqual(before)
  })
})

describe('history', () => {
  async function told(engine: AnyTestEngine) {
    const { id } = await makeTask(engine)
    await engine.clock.advance('3s')
    await send(engine, 'task', id, 'promote')
    await engine.clock.advance('5s')
    await send(engine, 'task', id, 'promote')
    await engine.clock.advance('1m')
    await send(engine, 'task', id, 'delete')
    return id
  }

  test('tells the life of a resource, oldest first, with the time in each status', async () => {
    const { engine, tasks } = await setup()
    const id = await told(engine)

    const page = await tasks.history(id)

    const entries = page.data.map((entry) => [
      entry.type,
      entry.status,
      entry.previous_status,
      entry.time_in_previous_ms,
    ])
    expect(entries.slice(1)).toEqual([
      ['task.updated', 'test', 'learning', 3000],
      ['task.updated', 'live', 'test', 5000],
      ['task.deleted', 'deleted', 'live', 60_000],
    ])
    expect(page.data[0]).toMatchObject({
      ...{ type: 'task.created', status: 'learning', previous_status: null },
    })
    expect(page).toMatchObject({ has_more: false, next_cursor: null })
  })

  test('holds internal entries, and only those of the resource', async () => {
    const { engine, sessions } = await setup()
    const run = await makeRunningRun(engine)

    const entries = (await sessions.history(sessionOf(run))).data

    expect(entries.map(({ type, internal }) => [type, internal])).toEqual([
      ['session.queued', false],
      ['session.run_attached', true],
      ['session.running', false],
      ['session.run_started', true],
    ])
    expect(entries.map((entry) => entry.resource_version)).toEqual([1, 2, 3, 4])
    expect(new Set(entries.map((entry) => entry.resource_id))).toEqual(new Set([sessionOf(run)]))
  })

  test('is a page that goes on over all pages, in either order', async () => {
    const { engine, tasks } = await setup()
    const id = await told(engine)

    const first = await tasks.history(id, { limit: 3 })
    const newest = await tasks.history(id, { order: 'desc', limit: 1 })

    expect(first).toMatchObject({ has_more: true, next_cursor: expect.any(String) })
    const second = await tasks.history(id, { limit: 3, cursor: first.next_cursor })
    expect(typesOf(second.data)).toEqual(['task.deleted'])
    expect(second.data[0]).toMatchObject({ previous_status: 'live', time_in_previous_ms: 60_000 })
    expect((await collect(first)).map((entry) => entry.resource_version)).toEqual([1, 2, 3, 4])
    expect(typesOf(newest.data)).toEqual(['task.deleted'])
  })

  test('knows nothing of an id that does not exist', async () => {
    const { tasks } = await setup()

    const error = await failureOf(async () => tasks.history('task_none'))

    expect(error).toMatchObject({ code: 'not_found', resource_id: 'task_none' })
  })
})

describe('secrets', () => {
  test('are shown once, in the outcome that makes them', async () => {
    const { engine } = await setup()
    const destinations = handleOf(engine, 'eventDestinations')
    const webhook = { url: 'https://hooks.example/in' }

    const made = await destinations.create({ name: 'H', webhook, events: ['*'] })
    const rotated = await destinations.send(made.resource.id, { type: 'rotate_secret' })
    const named = await destinations.send(made.resource.id, { type: 'update', name: 'I' })

    expect(made.secrets?.secret).toMatch(/^whsec_/)
    expect(rotated.secrets?.secret).toMatch(/^whsec_/)
    expect(rotated.secrets?.secret).not.toBe(made.secrets?.secret)
    expect(named).not.toHaveProperty('secrets')
    const shown = JSON.stringify([made.resource, made.events, await fullLog(engine)])
    expect(shown).not.toContain(made.secrets?.secret)
  })

  test('of a credential are never given back', async () => {
    const { engine } = await setup()
    const run = await makeRun(engine)

    const credential = await handleOf(engine, 'credentials').get(String(run.credential_id))

    expect(credential.auth_credentials).toEqual({ username: 'ada', configured: true })
    expect(JSON.stringify(await publicLog(engine))).not.toContain('first password')
  })
})

describe('closing', () => {
  test('refuses every call after it, and a second close is harmless', async () => {
    const { engine, agents } = await setup()
    const { id } = await makeAgent(engine)

    await engine.close()
    await engine.close()

    expect((await failureOf(() => agents.get(id))).code).toBe('closed')
    expect((await failureOf(() => agents.create({ name: 'B' }))).code).toBe('closed')
    expect((await failureOf(async () => engine.events.list())).code).toBe('closed')
  })

  test('finishes the commands that were sent before it', async () => {
    const { engine, agents } = await setup()
    const sent = [1, 2, 3].map((n) => agents.create({ name: `${n}` }))

    await engine.close()

    expect((await Promise.all(sent)).map(({ changed }) => changed)).toEqual([true, true, true])
  })
})
