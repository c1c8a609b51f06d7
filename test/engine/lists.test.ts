import { describe, expect, test } from 'vitest'
import {
  type AnyHandle,
  type AnyResource,
  collect,
  handleOf,
  setupEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import {
  makeCredential,
  makeRun,
  makeRunningRun,
  makeSource,
  makeTask,
  send,
  sessionOf,
} from '../support/world.ts'

async function setup() {
  const engine = await setupEngine()
  return { engine, agents: handleOf(engine, 'agents') }
}

/** Creates agents one after the other, named by number. */
async function fill(agents: AnyHandle, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push((await agents.create({ name: `${i}` })).resource.id)
  return ids
}

function ids(resources: readonly AnyResource[]): string[] {
  return resources.map((resource) => resource.id)
}

describe('a page', () => {
  test('of nothing is empty', async () => {
    const { agents } = await setup()

    const page = await agents.list()

    expect(page).toMatchObject({ data: [], has_more: false, next_cursor: null })
    expect(await collect(page)).toEqual([])
  })

  test('holds whole resources, the newest first', async () => {
    const { agents } = await setup()
    const made = await fill(agents, 3)

    const page = await agents.list()

    expect(ids(page.data)).toEqual(made.toReversed())
    expect(page.data[0]).toEqual(await agents.get(made[2] ?? ''))
  })

  test('holds the oldest first when asked', async () => {
    const { agents } = await setup()
    const made = await fill(agents, 3)

    expect(ids((await agents.list({ order: 'asc' })).data)).toEqual(made)
    expect(ids((await agents.list({ order: 'desc' })).data)).toEqual(made.toReversed())
  })

  test('holds 50 unless asked for more or fewer', async () => {
    const { agents } = await setup()
    const made = await fill(agents, 51)

    const page = await agents.list()

    expect(page.data).toHaveLength(50)
    expect(page).toMatchObject({ has_more: true, next_cursor: expect.any(String) })
    expect((await agents.list({ limit: 1 })).data).toHaveLength(1)
    const all = await agents.list({ limit: 1000 })
    expect(all.data).toHaveLength(made.length)
    expect(all).toMatchObject({ has_more: false, next_cursor: null })
  })

  test('that is exactly full is the last one', async () => {
    const { agents } = await setup()
    await fill(agents, 4)

    const first = await agents.list({ limit: 2 })
    const second = await agents.list({ limit: 2, cursor: first.next_cursor })

    expect(first.has_more).toBe(true)
    expect(second).toMatchObject({ has_more: false, next_cursor: null })
    expect(second.data).toHaveLength(2)
  })

  test.each(['asc', 'desc'])('leads to all others in order %s, each item once', async (order) => {
    const { agents } = await setup()
    const made = await fill(agents, 7)
    const expected = order === 'asc' ? made : made.toReversed()

    const page = await agents.list({ order, limit: 3 })
    const seen = [...ids(page.data)]
    for (let cursor = page.next_cursor; cursor !== null; ) {
      const next = await agents.list({ order, limit: 3, cursor })
      seen.push(...ids(next.data))
      cursor = next.next_cursor
    }

    expect(seen).toEqual(expected)
    expect(ids(await collect(page))).toEqual(expected)
  })

  test('is not disturbed by what is created meanwhile', async () => {
    const { agents } = await setup()
    const made = await fill(agents, 4)

    const first = await agents.list({ limit: 2 })
    await fill(agents, 3)
    const second = await agents.list({ limit: 2, cursor: first.next_cursor })

    expect(ids([...first.data, ...second.data])).toEqual(made.toReversed())
  })
})

describe('filters', () => {
  test('leave deleted resources out unless asked by status', async () => {
    const { agents } = await setup()
    const [a = '', b = ''] = await fill(agents, 2)
    await agents.send(a, { type: 'delete' })

    expect(ids((await agents.list()).data)).toEqual([b])
    expect(ids((await agents.list({ status: 'deleted' })).data)).toEqual([a])
    expect(ids((await agents.list({ status: ['active', 'deleted'] })).data)).toEqual([b, a])
    expect((await agents.list({ status: 'active', limit: 1 })).has_more).toBe(false)
  })

  test('by one status or many', async () => {
    const { engine } = await setup()
    const tasks = handleOf(engine, 'tasks')
    const learning = await makeTask(engine)
    const test = await makeTask(engine)
    const live = await makeTask(engine)
    for (const { id } of [test, live, live]) await send(engine, 'task', id, 'promote')

    expect(ids((await tasks.list({ status: 'live' })).data)).toEqual([live.id])
    const both = await tasks.list({ status: ['learning', 'test'], order: 'asc' })
    expect(ids(both.data)).toEqual([learning.id, test.id])
  })

  test('show ended sessions and runs without being asked', async () => {
    const { engine } = await setup()
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'complete')

    expect(ids((await handleOf(engine, 'taskRuns').list()).data)).toEqual([run.id])
  })

  test('by the fields that refer to others, alone and together', async () => {
    const { engine } = await setup()
    const runs = handleOf(engine, 'taskRuns')
    const task = await makeTask(engine)
    const a = await makeRun(engine, { task_id: task.id })
    const b = await makeRun(engine, { task_id: task.id, session_id: sessionOf(a) })
    const c = await makeRun(engine, { credential_id: a.credential_id })

    expect(ids((await runs.list({ task_id: task.id })).data)).toEqual([b.id, a.id])
    expect(ids((await runs.list({ session_id: sessionOf(a) })).data)).toEqual([b.id, a.id])
    const credential_id = a.credential_id
    expect(ids((await runs.list({ credential_id })).data)).toEqual([c.id, a.id])
    expect(ids((await runs.list({ credential_id, task_id: task.id })).data)).toEqual([a.id])
    expect((await runs.list({ task_id: 'task_none' })).data).toEqual([])
  })

  test('by a reference go on over pages', async () => {
    const { engine } = await setup()
    const credentials = handleOf(engine, 'credentials')
    const source = await makeSource(engine)
    const made: string[] = []
    for (let i = 0; i < 3; i++) {
      made.push((await credentials.create({ source_id: source.id })).resource.id)
      await makeCredential(engine)
    }

    const page = await credentials.list({ source_id: source.id, limit: 1, order: 'asc' })

    expect(ids(await collect(page))).toEqual(made)
  })

  test.each([(date: Date) => date, (date: Date) => date.toISOString()])(
    'by time of creation, as a Date or as text',
    async (form) => {
      const { engine, agents } = await setup()
      const [a = ''] = await fill(agents, 1)
      await engine.clock.advance('10s')
      const between = new Date(engine.clock.now().getTime() - 5000)
      const [b = ''] = await fill(agents, 1)

      expect(ids((await agents.list({ created_after: form(between) })).data)).toEqual([b])
      expect(ids((await agents.list({ created_before: form(between) })).data)).toEqual([a])
    },
  )
})

