import { assertType, describe, expectTypeOf, test } from 'vitest'
import { createMachine, emit, setup } from 'xstate'
import { z } from 'zod'
import type { AgentPlatform } from '../../machines/index.ts'
import {
  createEngine,
  defineResource,
  type Engine,
  type ErrorDetails,
  type Event,
  type Issue,
  isPawlError,
  type MigrationReport,
  type Outcome,
  type PruneReport,
  type RefusalReason,
  type Resource,
  type VerificationDifference,
} from '../../src/index.ts'
import { createTestEngine } from '../../src/testing.ts'

declare const engine: Engine<AgentPlatform>
declare const error: unknown

describe('a command', () => {
  test('has to be one of the resource, with its payload', () => {
    engine.tasks.send('task_1', { type: 'promote' })
    engine.taskRuns.send('trun_1', { type: 'complete', output: { total: 12 } })

    // @ts-expect-error tasks do not start
    engine.tasks.send('task_1', { type: 'start' })
    // @ts-expect-error the payload is missing
    engine.taskRuns.send('trun_1', { type: 'fail' })
    // @ts-expect-error a name is a text
    engine.tasks.send('task_1', { type: 'update', name: 5 })
    // @ts-expect-error there is no such field
    engine.tasks.send('task_1', { type: 'update', nmae: 'A' })
    // @ts-expect-error a command needs a type
    engine.tasks.send('task_1', {})
  })

  test('that is internal cannot be sent', () => {
    // @ts-expect-error runs send it
    engine.sessions.send('sess_1', { type: 'run_attached', run_id: 'trun_1' })
    // @ts-expect-error as little as it can be explained
    engine.sessions.explain('sess_1', { type: 'run_settled', run_id: 'trun_1' })
  })

  test('is given to trySend and explain alike', () => {
    engine.tasks.trySend('task_1', { type: 'demote' })
    engine.tasks.explain('task_1', { type: 'demote' })

    // @ts-expect-error tasks do not start
    engine.tasks.trySend('task_1', { type: 'start' })
  })

  test('takes the options that there are', () => {
    engine.tasks.send('task_1', { type: 'promote' }, { expectedVersion: 1, idempotencyKey: 'k' })

    // @ts-expect-error misspelt
    engine.tasks.send('task_1', { type: 'promote' }, { expectVersion: 1 })
    // @ts-expect-error a create has no version to expect
    engine.agents.create({ name: 'A' }, { expectedVersion: 1 })
  })

  test('is among those that accepts names', () => {
    type Accepted = Awaited<ReturnType<typeof engine.tasks.accepts>>[number]
    expectTypeOf<Accepted>().toEqualTypeOf<'update' | 'promote' | 'demote' | 'reset' | 'delete'>()
  })
})

describe('create', () => {
  test('needs no input where nothing in it is required', () => {
    engine.sessions.create()
    engine.sessions.create({}, { idempotencyKey: 'k' })

    // @ts-expect-error a task has a name and an agent
    engine.tasks.create()
    // @ts-expect-error a task has an agent
    engine.tasks.create({ name: 'A' })
    // @ts-expect-error there is no such field
    engine.tasks.create({ name: 'A', agent_id: 'agt_1', colour: 'red' })
  })
})

describe('an engine', () => {
  test('has the properties of its resources and its own, and no others', () => {
    expectTypeOf(engine.tick).returns.resolves.toEqualTypeOf<{ readonly fired: number }>()

    // @ts-expect-error there is no such resource
    assertType(engine.invoices)
    // @ts-expect-error subscribe or consume
    assertType(engine.on)
  })

  test('of a tenant has the same resources, and no life of its own', () => {
    const scope = engine.tenant('acme')
    expectTypeOf(scope.tasks).toEqualTypeOf<typeof engine.tasks>()

    // @ts-expect-error only the engine is closed
    assertType(scope.close)
    // @ts-expect-error a tenant has no tenants
    assertType(scope.tenant)
  })

  test('is that of the agent platform by default, and can be tested', () => {
    expectTypeOf(createEngine({ database: 'a.db' })).resolves.toEqualTypeOf<Engine<AgentPlatform>>()
    expectTypeOf(createTestEngine()).resolves.toExtend<Engine<AgentPlatform>>()

    // @ts-expect-error a database is needed
    void createEngine({})
    // @ts-expect-error neither full nor relaxed
    void createEngine({ database: 'a.db', durability: 'none' })
    // @ts-expect-error not a duration
    void createEngine({ database: 'a.db', busyTimeout: 'soon' })
  })
})

