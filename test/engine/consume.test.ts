import { describe, expect, test } from 'vitest'
import { consume, keeping, setupNotes } from '../support/consumers.ts'
import { type AnyEngine, handleOf, publicLog, setupRealEngine, typesOf } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { makeAgents } from '../support/follow.ts'
import { notesIn } from '../support/raw.ts'
import { gate, until } from '../support/until.ts'
import { makeAgent, makeRunningRun, makeSession } from '../support/world.ts'

describe('a consumer', () => {
  test('is given history, then what happens, in order', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 20)
    const { seen, handler, untilSeen } = keeping()

    consume(engine, 'mailer', {}, handler)
    await Promise.all([makeAgents(engine, 20), makeRunningRunOf(engine), makeAgents(engine, 20)])
    const log = await publicLog(engine)
    await untilSeen(log.length)

    expect(seen).toEqual(log)
  })

  test('goes on where it stopped', async () => {
    const { engine } = await setupNotes()
    const first = keeping()
    const second = keeping()
    await makeAgents(engine, 5)
    const one = consume(engine, 'mailer', {}, first.handler)
    await first.untilSeen(5)
    await one.stop()
    await makeAgents(engine, 5)

    consume(engine, 'mailer', { from: 'start' }, second.handler)
    await second.untilSeen(5)

    expect([...first.seen, ...second.seen]).toEqual(await publicLog(engine))
  })

  test('goes on where it stopped when the file is opened again', async () => {
    const { database, engine } = await setupNotes()
    const first = keeping()
    const second = keeping()
    await makeAgents(engine, 5)
    const { settled } = consume(engine, 'mailer', {}, first.handler)
    await first.untilSeen(5)
    await engine.close()
    await settled

    const again = await setupRealEngine({ database })
    await makeAgents(again, 3)
    consume(again, 'mailer', {}, second.handler)
    await second.untilSeen(3)

    expect([...first.seen, ...second.seen]).toEqual(await publicLog(again))
  })

  test('has a position of its own under each name', async () => {
    const { engine } = await setupNotes()
    const [mailer, auditor] = [keeping(), keeping()]
    await makeAgents(engine, 5)

    consume(engine, 'mailer', {}, mailer.handler)
    consume(engine, 'auditor', {}, auditor.handler)
    await Promise.all([mailer.untilSeen(5), auditor.untilSeen(5)])

    expect(mailer.seen).toEqual(auditor.seen)
    const listed = JSON.stringify(await engine.consumers.list())
    for (const name of ['mailer', 'auditor']) expect(listed).toContain(`"${name}"`)
  })

  test('is given only the types that it asks for', async () => {
    const { engine } = await setupNotes()
    const { seen, handler, untilSeen } = keeping()

    consume(engine, 'mailer', { type: ['session.*', 'task.created'] }, handler)
    await makeRunningRunOf(engine)
    await makeSession(engine)
    await untilSeen(4)

    expect(typesOf(seen)).toEqual([
      ...['task.created', 'session.queued', 'session.running', 'session.queued'],
    ])
  })

  test('begins after an event, or after a time, or now', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 4)
    const log = await publicLog(engine)
    const [fromEvent, fromNow] = [keeping(), keeping()]

    consume(engine, 'a', { from: log[1]?.id }, fromEvent.handler)
    consume(engine, 'b', { from: 'now', type: 'session.*' }, fromNow.handler)
    await fromEvent.untilSeen(2)
    await until(async () => JSON.stringify(await engine.consumers.list()).includes('"b"'))
    const { id } = await makeSession(engine)
    await fromNow.untilSeen(1)
    await fromEvent.untilSeen(3)

    expect(fromEvent.seen.slice(0, 2)).toEqual(log.slice(2))
    expect(fromNow.seen.map((event) => event.resource_id)).toEqual([id])
  })

  test('sees what other engines commit on the file', async () => {
    const { database, engine } = await setupNotes()
    const other = await setupRealEngine({ database })
    const { seen, handler, untilSeen } = keeping()

    consume(engine, 'mailer', {}, handler)
    for (let count = 1; count <= 5; count++) {
      await makeAgents(other, 1)
      await untilSeen(count)
    }

    expect(seen).toEqual(await publicLog(other))
  })

  test('may call the engine itself: it is answered, not kept waiting', async () => {
    const { engine } = await setupNotes()
    const answers: string[] = []
    await makeAgents(engine, 1)

    consume(engine, 'mailer', { type: 'agent.*', tries: 1 }, async () => {
      const call = await Promise.allSettled([makeSession(engine)])
      answers.push(call[0].status)
    })
    await until(() => answers.length > 0, 'the answer')

    expect(answers).toHaveLength(1)
  })
})

