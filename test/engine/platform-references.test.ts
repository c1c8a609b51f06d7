import { describe, expect, test } from 'vitest'
import { setupEngine, typesOf } from '../support/engine.ts'
import { refused } from '../support/errors.ts'
import {
  FILE,
  LOGIN,
  make,
  makeAnonymousRun,
  makeCredential,
  makeRun,
  makeRunningRun,
  makeSource,
  makeTask,
  reach,
  read,
  send,
} from '../support/world.ts'

const reference = { code: 'illegal_transition', reason: 'reference' }
const inUse = { code: 'illegal_transition', reason: 'in_use' }
const _guard = { code: 'illegal_transition', reason: 'guard' }
const _invalid = { code: 'invalid_input' }

/** A blocker that names a resource. */
function naming(resource_id: string) {
  return [expect.objectContaining({ resource_id, code: expect.any(String) })]
}

describe('what a new resource refers to', () => {
  test('a task needs an agent that is not deleted', async () => {
    const engine = await setupEngine()
    const agent = await reach(engine, 'agent', 'deleted')

    const error = await refused(engine, () =>
      make(engine, 'task', { name: 'T', agent_id: agent.id }),
    )

    expect(error).toMatchObject({ ...reference, blockers: naming(agent.id) })
  })

  test('a credential needs a source that is not deleted', async () => {
    const engine = await setupEngine()
    const source = await reach(engine, 'source', 'deleted')

    const error = await refused(engine, () =>
      make(engine, 'credential', { source_id: source.id, ...LOGIN }),
    )

    expect(error).toMatchObject({ ...reference, blockers: naming(source.id) })
  })

  test.each(['learning', 'test', 'live'])('a run may be of a task in %s', async (status) => {
    const engine = await setupEngine()
    const task = await reach(engine, 'task', status)

    const run = await makeRun(engine, { task_id: task.id })

    expect(run).toMatchObject({ status: 'queued', task_id: task.id, agent_id: task.agent_id })
  })

  test('a run needs a task that is not deleted', async () => {
    const engine = await setupEngine()
    const task = await reach(engine, 'task', 'deleted')
    const source_id = (await makeSource(engine)).id

    const error = await refused(engine, () => makeRun(engine, { task_id: task.id, source_id }))

    expect(error).toMatchObject({ ...reference, blockers: naming(task.id) })
  })

  test.each(['unverified', 'verified'])('a run may use a credential in %s', async (status) => {
    const engine = await setupEngine()
    const credential = await reach(engine, 'credential', status)

    const run = await makeRun(engine, { credential_id: credential.id })

    expect(run).toMatchObject({ status: 'queued', source_id: credential.source_id })
  })

  test.each(['invalid', 'deleted'])('a run may not use a credential in %s', async (status) => {
    const engine = await setupEngine()
    const task_id = (await makeTask(engine)).id
    const credential = await reach(engine, 'credential', status)

    const error = await refused(engine, () =>
      makeRun(engine, { task_id, credential_id: credential.id }),
    )

    expect(error).toMatchObject({ ...reference, blockers: naming(credential.id) })
  })

  test('a run needs a source that is not deleted', async () => {
    const engine = await setupEngine()
    const task_id = (await makeTask(engine)).id
    const source = await reach(engine, 'source', 'deleted')

    const error = await refused(engine, () => makeRun(engine, { task_id, source_id: source.id }))

    expect(error).toMatchObject({ ...reference, blockers: naming(source.id) })
  })

  test.each(['queued', 'running', 'idle'])('a run may join a session in %s', async (status) => {
    const engine = await setupEngine()
    const session = await reach(engine, 'session', status)

    const run = await makeRun(engine, { session_id: session.id })

    expect(run).toMatchObject({ status: 'queued', session_id: session.id })
    expect(await read(engine, 'session', session.id)).toMatchObject({
      status,
      task_runs: [{ id: run.id, executing: false }],
    })
  })

  test.each(['completing', 'completed', 'failed'])(
    'a run may not join a session in %s',
    async (status) => {
      const engine = await setupEngine()
      const task_id = (await makeTask(engine)).id
      const source_id = (await makeSource(engine)).id
      const session_id = (await reach(engine, 'session', status)).id

      const error = await refused(engine, () => makeRun(engine, { task_id, source_id, session_id }))

      expect(error).toMatchObject({ ...reference, blockers: naming(session_id) })
    },
  )

  test.each(['running', 'interaction_required', 'pending', 'canceling'])(
    'a file may belong to a run in %s',
    async (status) => {
      const engine = await setupEngine()
      const run = await reach(engine, 'task_run', status)

      const file = await make(engine, 'storage', { task_run_id: run.id, ...FILE })

      expect(file).toMatchObject({ status: 'stored', task_run_id: run.id, url: null })
    },
  )

  test.each(['queued', 'completed', 'failed', 'canceled'])(
    'a file may not belong to a run in %s',
    async (status) => {
      const engine = await setupEngine()
      const run = await reach(engine, 'task_run', status)

      const error = await refused(engine, () =>
        make(engine, 'storage', { task_run_id: run.id, ...FILE }),
      )

      expect(error).toMatchObject({ ...reference, blockers: naming(run.id) })
    },
  )

  test.each([
    ['task', { name: 'T', agent_id: 'agt_none' }, 'agt_none'],
    ['credential', { source_id: 'src_none' }, 'src_none'],
    ['storage', { task_run_id: 'trun_none', ...FILE }, 'trun_none'],
    ['task_run', { task_id: 'task_none', source_id: 'src_none' }, 'task_none'],
  ])('a new %s that refers to nothing is not_found with that id', async (type, input, id) => {
    const engine = await setupEngine()

    const error = await refused(engine, () => make(engine, type, input))

    expect(error).toMatchObject({ code: 'not_found', resource_id: id })
  })

  test('an id of another type is not_found', async () => {
    const engine = await setupEngine()
    const source = await makeSource(engine)

    const error = await refused(engine, () =>
      make(engine, 'task', { name: 'T', agent_id: source.id }),
    )

    expect(error).toMatchObject({ code: 'not_found', resource_id: source.id })
  })
})

