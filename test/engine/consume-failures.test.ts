import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PawlError } from '../../src/index.ts'
import { consume, keeping, setupNotes } from '../support/consumers.ts'
import {
  type AnyEngine,
  type Handler,
  openEngine,
  publicLog,
  setupEngine,
  setupRealEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { makeAgents } from '../support/follow.ts'
import { notesIn } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { gate, until } from '../support/until.ts'

/** Waits until a consumer has so many parked events, and gives them. */
async function untilParked(engine: AnyEngine, name: string, count: number) {
  await until(async () => (await parkedOf(engine, name)).length >= count, 'the parked event')
  return engine.consumers.parked(name)
}

/** What a consumer has parked; nothing while nobody has heard of it. */
async function parkedOf(engine: AnyEngine, name: string) {
  return engine.consumers.parked(name).catch(() => [])
}

function never(): Promise<never> {
  return new Promise(() => {})
}

describe('a handler that fails', () => {
  test('is tried again with the same event before the next one', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 2)
    const calls: unknown[] = []

    consume(engine, 'mailer', {}, ({ seq }, { attempt }) => {
      calls.push([seq, attempt])
      if (seq === 1 && attempt < 3) throw new Error('not now')
    })
    await until(() => calls.length >= 4)

    expect(calls).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 1],
    ])
    expect(await engine.consumers.parked('mailer')).toEqual([])
  })

  test('waits before it is tried again', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 1)
    const times: number[] = []

    consume(engine, 'mailer', { backoff: 80 }, () => {
      times.push(performance.now())
      if (times.length < 3) throw new Error('not now')
    })
    await until(() => times.length >= 3)

    const [first = 0, second = 0, third = 0] = times
    expect(Math.min(second - first, third - second)).toBeGreaterThan(35)
  })

  test.each<[string, Handler]>([
    ['throws', () => raise()],
    ['rejects', async () => raise()],
    ['throws what is no error', () => raiseText()],
  ])('and %s has its event parked in the end, and the others go on', async (_, fail) => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 3)
    const { seen, handler, untilSeen } = keeping()
    const [, second, third] = await publicLog(engine)

    consume(engine, 'mailer', { tries: 3 }, (event, handling) =>
      event.seq === 2 ? fail(event, handling) : handler(event, handling),
    )
    await untilSeen(2)

    const parked = await engine.consumers.parked('mailer')
    expect(parked).toMatchObject([{ event_id: second?.id, attempts: 3 }])
    expect(JSON.stringify(parked)).toContain('no such address')
    expect(seen[1]).toEqual(third)
  })

  test('leaves nothing of what it wrote', async () => {
    const { engine, raw } = await setupNotes()
    await makeAgents(engine, 1)

    consume(engine, 'mailer', { tries: 2 }, async ({ id }, { tx }) => {
      await tx.db.insertInto('notes').values({ id, text: 'half', n: 1 }).execute()
      throw new Error('no such address')
    })
    await untilParked(engine, 'mailer', 1)

    expect(notesIn(raw)).toEqual([])
  })

  test('by a command that is refused and not caught counts as well', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 1)

    consume(engine, 'mailer', { tries: 1 }, ({ resource_id }, { tx }) => {
      const { agents } = tx as unknown as { agents: { send(...all: unknown[]): unknown } }
      return agents.send(resource_id, { type: 'update', name: 5 })
    })

    expect(JSON.stringify(await untilParked(engine, 'mailer', 1))).toContain('name')
  })

  test('with what another engine throws has failed, though trying again might help', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 1)

    const { stop } = consume(engine, 'mine', { tries: 2 }, () => {
      throw new PawlError('storage_busy', 'somebody else has it', { operation: 'write' })
    })

    const [parked] = await untilParked(engine, 'mine', 1)
    expect(parked).toMatchObject({ attempts: 2, error: expect.stringContaining('somebody else') })
    await stop()
  })

  test('stays parked over a restart', async () => {
    const { database, engine } = await setupNotes()
    await makeAgents(engine, 1)
    const { stop } = consume(engine, 'mailer', { tries: 1 }, raise)
    const parked = await untilParked(engine, 'mailer', 1)
    await stop()
    await engine.close()

    const again = await setupRealEngine({ database })
    const { seen, handler, untilSeen } = keeping()
    consume(again, 'mailer', {}, handler)
    await makeAgents(again, 1)
    await untilSeen(1)

    expect(seen.map(({ seq }) => seq)).toEqual([2])
    expect(await again.consumers.parked('mailer')).toEqual(parked)
  })
})

