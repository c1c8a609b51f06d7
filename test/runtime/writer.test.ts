import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createMachine } from 'xstate'
import type { Base, Commit } from '../../src/context.ts'
import { planCreate, planSend } from '../../src/core/plan.ts'
import { ask, type Plan } from '../../src/core/questions.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type { Run } from '../../src/core/run.ts'
import { createIds } from '../../src/ids.ts'
import { createKeys } from '../../src/runtime/keys.ts'
import { createWriter } from '../../src/runtime/writer.ts'
import { openSqliteStore } from '../../src/store/sqlite/store.ts'
import { failureOf } from '../support/errors.ts'
import { thing } from '../support/things.ts'

const caller = { tenant: 'default', actor: null, correlationId: null }

/** A writer on a real store, with the results of its transactions counted, and the raw database. */
async function setup(
  actions: Readonly<Record<string, () => unknown>> = {},
  batchMs = Number.POSITIVE_INFINITY,
) {
  const database = new Sqlite(':memory:')
  const opened = await openSqliteStore({ database, durability: 'relaxed', busyTimeout: 0 })
  onTestFinished(() => void database.close())
  const machine = createMachine(
    {
      context: ({ input }: { input: { name?: string } }) => ({ name: input.name ?? '' }),
      initial: 'calm',
      states: { calm: { on: { go: { target: 'gone', actions: 'act' } } }, gone: {} },
    } as object,
    { actions: { act: () => {}, ...actions } },
  )
  const registry = createRegistry({ things: thing(machine) }, (structure) => structure)
  const ids = createIds(1)
  const commits: Commit[] = []
  const errors: unknown[] = []
  const counted = { transactions: 0 }
  const base: Base = {
    registry,
    ids,
    store: {
      ...opened,
      transact: (plan) => {
        counted.transactions += 1
        return opened.transact(plan)
      },
    },
    identity: 'test',
    clock: { now: () => new Date(0), alarm: () => () => {} },
    keys: createKeys([], ids),
    limits: { bytes: 1000, depth: 10 },
    batchMs,
    listeners: new Set([(commit: Commit) => void commits.push(commit)]),
    onError: (error) => void errors.push(error),
  }
  const kind = registry.byType.get('thing') ?? expect.fail()
  const writer = createWriter(base)
  const request = { kind, expectedVersion: null, idempotency: null }
  return {
    ...{ database, counted, commits, errors, writer },
    create: (id: string, name = id) =>
      writer.submit(caller, (run) => planCreate(run, { ...request, id, input: { name } })),
    send: (id: string, type = 'go') =>
      writer.submit(caller, (run) => planSend(run, { ...request, id, command: { type } })),
    stored: () => database.prepare('select id from pawl_resources order by id').pluck().all(),
  }
}

// biome-ignore lint/correctness/useYield: a plan that has no question
function* nothing(): Plan<string> {
  return 'done'
}

/** A plan that takes some milliseconds of work. */
function working(milliseconds: number) {
  // biome-ignore lint/correctness/useYield: a plan that has no question
  return function* (): Plan<void> {
    const end = performance.now() + milliseconds
    while (performance.now() < end);
  }
}

function explodeWith(error: unknown): never {
  throw error
}

describe('calls that arrive together', () => {
  test('share one transaction, and are told of one commit', async () => {
    const { counted, commits, create, stored } = await setup()
    const ids = Array.from({ length: 64 }, (_, i) => `thg_${String(i).padStart(2, '0')}`)

    await Promise.all(ids.map((id) => create(id)))

    expect(counted.transactions).toBe(1)
    expect(commits).toHaveLength(1)
    expect(commits.flatMap(({ entries }) => entries.map(({ resourceId }) => resourceId))).toEqual(
      ids,
    )
    expect(stored()).toEqual(ids)
  })

  test('see what those before them in the same transaction have decided', async () => {
    const { counted, create, send } = await setup()

    const [, sent, refused] = await Promise.all([
      create('thg_1'),
      send('thg_1'),
      failureOf(send('thg_1')),
    ])

    expect(sent.value).toMatchObject({ fresh: { resource: { status: 'gone', version: 2 } } })
    expect(refused).toMatchObject({ code: 'illegal_transition', status: 'gone' })
    expect(counted.transactions).toBe(1)
  })

  test('are settled in their order, each with what became of the entries', async () => {
    const { create } = await setup()
    const order: string[] = []

    const calls = ['thg_1', 'thg_2', 'thg_3'].map(async (id) => {
      const { value, entries } = await create(id)
      order.push(id)
      return 'fresh' in value ? [...entries.values()].map(({ seq }) => seq) : []
    })

    expect(await Promise.all(calls)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ])
    expect(order).toEqual(['thg_1', 'thg_2', 'thg_3'])
  })

  test.each([
    ['take long', 2],
    ['take longer than a transaction may', 6],
  ])(
    'that %s are spread over transactions, and the event loop turns between them',
    async (_, milliseconds) => {
      const { counted, writer } = await setup({}, 5)
      let turns = 0
      const turn = () => {
        turns += 1
        if (turns < 1000) setImmediate(turn)
      }
      setImmediate(turn)

      await Promise.all(
        Array.from({ length: 12 }, () => writer.submit(caller, working(milliseconds))),
      )
      const turned = turns
      turns = 1000

      expect(counted.transactions).toBeGreaterThanOrEqual(4)
      expect(turned).toBeGreaterThanOrEqual(counted.transactions - 1)
    },
  )

  test('are no more than 512 to a transaction', async () => {
    const { counted, writer } = await setup()

    await Promise.all(Array.from({ length: 1025 }, () => writer.submit(caller, nothing)))

    expect(counted.transactions).toBe(3)
  })

  test('that write nothing commit nothing', async () => {
    const { commits, database, writer, send } = await setup()
    const changes = database.prepare('select total_changes()').pluck()
    const before = changes.get()

    const [done, refused] = await Promise.all([
      writer.submit(caller, nothing),
      failureOf(send('thg_1')),
    ])

    expect(done.value).toBe('done')
    expect(refused.code).toBe('not_found')
    expect([commits, changes.get()]).toEqual([[], before])
  })
})