describe('a resource', () => {
  type Session = Awaited<ReturnType<typeof engine.sessions.get>>
  type Run = Awaited<ReturnType<typeof engine.taskRuns.get>>

  test('has the statuses of its machine', () => {
    expectTypeOf<Session['status']>().toEqualTypeOf<
      'queued' | 'running' | 'idle' | 'completing' | 'completed' | 'failed'
    >()
    expectTypeOf<Awaited<ReturnType<typeof engine.tasks.get>>['status']>().toEqualTypeOf<
      'learning' | 'test' | 'live' | 'deleted'
    >()
  })

  test('has the common fields, and those of its context but for private ones', () => {
    expectTypeOf<Session['object']>().toEqualTypeOf<'session'>()
    expectTypeOf<Session['version']>().toEqualTypeOf<number>()
    expectTypeOf<Session['created_at']>().toEqualTypeOf<string>()
    expectTypeOf<Session['runtime_ms']>().toEqualTypeOf<number | null>()
    expectTypeOf<Session>().not.toHaveProperty('started_at')
    expectTypeOf<Run>().not.toHaveProperty('timeout_seconds')
  })

  test('may be missing for find only', () => {
    expectTypeOf(engine.sessions.find('sess_1')).resolves.toEqualTypeOf<Session | undefined>()
    expectTypeOf<Outcome<Session>['resource']>().toEqualTypeOf<Session>()
  })

  test('is read as it was at a place of the log or at a time', async () => {
    const { at, get } = engine.tasks
    expectTypeOf(at).returns.toEqualTypeOf<ReturnType<typeof get>>()
    expectTypeOf(at).parameter(1).toEqualTypeOf<number | Date | string>()
    // @ts-expect-error there is no moment by default
    at('task_1')
  })

  test('is read, never written', () => {
    const session = {} as Session

    // @ts-expect-error a status changes by commands
    session.status = 'idle'
  })
})

describe('an event', () => {
  type AnyEvent = Awaited<ReturnType<typeof engine.events.get>>

  test('is told apart by its type, which narrows its data', () => {
    const event = {} as AnyEvent

    if (event.type === 'session.idle') {
      expectTypeOf(event.data.object).toEqualTypeOf<'session'>()
      expectTypeOf(event.data.runtime_ms).toEqualTypeOf<number | null>()
      expectTypeOf(event.data).not.toHaveProperty('version')
      expectTypeOf(event.data).not.toHaveProperty('started_at')
      // @ts-expect-error a session has no name
      assertType(event.data.name)
    }
    if (event.type === 'task.updated') expectTypeOf(event.data.object).toEqualTypeOf<'task'>()
    // @ts-expect-error there is no such event
    if (event.type === 'session.gone') assertType(event)
  })

  test('comes with every outcome, of any resource', () => {
    type Sent = Awaited<ReturnType<typeof engine.tasks.send>>
    expectTypeOf<Sent['events']>().toEqualTypeOf<readonly AnyEvent[]>()
  })

  test('has a type that is not narrowed in a history, where entries are internal too', () => {
    type Entry = Awaited<ReturnType<typeof engine.sessions.history>>['data'][number]
    expectTypeOf<Entry['type']>().toEqualTypeOf<string>()
    expectTypeOf<Entry['previous_status']>().toEqualTypeOf<string | null>()
    expectTypeOf<Entry>().toExtend<Event>()
  })
})

