import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type AnyEngine,
  type AnyResource,
  type AnyTestEngine,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { lifecycleOf, lifecycles } from '../support/lifecycles.ts'
import { fill, fillALittle, withShapes } from '../support/shapes.ts'
import { temporaryFile } from '../support/temp.ts'
import {
  makeAgent,
  makeCredential,
  makeRun,
  makeRunningRun,
  makeSession,
  NEW_LOGIN,
  read,
  send,
  sessionOf,
} from '../support/world.ts'

function at(engine: AnyEngine, type: string, id: string, when: number | Date) {
  return handleOf(engine, lifecycleOf(type).property).at(id, when)
}

async function headOf(engine: AnyEngine): Promise<number> {
  return (await engine.events.list({ limit: 1, internal: true })).data[0]?.seq ?? 0
}

/** What an engine shows of all resources at a place of its log. */
interface Snapshot {
  readonly seq: number
  readonly time: Date
  readonly resources: readonly AnyResource[]
}

/** Every resource of the platform, those that are gone as well. */
async function snapshot(engine: AnyTestEngine): Promise<Snapshot> {
  const ids = new Set((await fullLog(engine)).map((entry) => entry.resource_id))
  const resources: AnyResource[] = []
  for (const { property } of [...Object.values(lifecycles.resources), { property: 'things' }]) {
    for (const id of ids) {
      const found = await handleOf(engine, property).find(id)
      if (found) resources.push(found)
    }
  }
  return { seq: await headOf(engine), time: engine.clock.now(), resources }
}

function propertyOf({ object }: AnyResource): string {
  return lifecycles.resources[object]?.property ?? 'things'
}

async function expectAsBefore(engine: AnyEngine, before: readonly Snapshot[]): Promise<void> {
  for (const { seq, time, resources } of before) {
    for (const resource of resources) {
      const handle = handleOf(engine, propertyOf(resource))
      expect(await handle.at(resource.id, seq)).toEqual(resource)
      expect(await handle.at(resource.id, time)).toEqual(resource)
    }
  }
}

