import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createEngine } from '../../../src/index.ts'
import {
  type AnyEngine,
  collect,
  expectVerified,
  handleOf,
  openEngine,
} from '../../support/engine.ts'
import { createReceiver } from '../../support/receivers.ts'
import { until } from '../../support/until.ts'
import { type Bundled, bundle } from '../bundled.ts'
import { nextMessage } from '../next-message.ts'
import { CONSUMER, HELD_OPTIONS, type Holding, LEASE_MS, STOPPED } from './holding.ts'
import { hasServer, setupPlace } from './servers.ts'

let bundled: Bundled
beforeAll(() => {
  bundled = bundle(new URL('./holding-process.ts', import.meta.url))
})
afterAll(() => bundled.remove())

function start(holding: Holding): ChildProcess {
  const child = fork(bundled.path, [JSON.stringify(holding)])
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  expect(await gone).toEqual([null, 'SIGKILL'])
}

/** An engine whose clock says what time it is, and goes on when it is told to. */
async function setupHeir() {
  const { database, schema, raw } = setupPlace()
  const engine = await openEngine({ ...HELD_OPTIONS, database: database(), now: Date.now() })
  onTestFinished(() => engine.close())
  return { engine, schema, raw }
}

async function setupReceiver() {
  const receiver = await createReceiver({ answer: () => 'hang', verification: true })
  onTestFinished(() => receiver.close())
  return receiver
}

async function makeDestination(
  engine: AnyEngine,
  url: string,
  verification: 'manual' | 'challenge',
) {
  const input = {
    name: verification,
    events: ['agent.*'],
    webhook: { url },
    delivery: { verification },
  }
  const destinations = handleOf(engine, 'eventDestinations')
  const { id } = (await destinations.create(input)).resource
  if (verification === 'manual') await destinations.send(id, { type: 'activate' })
  return { status: async () => (await destinations.get(id)).status }
}

/** Waits until a process stands still. */
async function stopped({ pid }: ChildProcess): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  await until(
    async () => /^State:\tT/m.test(await readFile(`/proc/${pid}/status`, 'utf8')),
    'the process that stops',
  )
}

/** An engine of its own, beside a process that has stopped in the middle of a commit. */
async function setupStopped() {
  const { database, schema } = setupPlace()
  const options = { ...HELD_OPTIONS, database: database(), busyTimeout: '20s' } as const
  const engine = (await createEngine(options)) as unknown as AnyEngine
  onTestFinished(() => engine.close())
  const child = start({ schema, mode: 'commit' })
  await stopped(child)
  const agents = handleOf(engine, 'agents')
  const again = () => agents.create({ name: STOPPED }, { idempotencyKey: STOPPED })
  const names = async () => (await collect(await agents.list())).map(({ name }) => name)
  return { engine, agents, child, again, names }
}

describe.runIf(await hasServer('processes that hold something'))('a process', () => {
  test('that is killed while it holds leases is succeeded when they have run out, and not before', async () => {
    const { engine, schema } = await setupHeir()
    const [delivered, verified] = [await setupReceiver(), await setupReceiver()]
    const steady = await makeDestination(engine, delivered.url, 'manual')
    const pending = await makeDestination(engine, verified.url, 'challenge')
    const { id } = (await handleOf(engine, 'agents').create({ name: 'A' })).resource
    const child = start({ schema, mode: 'leases' })
    await nextMessage(child)
    await until(() => delivered.inFlight === 1 && verified.inFlight === 1, 'both requests')

    await kill(child)
    for (const receiver of [delivered, verified]) receiver.behave(() => ({}))
    const consumed: string[] = []
    void engine.consume(
      CONSUMER,
      { type: 'agent.*' },
      ({ resource_id }) => void consumed.push(resource_id),
    )
    await engine.clock.advance('1s')
    const before = {
      consumed: [...consumed],
      events: [...delivered.events],
      status: await pending.status(),
    }
    // The process began later than this clock.
    await engine.clock.advance(10 * LEASE_MS)
    await until(() => consumed.length > 0, 'the event of the consumer')

    expect(before).toEqual({ consumed: [], events: [], status: 'pending_verification' })
    expect(consumed).toEqual([id])
    expect(delivered.events.map(({ data }) => data.id)).toEqual([id])
    expect([await steady.status(), await pending.status()]).toEqual(['active', 'active'])
    await expectVerified(engine)
  })

  test('that is killed in the middle of a commit holds up nobody, and its key settles the call', async () => {
    const { engine, agents, child, again, names } = await setupStopped()
    const waiting = agents.create({ name: 'of another one' })

    await kill(child)
    await waiting
    const { replayed } = await again()

    expect(replayed).toBe(false)
    expect((await names()).toSorted()).toEqual(['of another one', STOPPED].toSorted())
    await expectVerified(engine)
  })

  test('that is frozen in the middle of a commit holds up others for some seconds alone', async () => {
    const { engine, agents, child, again, names } = await setupStopped()

    await agents.create({ name: 'of another one' })
    const told = nextMessage<string>(child)
    child.kill('SIGCONT')
    const code = await told
    const { replayed } = await again()

    expect(code).toBe('done')
    expect(replayed).toBe(true)
    expect((await names()).toSorted()).toEqual(['of another one', STOPPED].toSorted())
    await expectVerified(engine)
  })
})