function raise(): never {
  throw new Error('no such address')
}

function raiseText(): never {
  const thrown: unknown = 'no such address'
  throw thrown
}

describe('a parked event', () => {
  async function parkOne() {
    const { engine } = await setupNotes()
    await makeAgents(engine, 1)
    let healthy = false
    const { seen, handler, untilSeen } = keeping()
    const { stop } = consume(engine, 'mailer', { tries: 1 }, (event, handling) =>
      healthy ? handler(event, handling) : raise(),
    )
    const [parked] = await untilParked(engine, 'mailer', 1)
    const heal = () => {
      healthy = true
    }
    return { engine, id: parked?.event_id ?? '', heal, seen, untilSeen, stop }
  }

  test('is handled when it is retried, and parked no longer', async () => {
    const { engine, id, heal, seen, untilSeen } = await parkOne()
    heal()

    await engine.consumers.retry('mailer', id)
    await untilSeen(1)

    expect(seen.map((event) => event.id)).toEqual([id])
    await until(async () => (await parkedOf(engine, 'mailer')).length === 0, 'the empty list')
    await makeAgents(engine, 1)
    await untilSeen(2)
    expect(seen.map(({ seq }) => seq)).toEqual([1, 2])
  })

  test('is parked again when it still fails', async () => {
    const { engine, id } = await parkOne()

    await engine.consumers.retry('mailer', id)

    expect(await untilParked(engine, 'mailer', 1)).toMatchObject([{ event_id: id }])
  })

  test('that is retried while nobody runs is handled by who comes next', async () => {
    const { engine, id, stop } = await parkOne()
    await stop()
    const next = keeping()

    await engine.consumers.retry('mailer', id)
    consume(engine, 'mailer', {}, next.handler)
    await next.untilSeen(1)

    expect(next.seen.map((event) => event.id)).toEqual([id])
  })

  test('that does not exist cannot be retried', async () => {
    const { engine } = await parkOne()

    const calls = [
      engine.consumers.retry('mailer', 'evt_none'),
      engine.consumers.retry('nobody', 'evt_none'),
    ]

    for (const call of calls) expect((await failureOf(call)).code).toBe('not_found')
  })
})

describe('a handler that never returns', () => {
  test('is ended by its lease, and its event is parked', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 2)
    const signals: AbortSignal[] = []
    const { handler, untilSeen } = keeping()

    consume(engine, 'mailer', { lease: '100ms', tries: 2 }, (event, handling) => {
      if (event.seq === 2) return handler(event, handling)
      signals.push(handling.signal)
      return never()
    })
    await untilSeen(1)

    const [first] = await publicLog(engine)
    const parked = await engine.consumers.parked('mailer')
    expect(parked).toMatchObject([{ event_id: first?.id, attempts: 2 }])
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
  })

  test('does not keep the engine from closing', async () => {
    const { database, engine } = await setupNotes()
    await makeAgents(engine, 1)
    const called = gate()
    const { settled } = consume(engine, 'mailer', { lease: 200 }, () => {
      called.open()
      return never()
    })
    await called.opened

    await engine.close()
    await settled

    const again = await setupRealEngine({ database })
    const { seen, handler, untilSeen } = keeping()
    consume(again, 'mailer', {}, handler)
    await untilSeen(1)
    expect(seen).toHaveLength(1)
  })

  test('hears that its consumer stops', async () => {
    const { engine } = await setupNotes()
    await makeAgents(engine, 1)
    const called = gate()
    const { stop } = consume(engine, 'mailer', {}, async (_, { signal }) => {
      called.open()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      signal.throwIfAborted()
    })
    await called.opened

    await stop()

    const { seen, handler, untilSeen } = keeping()
    consume(engine, 'mailer', {}, handler)
    await untilSeen(1)
    expect(seen.map(({ seq }) => seq)).toEqual([1])
  })
})

