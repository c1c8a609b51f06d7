import { describe, expect, test } from 'vitest'
import { type AnyEngine, type AnyTestEngine, handleOf, setupEngine } from '../support/engine.ts'
import {
  INTERACTION,
  makeCredential,
  makeDestination,
  makeRunningRun,
  makeSession,
  makeTask,
  send,
  sessionOf,
} from '../support/world.ts'
import { type Collecting, collecting, type Ran } from './collecting.ts'

type Filter = Readonly<Record<string, unknown>>

/** An engine on a connection that keeps in mind what it runs, with more than is listed at once. */
async function setup(how = 'without statistics') {
  const connection = collecting()
  const engine = await setupEngine({ database: connection.database })
  const run = await makeRunningRun(engine)
  await makeRunningRun(engine.tenant('acme'))
  for (let n = 0; n < 150; n += 1) await makeSession(engine)
  // What an application does for its own tables counts for those of the engine as well.
  if (how === 'with statistics') connection.database.exec('analyze')
  return { connection, engine, run }
}

const AT = new Date('2026-01-01T00:00:00.000Z')
const LATER = new Date('2026-01-01T00:00:01.000Z')

/** Every choice of one value for each key. */
function choices(parts: Readonly<Record<string, readonly unknown[]>>): Filter[] {
  return Object.entries(parts).reduce<Filter[]>(
    (all, [key, values]) =>
      all.flatMap((one) =>
        values.map((value) => (value === undefined ? one : { ...one, [key]: value })),
      ),
    [{}],
  )
}

/** The first page of a list, and the one after it. */
async function twoPages(
  list: (filter: Filter) => PromiseLike<{ readonly next_cursor: string | null }>,
  filter: Filter,
): Promise<void> {
  const { next_cursor: cursor } = await list({ ...filter, limit: 1 })
  if (cursor !== null) await list({ ...filter, limit: 1, cursor })
}

/** What is run for two pages of each list of events. */
function runForEvents(connection: Collecting, engine: AnyEngine, filters: readonly Filter[]) {
  return connection.during(async () => {
    for (const filter of filters) await twoPages((page) => engine.events.list(page), filter)
  })
}

/** Fails with the statement for a step that is not as it should be. */
function expectNoStep({ planOf }: Collecting, ran: readonly Ran[], step: RegExp): void {
  expect(ran.length).toBeGreaterThan(0)
  const found = ran.flatMap((one) =>
    planOf(one)
      .filter((detail) => step.test(detail))
      .map((detail) => `${detail}: ${one.text}`),
  )
  expect(found).toEqual([])
}

// A step that reads a table from one end to the other; parts of a statement are scanned as well.
const SCAN = /^SCAN pawl_/

const KNOWLEDGE = ['without statistics', 'with statistics']

const ORDERS = { order: ['asc', 'desc'] }

const TYPES = ['session.queued', ['session.queued', 'task_run.running'], 'session.*', 'agent.*']

test('events of a type are read through the index of types, whatever else is in the log', async () => {
  const { connection, engine } = await setup()
  const times = { since: [undefined, AT], until: [undefined, LATER] }
  const filters = choices({ ...ORDERS, type: TYPES, internal: [undefined, true], ...times })

  const ran = await runForEvents(connection, engine, filters)

  const lists = ran.filter(({ text }) => text.includes('inner join "pawl_events"'))
  expect(lists.length).toBeGreaterThan(30)
  for (const list of lists) {
    const steps = connection.planOf(list)
    const ofEntries = steps.filter((step) => /pawl_listing USING .*INDEX/.test(step))
    const byType = /pawl_listing_by_type \(tenant=\? AND type=\? AND seq>\? AND seq<\?\)$/
    expect(ofEntries.filter((step) => byType.test(step)).length).toBeGreaterThan(0)
    expect(ofEntries.filter((step) => /by_tenant/.test(step))).toEqual([])
  }
  expectNoStep(connection, ran, SCAN)
})

