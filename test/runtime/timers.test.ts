import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type AnyStateMachine, assign, createMachine, type StateValue } from 'xstate'
import { createEngine } from '../../src/index.ts'
import { type AnyEngine, type AnyTimer, allTimers, handleOf } from '../support/engine.ts'
import { temporaryFile } from '../support/temp.ts'
import { explode, openThing, rootCause, withThings } from '../support/things.ts'

const DAY = 86_400_000

/** A machine that leaves its first state after some time, and rings when it has. */
function late(delay: number, ring: (value: StateValue) => unknown = () => {}): AnyStateMachine {
  return createMachine(
    { initial: 'calm', states: { calm: { after: { [delay]: 'late' } }, late: { entry: 'ring' } } },
    { actions: { ring: () => void ring('late') } },
  )
}

/** A promise, and what fulfills it after `times` calls. */
function signal(times = 1) {
  let left = times
  let fulfill = () => {}
  const rung = new Promise<void>((resolve) => {
    fulfill = resolve
  })
  const ring = () => {
    left -= 1
    if (left === 0) fulfill()
  }
  return { ring, rung }
}

/** An engine on the clock of the machine, which closes with the test. */
async function openReal(machine: AnyStateMachine, options: object = {}): Promise<AnyEngine> {
  const all = { database: ':memory:', ...withThings(machine), ...options }
  const engine: unknown = await createEngine(all)
  onTestFinished(() => (engine as AnyEngine).close())
  return engine as AnyEngine
}

async function createThing(engine: AnyEngine): Promise<string> {
  return (await handleOf(engine, 'things').create({})).resource.id
}

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Lets the event loop turn until a moment has passed. */
async function until(time: number): Promise<void> {
  while (Date.now() < time) await turnOfTheLoop()
}

type ListedTimer = AnyTimer & { readonly attempts: number; readonly last_error: string | null }

async function timersOf(engine: AnyEngine): Promise<ListedTimer[]> {
  return (await allTimers(engine)) as ListedTimer[]
}

describe('an engine that is started', () => {
  test('fires what is overdue', async () => {
    const { ring, rung } = signal(3)
    const engine = await openReal(late(1, ring))
    for (let i = 0; i < 3; i++) await createThing(engine)

    await engine.start()
    await rung

    expect(await timersOf(engine)).toEqual([])
  })

  test('wakes for a timer that is set while it waits', async () => {
    const { ring, rung } = signal()
    const engine = await openReal(late(2, ring))
    await engine.start()
    await turnOfTheLoop()

    const id = await createThing(engine)
    await rung

    expect(await handleOf(engine, 'things').get(id)).toMatchObject({ status: 'late', version: 2 })
  })

  test('fires no timer before its time', async () => {
    const { ring, rung } = signal()
    const engine = await openReal(late(15, ring))
    await engine.start()

    const id = await createThing(engine)
    await rung

    const { created_at, updated_at } = await handleOf(engine, 'things').get(id)
    expect(Date.parse(updated_at) - Date.parse(created_at)).toBeGreaterThanOrEqual(15)
  })

  test('fires timers that other connections have set', async () => {
    const database = temporaryFile()
    const { ring, rung } = signal()
    const engine = await openReal(late(1, ring), { database })
    await engine.start()
    const other = await openReal(late(1), { database })

    const id = await createThing(other)
    await rung

    expect((await handleOf(other, 'things').get(id)).status).toBe('late')
  })

  test('can be started twice', async () => {
    const { ring, rung } = signal()
    const engine = await openReal(late(1, ring))

    await engine.start()
    await engine.start()
    await createThing(engine)

    await rung
  })
})

describe('an engine that is stopped', () => {
  test('fires nothing, and goes on when it is started again', async () => {
    const { ring, rung } = signal()
    const engine = await openReal(late(1, ring))
    await engine.start()
    await engine.stop()

    await createThing(engine)
    await until(Date.now() + 5)

    expect(await timersOf(engine)).toHaveLength(1)
    await engine.start()
    await rung
    expect(await timersOf(engine)).toEqual([])
  })

  test('fires what is due when it is told to', async () => {
    const engine = await openReal(late(1))
    await createThing(engine)
    await until(Date.now() + 5)

    expect(await engine.tick()).toEqual({ fired: 1 })
    expect(await engine.tick()).toEqual({ fired: 0 })
  })

  test('can be stopped twice, or without having been started', async () => {
    const engine = await openReal(late(1))

    await engine.stop()
    await engine.start()
    await Promise.all([engine.stop(), engine.stop()])
  })

  test('has stopped, even if it is started again at once, and then goes on', async () => {
    const { ring, rung } = signal()
    const engine = await openReal(late(1, ring))
    await engine.start()
    await turnOfTheLoop()

    const stopping = engine.stop()
    await engine.start()
    await stopping

    await createThing(engine)
    await rung
  })

  test.each(['close', 'stop'])(
    'leaves nothing behind: the process ends by itself after %s',
    async (how) => {
      const script = fileURLToPath(new URL('./exiting-process.ts', import.meta.url))
      const child = spawn(process.execPath, ['--import', 'tsx', script, how], { stdio: 'inherit' })
      onTestFinished(() => void child.kill())

      const [code] = await once(child, 'exit')

      expect(code).toBe(0)
    },
  )
})