describe('what keeps a resource from being deleted', () => {
  test('an agent with a task', async () => {
    const engine = await setupEngine()
    const task = await makeTask(engine)
    const agent = String(task.agent_id)

    const error = await refused(engine, () => send(engine, 'agent', agent, 'delete'))

    expect(error).toMatchObject({ ...inUse, resource_id: agent, blockers: naming(task.id) })
    await send(engine, 'task', task.id, 'delete')
    expect((await send(engine, 'agent', agent, 'delete')).resource.status).toBe('deleted')
  })

  test('a source with a credential', async () => {
    const engine = await setupEngine()
    const credential = await makeCredential(engine)
    const source = String(credential.source_id)

    const error = await refused(engine, () => send(engine, 'source', source, 'delete'))

    expect(error).toMatchObject({ ...inUse, blockers: naming(credential.id) })
    await send(engine, 'credential', credential.id, 'delete')
    expect((await send(engine, 'source', source, 'delete')).resource.status).toBe('deleted')
  })

  test('a source with a run that has not ended', async () => {
    const engine = await setupEngine()
    const run = await makeAnonymousRun(engine)
    const source = String(run.source_id)

    const error = await refused(engine, () => send(engine, 'source', source, 'delete'))

    expect(error).toMatchObject({ ...inUse, blockers: naming(run.id) })
    await send(engine, 'task_run', run.id, 'complete')
    expect((await send(engine, 'source', source, 'delete')).resource.status).toBe('deleted')
  })

  test('a task with a run that has not ended', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const task = String(run.task_id)

    const error = await refused(engine, () => send(engine, 'task', task, 'delete'))

    expect(error).toMatchObject({ ...inUse, blockers: naming(run.id) })
    await send(engine, 'task_run', run.id, 'complete')
    expect((await send(engine, 'task', task, 'delete')).resource.status).toBe('deleted')
  })

  test('not a credential with a run: the run goes on', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    const credential = String(run.credential_id)

    const outcome = await send(engine, 'credential', credential, 'delete')

    expect(typesOf(outcome.events)).toEqual(['credential.deleted'])
    const login = await send(engine, 'task_run', run.id, 'login_succeeded')
    expect(login).toMatchObject({ changed: true, events: [] })
    expect((await send(engine, 'task_run', run.id, 'complete')).resource.status).toBe('completed')
  })
})
