import type { Kysely } from 'kysely'
import { assertType, describe, expectTypeOf, test } from 'vitest'
import type { AgentPlatform } from '../../machines/index.ts'
import type { Consumer, Engine, ParkedEvent } from '../../src/index.ts'

declare const engine: Engine<AgentPlatform>

type AnyEvent = Awaited<ReturnType<typeof engine.events.get>>

/** The application's own tables. */
interface Invoice {
  readonly id: string
  readonly cents: number
}
type Tables = Record<'invoices', Invoice>

describe('a subscription', () => {
  test('gives events that their type tells apart', async () => {
    const events = engine.events.subscribe({ from: 'start' })
    expectTypeOf(events).toEqualTypeOf<AsyncIterableIterator<AnyEvent>>()

    for await (const event of events) {
      if (event.type === 'session.idle') {
        expectTypeOf(event.data.runtime_ms).toEqualTypeOf<number | null>()
        // @ts-expect-error a session has no name
        assertType(event.data.name)
      }
      if (event.type === 'agent.updated') expectTypeOf(event.data.object).toEqualTypeOf<'agent'>()
      // @ts-expect-error there is no such event
      if (event.type === 'session.gone') assertType(event)
    }
  })

  test('takes types, patterns and places that there are', () => {
    const { signal } = new AbortController()
    engine.events.subscribe()
    engine.events.subscribe({ type: 'session.*', from: 'now', signal })
    engine.events.subscribe({ type: ['session.idle', 'task_run.*'], from: new Date() })
    engine.events.subscribe({ resource: 'sess_1', tenant: '*', from: 'evt_1' })

    // @ts-expect-error a type is a text
    engine.events.subscribe({ type: 5 })
    engine.events.subscribe({ from: 5 })
    // @ts-expect-error misspelt
    engine.events.subscribe({ form: 'start' })
    // @ts-expect-error all that follows has no limit
    engine.events.subscribe({ limit: 5 })
  })

  test('is that of a tenant as well, and of no transaction', async () => {
    expectTypeOf(engine.tenant('acme').events.subscribe).toEqualTypeOf<
      typeof engine.events.subscribe
    >()

    await engine.transaction(async (tx) => {
      // @ts-expect-error a transaction does not wait for others
      assertType(tx.events.subscribe)
    })
  })
})

describe('a consumer', () => {
  test('is given events that their type tells apart, its transaction and its attempt', () => {
    const consuming = engine.consume('mailer', {}, (event, { tx, attempt, signal }) => {
      expectTypeOf(event).toEqualTypeOf<AnyEvent>()
      expectTypeOf(attempt).toEqualTypeOf<number>()
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
      expectTypeOf(tx.tasks).toEqualTypeOf<typeof engine.tasks>()
      if (event.type === 'task_run.completed') {
        expectTypeOf(event.data.object).toEqualTypeOf<'task_run'>()
        // @ts-expect-error runs have no website
        assertType(event.data.website)
      }
    })
    expectTypeOf(consuming).toEqualTypeOf<Promise<void>>()
  })

  test('may do anything with an event, at once or later', () => {
    void engine.consume('mailer', {}, () => {})
    void engine.consume('mailer', {}, async () => 5)
    void engine.tenant('acme').consume('mailer', {}, (event) => event.id)

    // @ts-expect-error a consumer needs a handler
    void engine.consume('mailer', {})
    // @ts-expect-error a consumer needs a name
    void engine.consume({}, () => {})
  })

  test('takes the options that there are', () => {
    const options = { from: 'now', tries: 3, backoff: '2s', lease: 500 } as const
    void engine.consume('mailer', { ...options, type: ['session.*', 'task.created'] }, () => {})

    // @ts-expect-error a type is a text
    void engine.consume('mailer', { type: ['session.idle', 5] }, () => {})
    // @ts-expect-error not a duration
    void engine.consume('mailer', { lease: 'soon' }, () => {})
    // @ts-expect-error misspelt
    void engine.consume('mailer', { leese: '30s' }, () => {})
    // @ts-expect-error a consumer is not about one resource
    void engine.consume('mailer', { resource: 'sess_1' }, () => {})
  })

  test('is listed with what it has put aside', () => {
    expectTypeOf(engine.consumers.list).returns.resolves.toEqualTypeOf<readonly Consumer[]>()
    expectTypeOf(engine.consumers.parked).returns.resolves.toEqualTypeOf<readonly ParkedEvent[]>()
    expectTypeOf(engine.consumers.retry).parameters.toEqualTypeOf<[string, string]>()
    expectTypeOf(engine.consumers.remove).parameters.toEqualTypeOf<[string]>()
    expectTypeOf(engine.tenant('acme').consumers).toEqualTypeOf<typeof engine.consumers>()
    expectTypeOf<Consumer['position']>().toEqualTypeOf<number>()
    expectTypeOf<Consumer['next_attempt_at']>().toEqualTypeOf<string | null>()
    expectTypeOf<ParkedEvent['error']>().toEqualTypeOf<string>()

    // @ts-expect-error which event?
    void engine.consumers.retry('mailer')
  })
})