describe('a malformed filter', () => {
  test.each([
    ...[0, -1, 1001, 1.5, Number.NaN, '10', null].map((limit) => ({ limit })),
    { order: 'up' },
    { status: 'actve' },
    { status: ['active', 'gone'] },
    { status: 5 },
    { created_after: 'yesterday' },
    { created_before: new Date(Number.NaN) },
    { cursor: 'garbage' },
    { cursor: '' },
    { cursor: 5 },
    { nmae: 'A' },
  ])('%j is invalid_input', async (filter) => {
    const { agents } = await setup()
    await fill(agents, 2)

    const error = await failureOf(async () => agents.list(filter))

    expect(error).toMatchObject({ code: 'invalid_input' })
    expect(error.issues?.length).toBeGreaterThan(0)
  })

  test('is a cursor of another list', async () => {
    const { engine, agents } = await setup()
    await fill(agents, 2)
    const { next_cursor: ofAgents } = await agents.list({ limit: 1 })
    const { next_cursor: ofEvents } = await engine.events.list({ limit: 1 })
    const sources = handleOf(engine, 'sources')

    expect(ofAgents).not.toBe(null)
    const calls = [
      async () => sources.list({ cursor: ofAgents }),
      async () => engine.events.list({ cursor: ofAgents }),
      async () => agents.list({ cursor: ofEvents }),
    ]
    for (const call of calls) {
      expect(await failureOf(call)).toMatchObject({ code: 'invalid_input' })
    }
  })

  test('is a cursor that was tampered with', async () => {
    const { agents } = await setup()
    await fill(agents, 3)
    const cursor = String((await agents.list({ limit: 1 })).next_cursor)

    const tampered = [
      ...[`${cursor}x`, `${cursor}=`, ` ${cursor}`, cursor.slice(0, -2), cursor.toUpperCase()],
      `${cursor}'--`,
    ]

    for (const each of tampered.filter((text) => text !== cursor)) {
      const error = await failureOf(async () => agents.list({ limit: 1, cursor: each }))
      expect(error.code, each).toBe('invalid_input')
    }
  })
})