describe('a timer that fails', () => {
  /** A thing whose timer throws as long as its n is not 0. */
  async function setup() {
    const errors: unknown[] = []
    const machine = createMachine({
      context: { n: 0 },
      initial: 'calm',
      states: {
        calm: {
          on: { go: { actions: assign({ n: ({ event }) => event.n }) } },
          after: { 10: 'late' },
        },
        late: { entry: assign(({ context }) => (context.n > 0 ? explode() : {})) },
      },
    })
    const onError = (error: unknown) => errors.push(error)
    const opened = await openThing(machine, {}, { onError })
    await opened.things.send(opened.id, { type: 'go', n: 1 })
    return { ...opened, errors }
  }

  test('is listed with how often and why, at its own due time', async () => {
    const { engine, id, errors } = await setup()

    await engine.clock.advance(10)

    expect(await timersOf(engine)).toEqual([
      {
        ...{ resource_id: id, name: '10', due_at: '2026-01-01T00:00:00.010Z', attempts: 1 },
        last_error: expect.stringContaining('the machine exploded'),
      },
    ])
    expect(errors.map(rootCause)).toEqual(['the machine exploded'])
  })

  test('waits twice as long each time, up to an hour', async () => {
    const { engine } = await setup()
    const attempts: number[] = []

    await engine.clock.advance(10)
    for (const seconds of [
      0.999, 0.001, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3599, 1, 3600,
    ]) {
      await engine.clock.advance(seconds * 1000)
      attempts.push((await timersOf(engine))[0]?.attempts ?? 0)
    }

    expect(attempts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 13, 14, 15])
  })

  test('is tried again, and is gone when it succeeds', async () => {
    const { engine, things, id } = await setup()
    await engine.clock.advance(10)

    await things.send(id, { type: 'go', n: 0 })
    await engine.clock.advance('1s')

    expect((await things.get(id)).status).toBe('late')
    expect(await timersOf(engine)).toEqual([])
  })

  test('holds up none of the others, before or after it', async () => {
    const { engine, things } = await setup()
    const others = await Promise.all(Array.from({ length: 300 }, () => createThing(engine)))

    await engine.clock.advance(10)

    const statuses = await Promise.all(others.map(async (id) => (await things.get(id)).status))
    expect(new Set(statuses)).toEqual(new Set(['late']))
    expect(await timersOf(engine)).toHaveLength(1)
  })

  test('since the database does not take its row is postponed like any other', async () => {
    const database = new Sqlite(':memory:')
    onTestFinished(() => void database.close())
    const { engine } = await openThing(late(10), {}, { database })
    database.exec(`
      create trigger poison before update on pawl_resources when new.status = 'late'
      begin select raise(abort, 'never late'); end
    `)

    await engine.clock.advance(10)

    expect(await timersOf(engine)).toMatchObject([{ attempts: 1 }])
  })
})

describe('a timer that is far away', () => {
  test('fires to the millisecond, after 400 days', async () => {
    const { engine, things, id } = await openThing(late(400 * DAY))

    await engine.clock.advance(400 * DAY - 1)
    const before = (await things.get(id)).status
    await engine.clock.advance(1)

    expect(before).toBe('calm')
    expect(await things.get(id)).toMatchObject({
      status: 'late',
      updated_at: '2027-02-05T00:00:00.000Z',
    })
  })

  test('does not overflow the timers of Node: it stays set while the engine runs', async () => {
    const engine = await openReal(late(400 * DAY))
    await engine.start()

    const id = await createThing(engine)
    await until(Date.now() + 20)

    expect((await handleOf(engine, 'things').get(id)).status).toBe('calm')
    expect(await timersOf(engine)).toHaveLength(1)
  })
})
