import { describe, expect, test } from 'vitest'
import { fullLog, handleOf, publicLog, setupEngine, typesOf } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import {
  makeAgent,
  makeRun,
  makeSession,
  makeSource,
  makeTask,
  sessionOf,
} from '../support/world.ts'

async function setup() {
  const root = await setupEngine()
  return { root, acme: root.tenant('acme'), other: root.tenant('other') }
}

describe('a tenant', () => {
  test('sees its own, and the root handle is the tenant default', async () => {
    const { root, acme } = await setup()
    const mine = await makeAgent(acme)
    const ours = await makeAgent(root)

    expect((await handleOf(acme, 'agents').list()).data).toEqual([mine])
    expect((await handleOf(root, 'agents').list()).data).toEqual([ours])
    expect((await handleOf(root.tenant('default'), 'agents').list()).data).toEqual([ours])
    expect((await publicLog(acme)).map((event) => event.tenant)).toEqual(['acme'])
    expect((await publicLog(root)).map((event) => event.tenant)).toEqual(['default'])
  })

  test('finds nothing of another one by id', async () => {
    const { root, acme, other } = await setup()
    const { id } = await makeAgent(acme)
    const [event] = await publicLog(acme)

    for (const engine of [root, other]) {
      const agents = handleOf(engine, 'agents')
      expect(await agents.find(id)).toBeUndefined()
      const calls = [
        () => agents.get(id),
        () => agents.send(id, { type: 'delete' }),
        () => agents.trySend(id, { type: 'delete' }),
        () => agents.accepts(id),
        () => agents.explain(id, { type: 'delete' }),
        async () => agents.history(id),
        () => engine.events.get(event?.id ?? ''),
      ]
      for (const call of calls) expect((await failureOf(call)).code).toBe('not_found')
      expect(await publicLog(engine, { resource: id })).toEqual([])
    }
    expect((await handleOf(acme, 'agents').get(id)).status).toBe('active')
  })

  test('cannot refer to what another one has', async () => {
    const { root, acme } = await setup()
    const agent = await makeAgent(acme)
    const session = await makeSession(acme)
    const task = await makeTask(root)
    const source = await makeSource(root)

    const asAgent = await failureOf(
      handleOf(root, 'tasks').create({ name: 'T', agent_id: agent.id }),
    )
    const asSession = await failureOf(
      handleOf(root, 'taskRuns').create({
        ...{ task_id: task.id, source_id: source.id, session_id: session.id },
      }),
    )

    expect(asAgent).toMatchObject({ code: 'not_found', resource_id: agent.id })
    expect(asSession).toMatchObject({ code: 'not_found', resource_id: session.id })
  })

  test('has its cascades, companions and timers to itself', async () => {
    const { root, acme } = await setup()
    const run = await makeRun(acme)

    await root.clock.advance('5m')

    expect((await handleOf(acme, 'taskRuns').get(run.id)).status).toBe('failed')
    expect((await handleOf(acme, 'sessions').get(sessionOf(run))).status).toBe('failed')
    expect(new Set((await fullLog(acme)).map((entry) => entry.tenant))).toEqual(new Set(['acme']))
    expect(await fullLog(root)).toEqual([])
  })

  test.each(['', '*', '\ud800', 'x'.repeat(256), 5, null])('is not called %j', async (id) => {
    const { root } = await setup()

    const error = await failureOf(async () => makeAgent(root.tenant(id as string)))

    expect(error.code).toBe('invalid_input')
  })
})

describe('tenant *', () => {
  test('reads all tenants on the root', async () => {
    const { root, acme, other } = await setup()
    const made = [await makeAgent(root), await makeAgent(acme), await makeAgent(other)]

    const listed = await handleOf(root, 'agents').list({ tenant: '*', order: 'asc' })
    const events = await publicLog(root, { tenant: '*' })

    expect(listed.data.map(({ id }) => id)).toEqual(made.map(({ id }) => id))
    expect(events.map((event) => event.tenant)).toEqual(['default', 'acme', 'other'])
    expect(events.map((event) => event.seq)).toEqual([1, 2, 3])
    expect(typesOf(events)).toEqual(['agent.created', 'agent.created', 'agent.created'])
  })

  test('shows a tenant nothing of others', async () => {
    const { root, acme } = await setup()
    await makeAgent(root)

    const reads = [
      async () => (await acme.events.list({ tenant: '*' })).data,
      async () => (await acme.events.list({ tenant: 'default' })).data,
      async () => (await handleOf(acme, 'agents').list({ tenant: '*' })).data,
    ]

    for (const read of reads) {
      const seen = await read().catch((error: Error) => {
        expect(error).toMatchObject({ code: 'invalid_input' })
        return []
      })
      expect(seen).toEqual([])
    }
  })

  test('lets the root read one other tenant by name', async () => {
    const { root, acme } = await setup()
    await makeAgent(root)
    const { id } = await makeAgent(acme)

    const events = await publicLog(root, { tenant: 'acme' })

    expect(events.map((event) => event.resource_id)).toEqual([id])
  })
})