describe('a list', () => {
  test('filters by the statuses and reference fields of the resource', () => {
    engine.taskRuns.list({ status: 'running', session_id: 'sess_1', limit: 5, order: 'asc' })
    engine.taskRuns.list({ status: ['running', 'failed'], created_after: new Date() })

    // @ts-expect-error no status of a run
    engine.taskRuns.list({ status: 'learning' })
    // @ts-expect-error no status of a run
    engine.taskRuns.list({ status: ['running', 'learning'] })
    // @ts-expect-error no reference of a session
    engine.sessions.list({ task_id: 'task_1' })
    // @ts-expect-error neither asc nor desc
    engine.sessions.list({ order: 'up' })
    // @ts-expect-error an id is a text
    engine.taskRuns.list({ session_id: 5 })
  })

  test('is a page, and can be gone through', async () => {
    const pages = engine.sessions.list()
    type Session = Awaited<ReturnType<typeof engine.sessions.get>>

    expectTypeOf((await pages).data).toEqualTypeOf<readonly Session[]>()
    expectTypeOf((await pages).next_cursor).toEqualTypeOf<string | null>()
    for await (const session of pages) expectTypeOf(session).toEqualTypeOf<Session>()
  })

  test('of timers has no order', () => {
    void engine.timers.list({ resource: 'sess_1', tenant: '*' })

    // @ts-expect-error those due first come first
    void engine.timers.list({ order: 'asc' })
  })
})

describe('a resource of your own', () => {
  const nothing = z.strictObject({})
  const document = defineResource({
    type: 'document',
    prefix: 'doc',
    input: z.object({ title: z.string(), pages: z.number().default(1) }),
    commands: { submit: nothing, sign: z.object({ by: z.string() }), inner: nothing },
    internal: ['inner'],
    references: { author_id: 'agent', editor_id: { type: 'agent' } },
    private: ['draft'],
    summary: ['title'],
    machine: setup({
      types: {
        context: {} as { title: string; draft: string; signed_by: string | null },
        emitted: {} as { type: 'document.submitted' | 'document.signed' },
      },
    }).createMachine({
      context: { title: '', draft: '', signed_by: null },
      initial: 'writing',
      states: {
        writing: { initial: 'sketch', states: { sketch: {}, polished: {} } },
        review: {
          type: 'parallel',
          states: {
            legal: { initial: 'open', states: { open: {}, done: {} } },
            style: { initial: 'open', states: { open: {}, done: {} } },
          },
        },
        signed: { type: 'final', entry: emit({ type: 'document.signed' }) },
      },
    }),
  })
  const engineOf = () => createEngine({ database: ':memory:', resources: { documents: document } })
  type Own = Awaited<ReturnType<typeof engineOf>>
  type Document = Resource<typeof document>
  const own = {} as Own

  test('has the innermost states as statuses, and the parallel one where regions begin', () => {
    expectTypeOf<Document['status']>().toEqualTypeOf<'sketch' | 'polished' | 'review' | 'signed'>()
  })

  test('has its own input, commands, fields and references', () => {
    own.documents.create({ title: 'A' })
    own.documents.send('doc_1', { type: 'sign', by: 'me' })
    own.documents.list({ author_id: 'agt_1', editor_id: 'agt_2', status: 'review' })
    expectTypeOf<Document['signed_by']>().toEqualTypeOf<string | null>()
    expectTypeOf<Document>().not.toHaveProperty('draft')

    // @ts-expect-error a title is needed
    own.documents.create({})
    // @ts-expect-error internal
    own.documents.send('doc_1', { type: 'inner' })
    // @ts-expect-error the payload is missing
    own.documents.send('doc_1', { type: 'sign' })
    // @ts-expect-error regions have no status of their own
    own.documents.list({ status: 'open' })
    // @ts-expect-error only what is registered is there
    assertType(own.sessions)
  })

  test('has events that show its summary', () => {
    type Own = Awaited<ReturnType<typeof own.events.get>>
    expectTypeOf<Own['type']>().toEqualTypeOf<'document.submitted' | 'document.signed'>()
    expectTypeOf<Own['data']['title']>().toEqualTypeOf<string>()
    expectTypeOf<Own['data']>().not.toHaveProperty('signed_by')
  })

  test('stands beside those of the platform', async () => {
    const both = await createEngine({
      database: ':memory:',
      resources: { documents: document, ...({} as AgentPlatform) },
    })
    const event = await both.events.get('evt_1')

    if (event.type === 'document.signed') expectTypeOf(event.data.title).toEqualTypeOf<string>()
    if (event.type === 'session.idle') assertType<number | null>(event.data.runtime_ms)
    both.sessions.create()
  })

  test('names its statuses itself if it wants to', () => {
    const machine = createMachine({ context: {}, initial: 'a', states: { a: {} } })
    const named = defineResource({
      ...{ type: 'named', prefix: 'nam', input: nothing, commands: {}, machine },
      status: () => 'open' as 'open' | 'shut',
    })

    expectTypeOf<Resource<typeof named>['status']>().toEqualTypeOf<'open' | 'shut'>()
  })

  test('can show and reserve only what it has', () => {
    const machine = setup({ types: { context: {} as { a: number } } }).createMachine({
      context: { a: 1 },
    })
    const parts = {
      type: 'x',
      prefix: 'x',
      input: nothing,
      commands: { go: nothing },
      machine,
    } as const

    // @ts-expect-error no field of the context
    defineResource({ ...parts, summary: ['b'] })
    // @ts-expect-error no command
    defineResource({ ...parts, internal: ['b'] })
  })

  test('migrates what earlier versions were, whose types are its own', async () => {
    const machine = createMachine({ context: { n: 1 }, initial: 'a', states: { a: {} } })
    const parts = { type: 'x', prefix: 'x', input: nothing, commands: {}, machine } as const
    interface Old {
      readonly value: 'b' | 'c'
      readonly context: { readonly m: number }
    }

    defineResource({
      ...parts,
      version: 3,
      migrate: {
        1: ({ value, context }) => {
          expectTypeOf(value).toBeUnknown()
          return { value, context: { ...context, m: 1 } }
        },
        2: ({ context }: Old) => ({ value: 'a', context: { n: context.m } }),
      },
    })
    // @ts-expect-error a migration gives a context too
    defineResource({ ...parts, migrate: { 1: ({ value }) => ({ value }) } })
    expectTypeOf(await engine.migrate({ dryRun: true })).toEqualTypeOf<MigrationReport>()
  })
})