describe('at', () => {
  test('gives a resource as it was after each entry of the log', async () => {
    const engine = await setupEngine()
    const agent = await makeAgent(engine)
    await makeSession(engine)
    const renamed = await send(engine, 'agent', agent.id, { type: 'update', name: 'B' })
    const deleted = await send(engine, 'agent', agent.id, 'delete')

    const states = [agent, agent, renamed.resource, deleted.resource]
    for (const [index, state] of states.entries()) {
      expect(await at(engine, 'agent', agent.id, index + 1)).toEqual(state)
    }
  })

  test('gives a resource as it was at a time', async () => {
    const engine = await setupEngine()
    const session = await makeSession(engine)
    const before = engine.clock.now()
    await engine.clock.advance('1m')
    const started = await send(engine, 'session', session.id, 'start')
    await engine.clock.advance('1m')
    await send(engine, 'session', session.id, 'end')
    const middle = new Date(engine.clock.now().getTime() - 30_000)

    expect(await at(engine, 'session', session.id, before)).toEqual(session)
    expect(await at(engine, 'session', session.id, middle)).toEqual(started.resource)
    const now = await read(engine, 'session', session.id)
    expect(await at(engine, 'session', session.id, engine.clock.now())).toEqual(now)
  })

  test('gives what the last entry of a command left, where it wrote several', async () => {
    const engine = await setupEngine(withShapes())
    const things = handleOf(engine, 'things')
    const { id } = (await things.create({})).resource
    const { resource, events } = await things.send(id, { type: 'go' })
    expect(events.length).toBeGreaterThan(2)
    await things.send(id, { type: 'rest' })

    expect(await things.at(id, events.at(-1)?.seq ?? 0)).toEqual(resource)
  })

  test('gives what was told to a resource, and what timers did', async () => {
    const engine = await setupEngine()
    const run = await makeRun(engine)
    const seq = await headOf(engine)
    const session = await read(engine, 'session', sessionOf(run))
    await engine.clock.advance('5m')
    const failed = await read(engine, 'session', session.id)

    expect(await at(engine, 'session', session.id, seq)).toEqual(session)
    expect(await at(engine, 'task_run', run.id, seq)).toEqual(run)
    expect(await at(engine, 'session', session.id, await headOf(engine))).toEqual(failed)
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'timeout' } })
  })

  test('never gives a secret', async () => {
    const engine = await setupEngine()
    const credential = await makeCredential(engine)
    const seq = await headOf(engine)
    await send(engine, 'credential', credential.id, { type: 'update', auth_credentials: NEW_LOGIN })
    await send(engine, 'credential', credential.id, 'delete')

    const was = await at(engine, 'credential', credential.id, seq)

    expect(was).toEqual(credential)
    expect(JSON.stringify(was)).not.toContain('first password')
  })

  test('leaves no trace', async () => {
    const engine = await setupEngine()
    const { id } = await makeAgent(engine)
    const before = await fullLog(engine)

    await at(engine, 'agent', id, 1)

    expect(await fullLog(engine)).toEqual(before)
  })

  test('gives each resource exactly as it was, through everything and after a restart', async () => {
    const database = temporaryFile()
    const engine = await openEngine({ database, ...withShapes() })
    const seen: Snapshot[] = []
    for (const step of [
      () => fillALittle(engine),
      () => engine.clock.advance('45s'),
      () => makeRunningRun(engine),
      () => engine.clock.advance('2m'),
      () => fillALittle(engine),
      () => engine.clock.advance('1h'),
      () => fillALittle(engine),
      () => engine.clock.advance('91d'),
    ]) {
      await step()
      seen.push(await snapshot(engine))
      await engine.clock.advance(1)
    }
    await expectAsBefore(engine, seen)

    const timeouts = { session_idle: '1h' } as const
    const again = await reopen(engine, { database, ...withShapes({ timeouts }) })
    onTestFinished(() => again.close())

    await expectAsBefore(again, seen)
  })

  test('at the head is what get gives, for every status of everything', async () => {
    const engine = await setupEngine(withShapes())
    await fill(engine)

    await expectAsBefore(engine, [await snapshot(engine)])
  })

  test('agrees with what a random walk has seen', async () => {
    const types = ['go', 'go', 'rest'] as const
    const walk = fc.array(
      fc.oneof(
        fc.constantFrom(...types).map((type) => ({ type, ms: 0 })),
        fc.constantFrom(1, 30_000, 60_000, 90_000, 3_600_000).map((ms) => ({ type: 'wait', ms })),
      ),
      { minLength: 1, maxLength: 20 },
    )
    const property = fc.asyncProperty(walk, async (steps) => {
      const engine = await openEngine(withShapes())
      try {
        const things = handleOf(engine, 'things')
        const { id } = (await things.create({})).resource
        const seen: [number, AnyResource][] = []
        for (const { type, ms } of steps) {
          if (type === 'wait') await engine.clock.advance(ms)
          else await things.trySend(id, { type })
          seen.push([await headOf(engine), await things.get(id)])
        }
        for (const [seq, resource] of seen) expect(await things.at(id, seq)).toEqual(resource)
      } finally {
        await engine.close()
      }
    })

    await fc.assert(property, { numRuns: 20 })
  })
})

describe('at knows nothing', () => {
  test('of what had not been created yet', async () => {
    const engine = await setupEngine()
    await makeAgent(engine)
    const before = engine.clock.now()
    await engine.clock.advance('1m')
    const { id } = await makeAgent(engine)

    for (const when of [1, before]) {
      expect(await failureOf(at(engine, 'agent', id, when))).toMatchObject({
        ...{ code: 'not_found', resource_id: id },
      })
    }
  })

  test('of ids of nobody, of another type or of another tenant', async () => {
    const engine = await setupEngine()
    const other = await makeAgent(engine.tenant('acme'))
    const session = await makeSession(engine)

    for (const id of ['agt_none', other.id, session.id]) {
      expect((await failureOf(at(engine, 'agent', id, 2))).code).toBe('not_found')
    }
    expect(await at(engine.tenant('acme'), 'agent', other.id, 1)).toEqual(other)
  })

  test.each([-1, 1.5, Number.NaN, 'yesterday', null, undefined, {}, new Date(Number.NaN)])(
    'of the time %s: it is refused',
    async (when) => {
      const engine = await setupEngine()
      const { id } = await makeAgent(engine)

      const error = await failureOf(async () => at(engine, 'agent', id, when as number))

      expect(error.code).toBe('invalid_input')
    },
  )

  test('when the engine has been closed', async () => {
    const engine = await openEngine()
    const { id } = await makeAgent(engine)
    await engine.close()

    expect((await failureOf(async () => at(engine, 'agent', id, 1))).code).toBe('closed')
  })
})
