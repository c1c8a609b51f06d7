import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { setup as setupMachine } from 'xstate'
import {
  type AnyEngine,
  type AnyTransaction,
  allTimers,
  expectVerified,
  fullLog,
  handleOf,
  publicLog,
  setupEngine,
  setupRealEngine,
  typesOf,
} from '../support/engine.ts'
import { caught, failureOf } from '../support/errors.ts'
import { follow } from '../support/follow.ts'
import { notesIn } from '../support/raw.ts'
import { withThings } from '../support/things.ts'
import { fail, note, setup, turns } from '../support/transactions.ts'
import { gate } from '../support/until.ts'
import { makeAgent, makeRun, makeSession, send, sessionOf } from '../support/world.ts'

describe('a transaction', () => {
  test('commits commands and rows of the user together', async () => {
    const { engine, raw } = await setup()

    const id = await engine.transaction(async (tx) => {
      const { resource } = await handleOf(tx, 'agents').create({ name: 'A' })
      await note(tx, resource.id)
      await handleOf(tx, 'agents').send(resource.id, { type: 'update', name: 'B' })
      return resource.id
    })

    expect(await handleOf(engine, 'agents').get(id)).toMatchObject({ name: 'B', version: 2 })
    expect(notesIn(raw)).toEqual([{ id, text: 'mine', n: 1 }])
    expect(typesOf(await publicLog(engine))).toEqual(['agent.created', 'agent.updated'])
    expect(await engine.verify()).toMatchObject({ ok: true })
  })

  test('reads what it has written', async () => {
    const { engine } = await setup()

    await engine.transaction(async (tx) => {
      const { resource, changed, events } = await handleOf(tx, 'agents').create({ name: 'A' })
      expect(await handleOf(tx, 'agents').get(resource.id)).toEqual(resource)
      expect({ changed, events: typesOf(events) }).toEqual({
        ...{ changed: true, events: ['agent.created'] },
      })
      await note(tx, resource.id, 7)
      const [row] = await tx.db.selectFrom('notes').selectAll().execute()
      expect(row).toEqual({ id: resource.id, text: 'mine', n: 7 })
    })
  })

  test('gives what its body gives', async () => {
    const { engine } = await setup()

    expect(await engine.transaction(async () => 'done')).toBe('done')
    expect(await engine.transaction(() => 5)).toBe(5)
    expect(await fullLog(engine)).toEqual([])
  })

  test('carries cascades, and its events stand together in the log', async () => {
    const { engine } = await setup()
    const run = await makeRun(engine)
    await send(engine, 'session', sessionOf(run), 'start')
    const before = await fullLog(engine)

    await engine.transaction(async (tx) => {
      await handleOf(tx, 'taskRuns').send(run.id, { type: 'start' })
      await handleOf(tx, 'sessions').send(sessionOf(run), { type: 'end' })
      expect((await handleOf(tx, 'taskRuns').get(run.id)).status).toBe('canceling')
    })

    expect(typesOf((await fullLog(engine)).slice(before.length))).toEqual([
      ...['task_run.running', 'session.run_started'],
      ...['session.completing', 'task_run.canceling'],
    ])
    await expectVerified(engine)
  })

  test('carries calls that its body makes at the same time', async () => {
    const { engine } = await setup()

    const outcomes = await engine.transaction((tx) =>
      Promise.all(Array.from({ length: 20 }, () => handleOf(tx, 'sessions').create({}))),
    )

    expect(new Set(outcomes.map(({ resource }) => resource.id)).size).toBe(20)
    expect(await publicLog(engine)).toHaveLength(20)
  })

  test('sets timers, which fire', async () => {
    const { engine } = await setup()

    const { resource } = await engine.transaction((tx) => handleOf(tx, 'sessions').create({}))
    await engine.clock.advance('5m')

    expect((await handleOf(engine, 'sessions').get(resource.id)).status).toBe('failed')
  })

  test('keeps idempotency keys with it', async () => {
    const { engine } = await setup()
    const key = { idempotencyKey: 'k' }
    const create = (tx: AnyTransaction) => handleOf(tx, 'agents').create({ name: 'A' }, key)

    await caught(() => engine.transaction((tx) => create(tx).then(fail)))
    const first = await engine.transaction(create)
    const second = await handleOf(engine, 'agents').create({ name: 'A' }, key)

    expect([first.replayed, second.replayed]).toEqual([false, true])
    expect(second.resource.id).toBe(first.resource.id)
  })

  test('goes on after a refusal that its body catches', async () => {
    const { engine } = await setup()
    const agent = await makeAgent(engine)

    await engine.transaction(async (tx) => {
      const sessions = handleOf(tx, 'sessions')
      const { id } = (await sessions.create({})).resource
      const error = await failureOf(() => sessions.send(id, { type: 'complete' }))
      expect(error).toMatchObject({ code: 'illegal_transition' })
      await handleOf(tx, 'agents').send(agent.id, { type: 'update', name: 'B' })
    })

    expect(typesOf(await publicLog(engine))).toEqual([
      ...['agent.created', 'session.queued', 'agent.updated'],
    ])
  })
})