/** Starts a run without a credential, which needs no key. */
async function makeRunningRunOf(engine: AnyEngine): Promise<void> {
  const website = { url: 'https://source.example' }
  const source = await handleOf(engine, 'sources').create({ type: 'website', website })
  await makeRunningRun(engine, { source_id: source.resource.id })
}

describe('what a handler writes', () => {
  test('commits with the position: rows and commands', async () => {
    const { engine, raw } = await setupNotes()
    const { id } = await makeAgent(engine)

    consume(engine, 'mailer', { type: 'session.queued' }, async (event, { tx }) => {
      await tx.db.insertInto('notes').values({ id: event.id, text: event.type, n: 1 }).execute()
      const description = event.resource_id
      await handleOf(tx, 'agents').send(id, { type: 'update', description })
    })
    const sessions = [await makeSession(engine), await makeSession(engine)]
    await until(async () => (await handleOf(engine, 'agents').get(id)).version === 3)

    const log = await publicLog(engine, { type: ['session.queued', 'agent.updated'] })
    expect(notesIn(raw)).toEqual(
      log
        .filter(({ type }) => type === 'session.queued')
        .map((event) => ({ id: event.id, text: 'session.queued', n: 1 })),
    )
    const described = log.filter(({ type }) => type === 'agent.updated')
    expect(described.map(({ data }) => data.description)).toEqual(sessions.map((each) => each.id))
  })

  test('is there once for each event, whatever fails on the way', async () => {
    const { engine, raw } = await setupNotes()
    await makeAgents(engine, 10)
    let calls = 0

    consume(engine, 'mailer', { type: 'agent.*' }, async ({ id }, { tx, attempt }) => {
      calls += 1
      await tx.db.insertInto('notes').values({ id, text: 'seen', n: attempt }).execute()
      await handleOf(tx, 'sessions').create({})
      if (calls % 3 !== 0) throw new Error('not now')
    })
    await until(() => notesIn(raw).length >= 10, 'the notes')

    const agents = await publicLog(engine, { type: 'agent.created' })
    expect(notesIn(raw)).toEqual(agents.map(({ id }) => ({ id, text: 'seen', n: 3 })))
    expect(await publicLog(engine, { type: 'session.queued' })).toHaveLength(10)
  })

  test('after its attempt has ended is refused and left out', async () => {
    const { engine, raw } = await setupNotes()
    await makeAgents(engine, 1)
    const late = gate()
    const refusals: Promise<unknown>[] = []

    consume(engine, 'mailer', { lease: 150 }, async ({ id }, { tx, attempt }) => {
      const values = { id, text: 'written', n: attempt }
      if (attempt === 1) {
        await late.opened
        const writing = async () => tx.db.insertInto('notes').values(values).execute()
        refusals.push(
          failureOf(writing),
          failureOf(async () => handleOf(tx, 'sessions').create({})),
        )
        await Promise.allSettled(refusals)
      } else {
        await tx.db.insertInto('notes').values(values).execute()
      }
    })
    await until(() => notesIn(raw).length > 0, 'the second attempt')
    late.open()
    await until(() => refusals.length === 2, 'the first attempt')

    for (const refusal of await Promise.all(refusals)) {
      expect(refusal).toMatchObject({ code: 'transaction_misuse' })
    }
    expect(notesIn(raw)).toMatchObject([{ n: 2 }])
    expect(await publicLog(engine)).toHaveLength(1)
  })
})
