import { describe, expect, test } from 'vitest'
import {
  type AnyTestEngine,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
  typesOf,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeAgent, makeRunningRun, makeSession, sessionOf } from '../support/world.ts'

async function idsOf(options: { seed: number }): Promise<string[]> {
  const engine = await openEngine(options)
  await makeRunningRun(engine)
  const log = await fullLog(engine)
  await engine.close()
  return log.flatMap((entry) => [entry.id, entry.resource_id])
}

describe('a seed', () => {
  test('decides every id', async () => {
    const first = await idsOf({ seed: 7 })

    expect(await idsOf({ seed: 7 })).toEqual(first)
    expect(await idsOf({ seed: 8 })).not.toEqual(first)
  })

  test('gives new ids when the same file is opened again', async () => {
    const options = { database: temporaryFile(), seed: 7 }
    const engine = await openEngine(options)
    const before = await makeAgent(engine)

    const again = await reopen(engine, options)
    const after = await makeAgent(again)

    expect(after.id).not.toBe(before.id)
    expect((await handleOf(again, 'agents').list()).data).toHaveLength(2)
    await again.close()
  })
})

describe('the clock', () => {
  async function failedAt(engine: AnyTestEngine): Promise<string[]> {
    const { data } = await engine.events.list({ type: 'session.failed', order: 'asc' })
    return data.map((event) => event.created_at)
  }

  test('stands still until it is moved', async () => {
    const engine = await setupEngine({ now: new Date('2030-05-01T12:00:00Z') })

    await makeSession(engine)

    expect(engine.clock.now()).toEqual(new Date('2030-05-01T12:00:00Z'))
    await engine.clock.advance('90s')
    await engine.clock.advance(500)
    expect(engine.clock.now()).toEqual(new Date('2030-05-01T12:01:30.500Z'))
  })

  test('shows each timer its own time, and fires those that timers set', async () => {
    const engine = await setupEngine({ now: new Date('2030-05-01T12:00:00Z') })
    await makeSession(engine)
    await engine.clock.advance('1m')
    const run = await makeRunningRun(engine)
    await handleOf(engine, 'sessions').send(sessionOf(run), { type: 'end' })

    await engine.clock.advance('1d')

    expect(await failedAt(engine)).toEqual(['2030-05-01T12:05:00.000Z', '2030-05-01T12:06:00.000Z'])
  })

  test('is not moved back', async () => {
    const engine = await setupEngine()

    expect((await failureOf(async () => engine.clock.advance(-1))).code).toBe('invalid_input')
    expect((await failureOf(async () => engine.clock.advance('soon'))).code).toBe('invalid_input')
  })

  test('goes on over a restart, and overdue timers fire in order of due time', async () => {
    const options = { database: temporaryFile() }
    const engine = await openEngine(options)
    const late = await makeSession(engine)
    await engine.clock.advance('10s')
    const later = await makeSession(engine)
    const now = new Date(engine.clock.now().getTime() + 24 * 60 * 60 * 1000)
    await engine.close()

    const again = await openEngine({ ...options, now })
    await again.clock.advance(0)

    const log = await fullLog(again)
    expect(typesOf(log).slice(-2)).toEqual(['session.failed', 'session.failed'])
    expect(log.slice(-2).map((entry) => entry.resource_id)).toEqual([late.id, later.id])
    await again.close()
  })
})