describe('a throw', () => {
  test('rolls everything back, and is passed on as it is', async () => {
    const { engine, raw } = await setup()
    const agent = await makeAgent(engine)
    const before = { log: await fullLog(engine), timers: await allTimers(engine) }
    const mind = new Error('the user changed her mind')

    const error = await caught(() =>
      engine.transaction(async (tx) => {
        await handleOf(tx, 'sessions').create({})
        await handleOf(tx, 'agents').send(agent.id, { type: 'delete' })
        await note(tx, agent.id)
        throw mind
      }),
    )

    expect(error).toBe(mind)
    expect({ log: await fullLog(engine), timers: await allTimers(engine) }).toEqual(before)
    expect(await handleOf(engine, 'agents').get(agent.id)).toEqual(agent)
    expect((await handleOf(engine, 'sessions').list()).data).toEqual([])
    expect(notesIn(raw)).toEqual([])
    expect(await engine.verify()).toMatchObject({ ok: true })
  })

  test('of a command that is refused rolls everything back', async () => {
    const { engine, raw } = await setup()

    const error = await failureOf(
      engine.transaction(async (tx) => {
        const { resource } = await handleOf(tx, 'sessions').create({})
        await note(tx, resource.id)
        await handleOf(tx, 'sessions').send(resource.id, { type: 'complete' })
      }),
    )

    expect(error).toMatchObject({ code: 'illegal_transition', command: 'complete' })
    expect([...notesIn(raw), ...(await fullLog(engine))]).toEqual([])
  })

  test('of the user’s own SQL rolls everything back', async () => {
    const { engine, raw } = await setup()

    await caught(() =>
      engine.transaction(async (tx) => {
        await handleOf(tx, 'sessions').create({})
        await tx.db
          .insertInto('notes')
          .values({ id: 'a', text: null as unknown as string, n: 1 })
          .execute()
      }),
    )

    expect([...notesIn(raw), ...(await fullLog(engine))]).toEqual([])
    expect((await makeAgent(engine)).version).toBe(1)
  })

  test('leaves no hole in the log', async () => {
    const { engine } = await setup()
    for (let round = 0; round < 3; round++) {
      await caught(() => engine.transaction((tx) => handleOf(tx, 'sessions').create({}).then(fail)))
      await makeAgent(engine)
    }

    expect((await fullLog(engine)).map(({ seq }) => seq)).toEqual([1, 2, 3])
    await expectVerified(engine)
  })

  test('runs no action of a machine; a commit runs it once', async () => {
    const rung: string[] = []
    const machine = setupMachine({
      actions: { ring: ({ event }) => void rung.push(event.type) },
    }).createMachine({ initial: 'calm', states: { calm: { on: { go: { actions: 'ring' } } } } })
    const { engine } = await setup(withThings(machine))
    const { id } = (await handleOf(engine, 'things').create({})).resource
    const go = (tx: AnyTransaction) => handleOf(tx, 'things').send(id, { type: 'go' })

    await caught(() => engine.transaction((tx) => go(tx).then(fail)))
    expect(rung).toEqual([])
    await engine.transaction(async (tx) => {
      await go(tx)
      expect(rung).toEqual([])
    })

    expect(rung).toEqual(['go'])
  })

  test('is never seen by a subscriber, nor is what is not yet committed', async () => {
    const { engine } = await setup()
    const next = follow(engine, {}).next()
    const inside = gate()
    const goOn = gate()

    const working = engine.transaction(async (tx) => {
      await handleOf(tx, 'sessions').create({})
      inside.open()
      await goOn.opened
      fail()
    })
    await inside.opened
    await turns(20)
    goOn.open()
    await caught(() => working)
    const { id } = await makeAgent(engine)

    expect((await next).value).toMatchObject({ seq: 1, resource_id: id })
  })
})