describe('a call that fails', () => {
  test('while it is planned leaves the others alone', async () => {
    const { counted, create, stored, writer } = await setup()
    const throwing = (): Plan<never> => {
      throw new Error('the plan failed')
    }

    const failing = writer.submit(caller, throwing)
    const calls = [create('thg_1'), create('thg_2')]

    await expect(failing).rejects.toThrow('the plan failed')
    await Promise.all(calls)
    expect(stored()).toEqual(['thg_1', 'thg_2'])
    expect(counted.transactions).toBe(1)
  })

  test('after it has decided leaves nothing behind', async () => {
    const { create, stored, writer } = await setup()
    const halfway = function* (run: Run): Plan<never> {
      yield* ask({ ask: 'head' })
      run.overlay.timers.push({ change: 'fired', position: 1 })
      throw new Error('halfway')
    }

    const failing = writer.submit(caller, halfway)
    await create('thg_1')

    await expect(failing).rejects.toThrow('halfway')
    expect(stored()).toEqual(['thg_1'])
  })

  test('while it is written is told so, and the others are written all the same', async () => {
    const { database, create, stored } = await setup()
    database.exec(`
      create trigger poison before insert on pawl_resources when new.context like '%poison%'
      begin select raise(abort, 'no poison here'); end
    `)

    const calls = [create('thg_1'), create('thg_2', 'poison'), create('thg_3')]
    const settled = await Promise.allSettled(calls)

    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(settled[1]).toMatchObject({
      reason: { code: 'storage_failed', cause: { message: 'no poison here' } },
    })
    expect(stored()).toEqual(['thg_1', 'thg_3'])
    expect(database.prepare('select seq from pawl_events').pluck().all()).toEqual([1, 2])
  })
})

describe('the actions of a machine', () => {
  test('run after the commit, once, even where a batch had to be written again', async () => {
    const seen: unknown[] = []
    const { database, create, send } = await setup({
      act: () => seen.push(database.inTransaction),
    })
    database.exec(`
      create trigger poison before insert on pawl_resources when new.context like '%poison%'
      begin select raise(abort, 'no poison here'); end
    `)

    const calls = [create('thg_1'), send('thg_1'), create('thg_2', 'poison')]
    await Promise.allSettled(calls)

    expect(seen).toEqual([false])
  })

  test('that throw or reject are told to onError, and to nobody else', async () => {
    const failures = [new Error('it threw'), new Error('it rejected')]
    const acts = [() => explodeWith(failures[0]), () => Promise.reject(failures[1])]
    const { errors, create, send } = await setup({ act: () => acts.shift()?.() })
    await Promise.all([create('thg_1'), create('thg_2')])

    const sent = await Promise.all([send('thg_1'), send('thg_2')])
    await new Promise(setImmediate)

    expect(sent).toMatchObject([{ value: { fresh: {} } }, { value: { fresh: {} } }])
    expect(errors).toEqual(failures)
  })
})

describe('closing', () => {
  test('waits for the calls that have been made, and refuses those that come later', async () => {
    const { writer, create, stored } = await setup()
    const calls = [create('thg_1'), create('thg_2')]

    const closing = writer.close()
    const late = failureOf(create('thg_3'))
    await closing

    expect(stored()).toEqual(['thg_1', 'thg_2'])
    await Promise.all(calls)
    expect(await late).toMatchObject({ code: 'closed' })
  })

  test('at rest is done at once', async () => {
    const { writer } = await setup()

    await expect(writer.close()).resolves.toBe(undefined)
  })
})

describe('calls that come one after the other in one turn', () => {
  test('of one caller are committed one by one, without waiting for the turn', async () => {
    const { counted, create } = await setup()
    let turns = 0
    setImmediate(() => {
      turns += 1
    })

    for (const id of ['thg_1', 'thg_2', 'thg_3']) await create(id)

    expect([counted.transactions, turns]).toEqual([3, 0])
  })

  test('of several callers share a commit from the second on', async () => {
    const { counted, create, stored } = await setup()
    const chain = async (name: string) => {
      for (let n = 0; n < 3; n += 1) await create(`thg_${name}${n}`)
    }

    await Promise.all(['a', 'b', 'c', 'd'].map(chain))

    expect(counted.transactions).toBe(3)
    expect(stored()).toHaveLength(12)
  })
})