describe.each(KNOWLEDGE)('no list goes through a table that grows, %s:', (how) => {
  test('events, of one tenant and of all, within a time or not', async () => {
    const { connection, engine } = await setup(how)
    const filters = choices({
      ...{ ...ORDERS, tenant: [undefined, 'acme', '*'], type: [undefined, 'session.queued'] },
      ...{ internal: [undefined, true], since: [undefined, AT], until: [undefined, LATER] },
    })

    expectNoStep(connection, await runForEvents(connection, engine, filters), SCAN)
  })

  test('events of one resource, and its history', async () => {
    const { connection, engine, run } = await setup(how)
    const filters = choices({
      ...{ ...ORDERS, resource: [run.id], type: [undefined, 'task_run.*'] },
      ...{ internal: [undefined, true], since: [undefined, AT], until: [undefined, LATER] },
    })
    const things = handleOf(engine, 'taskRuns')

    const ofEvents = await runForEvents(connection, engine, filters)
    const ofHistory = await connection.during(async () => {
      for (const filter of choices(ORDERS))
        await twoPages((page) => things.history(run.id, page), filter)
    })

    expectNoStep(connection, [...ofEvents, ...ofHistory], SCAN)
  })

  test('resources of a tenant, by status, time and what they refer to', async () => {
    const { connection, engine, run } = await setup(how)
    const runs = { session_id: [undefined, sessionOf(run)], task_id: [undefined, run.task_id] }
    const parts = {
      ...{ ...ORDERS, status: [undefined, 'queued', ['queued', 'running']] },
      ...{ created_after: [undefined, AT], created_before: [undefined, LATER] },
    }

    const ran = await connection.during(async () => {
      for (const filter of choices(parts))
        await twoPages((page) => handleOf(engine, 'sessions').list(page), filter)
      for (const filter of choices({ ...parts, ...runs }))
        await twoPages((page) => handleOf(engine, 'taskRuns').list(page), filter)
    })

    expectNoStep(connection, ran, SCAN)
  })

  test('but resources of all tenants are read in their order, as far as the page', async () => {
    const { connection, engine } = await setup(how)
    const filters = choices({ ...ORDERS, status: [undefined, 'queued'], tenant: ['*'] })

    const ran = await connection.during(async () => {
      for (const filter of filters)
        await twoPages((page) => handleOf(engine, 'sessions').list(page), filter)
    })

    expect(ran.some((one) => connection.planOf(one).includes('SCAN pawl_resources'))).toBe(true)
    expectNoStep(connection, ran, /TEMP B-TREE/)
  })
})

/** Goes through what the engine can do, so that it runs most of its statements. */
async function walk(engine: AnyTestEngine): Promise<void> {
  const { id } = await makeCredential(engine)
  await handleOf(engine, 'credentials').reveal(id)
  const run = await makeRunningRun(engine, { credential_id: id })
  await send(engine, 'task_run', run.id, { type: 'require_interaction', interaction: INTERACTION })
  await makeDestination(engine)
  const tasks = handleOf(engine, 'tasks')
  const task = await makeTask(engine)
  for (let n = 0; n < 70; n += 1)
    await tasks.send(task.id, { type: 'update', name: `Fetch ${n}` }, { idempotencyKey: `${n}` })
  await lookAround(engine, task.id)
  await consumeSome(engine)
  await engine.transaction((tx) => handleOf(tx, 'sessions').create({}))
  await engine.clock.advance('1h')
  await engine.verify()
  await engine.rotateKeys()
  await engine.migrate({ dryRun: true })
  await engine.clock.advance('2d')
  await engine.tick()
  await engine.prune({ events: '1d' })
  await engine.verify()
}

async function lookAround(engine: AnyTestEngine, taskId: string): Promise<void> {
  const tasks = handleOf(engine, 'tasks')
  for (const order of ['asc', 'desc']) {
    await twoPages((page) => engine.events.list(page), { order, type: 'task.*', since: AT })
    await twoPages((page) => engine.events.list(page), { order, resource: taskId })
    await twoPages((page) => tasks.history(taskId, page), { order })
    await twoPages((page) => tasks.list(page), { order, status: ['learning', 'live'] })
  }
  await twoPages((page) => engine.timers.list(page), {})
  const { data } = await engine.events.list({ tenant: '*' })
  await engine.events.get(data[0]?.id ?? '')
  await tasks.at(taskId, AT)
  await tasks.accepts(taskId)
  for await (const event of engine.events.subscribe({ from: AT, resource: taskId }))
    if (event.seq > 0) break
}

async function consumeSome(engine: AnyTestEngine): Promise<void> {
  const stop = new AbortController()
  const options = { type: 'task.*', tries: 1, signal: stop.signal }
  let handled = 0
  await engine.consume('walk', options, async (_event, { tx }) => {
    await handleOf(tx, 'sessions').create({})
    handled += 1
    if (handled === 2) throw new Error('not this one')
    if (handled === 3) stop.abort()
  })
  const [parked] = await engine.consumers.parked('walk')
  await engine.consumers.list()
  await engine.consumers.retry('walk', parked?.event_id ?? '')
}

test('no statement has a limit that is a bare parameter: it would be planned anew on each run', async () => {
  const { database, ran } = collecting()
  const engine = await setupEngine({ database })

  await walk(engine)

  const texts = ran().map(({ text }) => text)
  expect(texts.filter((text) => /\blimit\b/i.test(text)).length).toBeGreaterThan(15)
  expect(texts.filter((text) => /\blimit\s+\?(?!\s*\+)/i.test(text))).toEqual([])
})