describe('the whole database', () => {
  test('is checked, and its log shortened', async () => {
    const { differences, checked } = await engine.verify({ onProgress: ({ events }) => events })
    expectTypeOf(differences).toEqualTypeOf<readonly VerificationDifference[]>()
    expectTypeOf(checked.timers).toEqualTypeOf<number>()
    expectTypeOf(await engine.prune({ events: '30d' })).toEqualTypeOf<PruneReport>()
    // @ts-expect-error no duration
    await engine.prune({ events: '3 weeks' })
    // @ts-expect-error how long events are kept has to be said
    await engine.prune({})
  })
})

describe('isPawlError', () => {
  test('narrows to the data of a code', () => {
    if (isPawlError(error, 'illegal_transition')) {
      expectTypeOf(error.reason).toEqualTypeOf<RefusalReason>()
      expectTypeOf(error.details).toEqualTypeOf<ErrorDetails['illegal_transition']>()
      expectTypeOf(error.accepts).toEqualTypeOf<readonly string[]>()
    }
    if (isPawlError(error, 'invalid_input'))
      expectTypeOf(error.issues).toEqualTypeOf<readonly Issue[]>()
    // @ts-expect-error no such code
    isPawlError(error, 'gone')
  })

  test('narrows to a union that its code tells apart', () => {
    if (!isPawlError(error)) return
    if (error.code === 'version_conflict') expectTypeOf(error.expected).toEqualTypeOf<number>()
    // @ts-expect-error only some errors have it
    assertType(error.expected)
  })

  test('is what trySend gives', async () => {
    const attempt = await engine.tasks.trySend('task_1', { type: 'promote' })

    if (attempt.ok) expectTypeOf(attempt.resource.object).toEqualTypeOf<'task'>()
    else expectTypeOf(attempt.error.code).toEqualTypeOf<'illegal_transition' | 'version_conflict'>()
  })
})