describe('while a transaction is open', () => {
  async function openOne(engine: AnyEngine, end: () => void = () => {}) {
    const inside = gate()
    const goOn = gate()
    const working = engine.transaction(async (tx) => {
      const { id } = (await handleOf(tx, 'agents').create({ name: 'inner' })).resource
      inside.open()
      await goOn.opened
      await handleOf(tx, 'agents').send(id, { type: 'update', name: 'still inner' })
      end()
      return id
    })
    const settled = working.catch((error: Error) => error.message)
    await inside.opened
    return { settled, finish: goOn.open }
  }

  test('commands of others wait their turn', async () => {
    const { engine } = await setup()
    const { settled, finish } = await openOne(engine)

    const outer = Promise.all([makeSession(engine), makeSession(engine)])
    await turns(20)
    finish()
    await Promise.all([settled, outer])

    expect(typesOf(await publicLog(engine))).toEqual([
      ...['agent.created', 'agent.updated', 'session.queued', 'session.queued'],
    ])
  })

  test('reads of others see nothing of it that may go again', async () => {
    const { engine } = await setup()
    const { settled, finish } = await openOne(engine, fail)

    const reads = Promise.all([
      publicLog(engine),
      handleOf(engine, 'agents')
        .list()
        .then(({ data }) => data),
    ])
    await turns(20)
    finish()

    expect(await settled).toBe('the user changed her mind')
    expect(await reads).toEqual([[], []])
  })

  test('timers wait their turn', async () => {
    const { engine } = await setup()
    const session = await makeSession(engine)
    const { settled, finish } = await openOne(engine)

    const advancing = engine.clock.advance('5m')
    await turns(20)
    finish()
    await Promise.all([settled, advancing])

    expect((await handleOf(engine, 'sessions').get(session.id)).status).toBe('failed')
    await expectVerified(engine)
  })

  test('another engine on the file waits as well', async () => {
    const { database, engine } = await setup()
    const other = await setupRealEngine({ database })
    const { settled, finish } = await openOne(engine)

    const outer = makeSession(other)
    await turns(20)
    finish()
    await Promise.all([settled, outer])

    expect(typesOf(await publicLog(other)).at(-1)).toBe('session.queued')
  })

  test('closing the engine waits for it or ends it as a whole', async () => {
    const { database, engine, raw } = await setup()
    const inside = gate()
    const goOn = gate()
    const working = engine.transaction(async (tx) => {
      await note(tx, 'a')
      await handleOf(tx, 'sessions').create({})
      inside.open()
      await goOn.opened
    })
    const settled = Promise.allSettled([working])
    await inside.opened

    const closing = engine.close()
    goOn.open()
    const [result] = await settled
    await closing

    const count = result?.status === 'fulfilled' ? 1 : 0
    expect(notesIn(raw)).toHaveLength(count)
    const again = await setupEngine({ database })
    expect(await publicLog(again)).toHaveLength(count)
  })
})

test('transactions come one after the other: none is lost', async () => {
  const { engine, raw } = await setup()
  raw.prepare("insert into notes values ('counter', '', 0)").run()

  const counting = Array.from({ length: 12 }, () =>
    engine.transaction(async (tx) => {
      const { n } = await tx.db.selectFrom('notes').select('n').executeTakeFirstOrThrow()
      await setImmediate()
      await tx.db
        .updateTable('notes')
        .set({ n: n + 1 })
        .execute()
    }),
  )
  await Promise.all(counting)

  expect(notesIn(raw)).toEqual([{ id: 'counter', text: '', n: 12 }])
})