describe('a transaction', () => {
  test('has the handles of the engine, and gives what its work gives', async () => {
    const given = engine.transaction(async (tx) => {
      expectTypeOf(tx.taskRuns).toEqualTypeOf<typeof engine.taskRuns>()
      expectTypeOf(tx.tenant('acme').sessions).toEqualTypeOf<typeof engine.sessions>()
      tx.tasks.send('task_1', { type: 'promote' })
      // @ts-expect-error tasks do not start
      tx.tasks.send('task_1', { type: 'start' })
      return (await tx.sessions.create()).resource.status
    })

    expectTypeOf(await given).toEqualTypeOf<
      'queued' | 'running' | 'idle' | 'completing' | 'completed' | 'failed'
    >()
  })

  test('has no life of its own, and none in it', async () => {
    await engine.transaction(async (tx) => {
      // @ts-expect-error it ends with its work
      assertType(tx.close)
      // @ts-expect-error a transaction has none in it
      assertType(tx.transaction)
      // @ts-expect-error a consumer outlives it
      assertType(tx.consume)
      // @ts-expect-error the same tenant once more
      assertType(tx.tenant('acme').db)
    })
  })

  test('reaches tables whose types are named, or any', async () => {
    await engine.transaction(async ({ db }) => {
      const own = db.withTables<Tables>()
      expectTypeOf(own).toExtend<Kysely<Tables>>()
      const [invoice] = await own.selectFrom('invoices').selectAll().execute()
      expectTypeOf(invoice).toEqualTypeOf<{ id: string; cents: number } | undefined>()
      own.insertInto('invoices').values({ id: 'a', cents: 5 })
      db.insertInto('whatever').values({ anything: true })

      // @ts-expect-error cents are a number
      own.insertInto('invoices').values({ id: 'a', cents: '5' })
      // @ts-expect-error there is no such column
      own.selectFrom('invoices').select('dollars')
    })
  })
})

describe('secrets', () => {
  test('are revealed by name, as what they are', () => {
    expectTypeOf(
      engine.credentials.reveal('cred_1', { actor: { type: 'user', id: 'u' } }),
    ).resolves.toEqualTypeOf<Readonly<Record<string, unknown>>>()

    // @ts-expect-error only who asks, and for what
    void engine.credentials.reveal('cred_1', { expectedVersion: 1 })
  })

  test('are encrypted anew, and told how many', () => {
    expectTypeOf(engine.rotateKeys).returns.resolves.toEqualTypeOf<{ readonly rotated: number }>()
    expectTypeOf(engine.backup).toEqualTypeOf<(path: string) => Promise<void>>()
    // @ts-expect-error an operator does that
    assertType(engine.tenant('acme').rotateKeys)
  })
})
