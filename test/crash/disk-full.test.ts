import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { consume } from '../support/consumers.ts'
import {
  type AnyTestEngine,
  collect,
  expectVerified,
  fullLog,
  handleOf,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { caught } from '../support/errors.ts'
import { makeNotes, notesIn } from '../support/raw.ts'
import { until } from '../support/until.ts'
import { surviveFullDisk } from './filling-disk.ts'
import { numberFrom, report, sizeFor } from './settings.ts'
import { canMakeSmallDisks, makeSmallDisk } from './small-disk.ts'

const SEEDS = numberFrom('PAWL_FULL_DISKS', sizeFor({ quick: 1, ci: 3, deep: 50 }))
const SEED = numberFrom('PAWL_SEED', Date.now() % 1_000_000)

const onSmallDisks = test.runIf(canMakeSmallDisks('a full disk'))

const STORAGE_FULL = { code: 'storage_full', retryable: true }

/** An engine with an agent and a session, on a disk that is not yet full. */
async function setup() {
  const disk = makeSmallDisk()
  const database = join(disk.folder, 'pawl.db')
  const engine = await setupEngine({ database })
  const { resource: agent } = await handleOf(engine, 'agents').create({ name: 'before' })
  const { resource: session } = await handleOf(engine, 'sessions').create({})
  return { disk, database, engine, agent, session }
}

async function expectFull(engine: AnyTestEngine): Promise<void> {
  const failed = await caught(() => handleOf(engine, 'agents').create({ name: 'while' }))
  expect(failed).toMatchObject(STORAGE_FULL)
}

describe('a full disk', () => {
  onSmallDisks('refuses calls with storage_full, and takes them when there is room', async () => {
    const { disk, engine } = await setup()
    disk.fill(0)
    await expectFull(engine)
    disk.clear()
    await handleOf(engine, 'agents').create({ name: 'after' })
    expect(typesOf(await fullLog(engine, { type: 'agent.*' }))).toHaveLength(2)
    await expectVerified(engine)
  })

  onSmallDisks('keeps nobody from reading, following and verifying', async () => {
    const { disk, engine, agent } = await setup()
    const { resource: other } = await handleOf(engine, 'agents').create({ name: 'followed' })
    const following = new AbortController()
    onTestFinished(() => following.abort())
    const events = engine.events.subscribe({ from: 'start', signal: following.signal })
    const follower = events[Symbol.asyncIterator]()
    expect(await follower.next()).toMatchObject({ value: { type: 'agent.created' } })
    disk.fill(0)
    await expectFull(engine)

    const agents = handleOf(engine, 'agents')
    expect(await agents.get(agent.id)).toEqual(agent)
    expect(await agents.at(agent.id, 1)).toEqual(agent)
    expect(await collect(await agents.list())).toHaveLength(2)
    expect(typesOf((await agents.history(other.id)).data)).toEqual(['agent.created'])
    expect(await fullLog(engine)).toHaveLength(3)
    expect(await follower.next()).toMatchObject({ value: { type: 'session.queued' } })
    expect(await follower.next()).toMatchObject({ value: { resource_id: other.id } })
    const next = follower.next()
    await expectVerified(engine)
    disk.clear()
    const { resource: late } = await agents.create({ name: 'after' })
    expect(await next).toMatchObject({ value: { resource_id: late.id } })
  })

  onSmallDisks('delays a timer until there is room, and then it fires once', async () => {
    const { disk, engine, session } = await setup()
    disk.fill(0)
    expect(await caught(() => engine.clock.advance('10m'))).toMatchObject(STORAGE_FULL)
    const sessions = handleOf(engine, 'sessions')
    expect(await sessions.get(session.id)).toEqual(session)
    disk.clear()
    await engine.tick()
    await engine.tick()
    expect(await sessions.get(session.id)).toMatchObject({ status: 'failed' })
    expect(await fullLog(engine, { type: 'session.failed' })).toHaveLength(1)
    await expectVerified(engine)
  })

  onSmallDisks('is no reason to park what a consumer is at', async () => {
    const disk = makeSmallDisk()
    const database = join(disk.folder, 'pawl.db')
    const errors: unknown[] = []
    const onError = (error: unknown) => void errors.push(error)
    const engine = await setupEngine({ database, onError })
    const raw = makeNotes(database)
    const agents = handleOf(engine, 'agents')
    for (const name of ['a', 'b', 'c']) await agents.create({ name })
    const attempts: number[] = []
    disk.fill(0)
    const { stop } = consume(engine, 'notes', { tries: 2 }, async (event, { tx, attempt }) => {
      attempts.push(attempt)
      const note = { id: event.id, text: 'x'.repeat(5000), n: event.seq }
      await tx.db.insertInto('notes').values(note).execute()
    })
    onTestFinished(stop)
    const isDone = () => notesIn(raw).length === 3
    const goOn = (until: () => boolean) => async () => {
      await engine.clock.advance('1s')
      await turn()
      return until()
    }
    // At first there is no room for the lease, then not for a note, then not for all of them.
    for (const pages of [0, 1, 2, 3, 4, 6, 8]) {
      const before = errors.length
      disk.fill(pages * 4096)
      await until(
        goOn(() => errors.length >= before + 2 || isDone()),
        'a failure',
      )
    }
    disk.clear()
    await until(goOn(isDone), 'the last note')
    await stop()
    expect(notesIn(raw)).toMatchObject([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(attempts.length).toBeGreaterThan(3)
    expect(new Set(attempts)).toEqual(new Set([1]))
    expect(await engine.consumers.parked('notes')).toEqual([])
    for (const error of errors) expect(error).toMatchObject(STORAGE_FULL)
    await expectVerified(engine)
  })

  onSmallDisks('says so when a database is opened on it', async () => {
    const { disk, database, engine } = await setup()
    await engine.close()
    disk.fill(0)
    expect(await caught(() => setupEngine({ database }))).toMatchObject(STORAGE_FULL)
    const another = join(disk.folder, 'another.db')
    expect(await caught(() => setupEngine({ database: another }))).toMatchObject(STORAGE_FULL)
    disk.clear()
    await expectVerified(await setupEngine({ database }))
    await expectVerified(await setupEngine({ database: another }))
  })

  onSmallDisks(
    `that fills and empties again and again loses nothing, with ${SEEDS} seeds`,
    {
      timeout: 60_000 + SEEDS * 10_000,
    },
    async () => {
      const sum = { calls: 0, refused: 0 }
      for (let seed = SEED; seed < SEED + SEEDS; seed++) {
        const { calls, refused } = await surviveFullDisk(seed)
        sum.calls += calls
        sum.refused += refused
      }
      report(
        `a full disk: seeds ${SEED} to ${SEED + SEEDS - 1}, ${sum.calls} calls, ` +
          `${sum.refused} times storage_full, each settled in the end`,
      )
      expect(sum.refused).toBeGreaterThan(0)
    },
  )
})