describe('two runners of one name', () => {
  test('take turns: the second stands by and goes on where the first stopped', async () => {
    const { database, engine } = await setupNotes()
    const other = await setupRealEngine({ database })
    const [first, second] = [keeping(), keeping()]
    const one = consume(engine, 'mailer', { lease: 500 }, first.handler)
    await makeAgents(engine, 1)
    await first.untilSeen(1)

    consume(other, 'mailer', { lease: 500 }, second.handler)
    await makeAgents(other, 20)
    await first.untilSeen(21)
    expect(second.seen).toEqual([])
    await one.stop()
    await makeAgents(engine, 5)
    await second.untilSeen(5)

    expect([...first.seen, ...second.seen]).toEqual(await publicLog(engine))
  })

  test('never handle one event both, however often they change', async () => {
    const { database, engine, raw } = await setupNotes()
    const engines = [
      engine,
      await setupRealEngine({ database }),
      await setupRealEngine({ database }),
    ]
    const write: Handler = ({ id }, { tx }) =>
      tx.db.insertInto('notes').values({ id, text: 'once', n: 1 }).execute()
    const options = { lease: 200 }
    const runners = engines.map((each) => ({ each, run: consume(each, 'mailer', options, write) }))

    for (let round = 0; round < 9; round++) {
      await makeAgents(engine, 5)
      const runner = runners[round % 3]
      await runner?.run.stop()
      if (runner) runner.run = consume(runner.each, 'mailer', options, write)
    }
    await until(() => notesIn(raw).length >= 45, 'the last note')

    const log = await publicLog(engine)
    expect(notesIn(raw)).toEqual(log.map(({ id }) => ({ id, text: 'once', n: 1 })))
  })

  test('are runners of different processes as well: one that is killed is replaced', async () => {
    const { database, engine } = await setupNotes()
    await makeAgents(engine, 2)
    const script = fileURLToPath(new URL('../support/following-process.ts', import.meta.url))
    const child = fork(script, ['hold', database], { execArgv: ['--import', 'tsx'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const [held] = await once(child, 'message')
    const { seen, handler, untilSeen } = keeping()

    consume(engine, 'mailer', { lease: 400 }, handler)
    child.kill('SIGKILL')
    await untilSeen(2)

    expect(seen[0]?.id).toBe(held)
    expect(seen).toEqual(await publicLog(engine))
  })
})

describe('a consumer that is stopped', () => {
  test.each(['while it waits', 'before it begins'])('by a signal %s is settled', async (when) => {
    const { engine } = await setupNotes()
    const { seen, handler, untilSeen } = keeping()
    const options = when === 'before it begins' ? { signal: AbortSignal.abort() } : {}
    await makeAgents(engine, 1)

    const { stop, settled } = consume(engine, 'mailer', options, handler)
    if (when === 'while it waits') await untilSeen(1)
    await (when === 'while it waits' ? stop() : settled)
    await makeAgents(engine, 1)

    expect(seen).toHaveLength(when === 'while it waits' ? 1 : 0)
  })

  test('with its engine is settled', async () => {
    const { engine } = await setupNotes()
    const { handler, untilSeen } = keeping()
    await makeAgents(engine, 1)
    const consumers = ['a', 'b', 'c'].map((name) => consume(engine, name, {}, handler))
    await untilSeen(3)

    await engine.close()

    for (const { settled } of consumers) expect(await settled).toHaveLength(1)
  })
})

describe('a consumer is refused', () => {
  test.each([
    ['', {}],
    ['x'.repeat(1000), {}],
    ['\ud800', {}],
    [5, {}],
    ['mailer', { tries: 0 }],
    ['mailer', { tries: 1.5 }],
    ['mailer', { lease: 50 }],
    ['mailer', { lease: 'soon' }],
    ['mailer', { backoff: -1 }],
    ['mailer', { backoff: 'soon' }],
    ['mailer', { from: 'garbage' }],
    ['mailer', { type: 'session.exploded' }],
    ['mailer', { type: [] }],
    ['mailer', { signal: 'stop' }],
    ['mailer', { leese: '30s' }],
  ])('with the name %j and %j', async (name, options) => {
    const engine = await setupEngine()

    const error = await failureOf(async () => engine.consume(name as string, options, () => {}))

    expect(error.code).toBe('invalid_input')
  })

  test('without a handler', async () => {
    const engine = await setupEngine()
    const handler = undefined as unknown as Handler

    const error = await failureOf(async () => engine.consume('mailer', {}, handler))

    expect(error.code).toBe('invalid_input')
  })

  test('when the engine has been closed', async () => {
    const engine = await openEngine({ database: temporaryFile() })
    await engine.close()

    const calls = [
      async () => engine.consume('mailer', {}, () => {}),
      async () => engine.consumers.list(),
      async () => engine.consumers.parked('mailer'),
      async () => engine.consumers.retry('mailer', 'evt_1'),
    ]

    for (const call of calls) expect((await failureOf(call)).code).toBe('closed')
  })
})
