import { describe, expect, test } from 'vitest'
import { agentPlatform } from '../../machines/index.ts'
import {
  type AnyEvent,
  type AnyResource,
  type AnyTestEngine,
  allTimers,
  publicLog,
  setupEngine,
} from '../support/engine.ts'
import {
  FILE,
  INTERACTION,
  make,
  makeDestination,
  makeRun,
  makeRunningRun,
  makeSession,
  reach,
  read,
  send,
  sessionOf,
} from '../support/world.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** An engine whose built-in resources have other timeouts than the default ones. */
function withTimeouts(timeouts: Record<string, string>): Promise<AnyTestEngine> {
  const options = { timeouts } as Parameters<typeof agentPlatform>[0]
  return setupEngine({ resources: agentPlatform(options) })
}

async function advance(engine: AnyTestEngine, duration: number): Promise<AnyEvent[]> {
  const before = await publicLog(engine)
  await engine.clock.advance(duration)
  return (await publicLog(engine)).slice(before.length)
}

interface Expected {
  readonly type: string
  readonly of: string
  readonly data?: Readonly<Record<string, unknown>>
}

/** Checks that nothing happens until a millisecond before, and these events happen then. */
async function expectAfter(
  engine: AnyTestEngine,
  duration: number,
  expected: readonly Expected[],
): Promise<void> {
  const due = new Date(engine.clock.now().getTime() + duration).toISOString()

  expect(await advance(engine, duration - 1)).toEqual([])
  const events = await advance(engine, 1)

  expect(events).toMatchObject(
    expected.map(({ type, of, data = {} }) => {
      return { type, resource_id: of, created_at: due, data: { ...data, updated_at: due } }
    }),
  )
}

function ask(engine: AnyTestEngine, run: AnyResource) {
  return send(engine, 'task_run', run.id, {
    type: 'require_interaction',
    interaction: INTERACTION,
  })
}

const answer = { type: 'submit_interaction', input: { code: '1' } }

const timeout = { errors: [{ type: 'task', code: 'timeout' }], result: 'failure' }

describe('session_provisioning', () => {
  const failed = { error: { type: 'session', code: 'timeout' }, runtime_ms: null }

  test('fails a session that nobody started after 5 minutes, and its run', async () => {
    const engine = await setupEngine()
    const run = await makeRun(engine)

    await expectAfter(engine, 5 * MINUTE, [
      { type: 'session.failed', of: sessionOf(run), data: failed },
      { type: 'task_run.failed', of: run.id, data: { result: 'failure', runtime_ms: null } },
    ])

    const { errors } = await read(engine, 'task_run', run.id)
    expect(errors).toMatchObject([{ type: 'session', code: 'timeout' }])
    expect(await allTimers(engine)).toEqual([])
  })

  test('does not fire once the session has started', async () => {
    const engine = await setupEngine()
    const { id } = await makeSession(engine)
    await send(engine, 'session', id, 'start')

    expect(await allTimers(engine)).toEqual([])
    expect(await advance(engine, DAY)).toEqual([])
  })

  test('fires at the time that the platform is given', async () => {
    const engine = await withTimeouts({ session_provisioning: '42s' })
    const { id } = await makeSession(engine)

    await expectAfter(engine, 42 * SECOND, [{ type: 'session.failed', of: id, data: failed }])
  })
})

describe('session_idle', () => {
  test('ends an idle session after 10 minutes and cancels its queued run', async () => {
    const engine = await setupEngine()
    const session = await reach(engine, 'session', 'idle')
    const waiting = await makeRun(engine, { session_id: session.id })

    await expectAfter(engine, 10 * MINUTE, [
      { type: 'session.completing', of: session.id },
      { type: 'task_run.canceled', of: waiting.id, data: { result: null } },
    ])

    expect((await read(engine, 'session', session.id)).task_runs).toEqual([])
  })

  test('starts anew each time that the session becomes idle', async () => {
    const engine = await setupEngine()
    const session = await reach(engine, 'session', 'idle')
    await advance(engine, 9 * MINUTE)
    const run = await makeRunningRun(engine, { session_id: session.id })
    await advance(engine, 9 * MINUTE)
    await send(engine, 'task_run', run.id, 'complete')

    await expectAfter(engine, 10 * MINUTE, [{ type: 'session.completing', of: session.id }])
  })

  test('goes on while a run is attached that does not start', async () => {
    const engine = await setupEngine()
    const session = await reach(engine, 'session', 'idle')
    await advance(engine, 4 * MINUTE)
    const waiting = await makeRun(engine, { session_id: session.id })

    await expectAfter(engine, 6 * MINUTE, [
      { type: 'session.completing', of: session.id },
      { type: 'task_run.canceled', of: waiting.id },
    ])
  })

  test('fires at the time that the platform is given', async () => {
    const engine = await withTimeouts({ session_idle: '2m' })
    const { id } = await reach(engine, 'session', 'idle')

    await expectAfter(engine, 2 * MINUTE, [{ type: 'session.completing', of: id }])
  })
})

describe('session_teardown', () => {
  const failed = { error: { type: 'session', code: 'teardown_timeout' } }

  test('fails a session that does not complete within 5 minutes', async () => {
    const engine = await setupEngine()
    const { id } = await reach(engine, 'session', 'completing')

    await expectAfter(engine, 5 * MINUTE, [{ type: 'session.failed', of: id, data: failed }])

    expect(await allTimers(engine)).toEqual([])
  })

  test('fails the run that is still being canceled', async () => {
    const engine = await withTimeouts({ task_run_canceling: '1h' })
    const run = await makeRunningRun(engine)
    await send(engine, 'session', sessionOf(run), 'end')

    await expectAfter(engine, 5 * MINUTE, [
      { type: 'session.failed', of: sessionOf(run), data: { ...failed, runtime_ms: 5 * MINUTE } },
      { type: 'task_run.failed', of: run.id, data: { runtime_ms: 5 * MINUTE } },
    ])

    const { errors } = await read(engine, 'task_run', run.id)
    expect(errors).toMatchObject([{ type: 'session', code: 'teardown_timeout' }])
  })

  test('is not set anew by a second end', async () => {
    const engine = await setupEngine()
    const { id } = await reach(engine, 'session', 'completing')
    await advance(engine, 3 * MINUTE)
    await send(engine, 'session', id, 'end')

    await expectAfter(engine, 2 * MINUTE, [{ type: 'session.failed', of: id, data: failed }])
  })

  test('fires at the time that the platform is given', async () => {
    const engine = await withTimeouts({ session_teardown: '7s' })
    const { id } = await reach(engine, 'session', 'completing')

    await expectAfter(engine, 7 * SECOND, [{ type: 'session.failed', of: id, data: failed }])
  })
})

describe('task_run_timeout', () => {
  test('fails a run after 30 minutes by default, and leaves its session idle', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)

    await expectAfter(engine, 30 * MINUTE, [
      { type: 'task_run.failed', of: run.id, data: { ...timeout, runtime_ms: 30 * MINUTE } },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('goes on through questions and reviews, and counts from the start', async () => {
    const engine = await setupEngine()
    const run = await makeRun(engine)
    await advance(engine, 4 * MINUTE)
    await send(engine, 'session', sessionOf(run), 'start')
    await send(engine, 'task_run', run.id, 'start')
    await advance(engine, 10 * MINUTE)
    await ask(engine, run)
    await advance(engine, 10 * MINUTE)
    await send(engine, 'task_run', run.id, answer)
    await advance(engine, 5 * MINUTE)
    await send(engine, 'task_run', run.id, 'request_review')

    await expectAfter(engine, 5 * MINUTE, [
      { type: 'task_run.failed', of: run.id, data: { ...timeout, runtime_ms: 30 * MINUTE } },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('fires while the run waits for an answer', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await advance(engine, 20 * MINUTE)
    await ask(engine, run)

    await expectAfter(engine, 10 * MINUTE, [
      { type: 'task_run.failed', of: run.id, data: { ...timeout, interaction: null } },
      { type: 'session.idle', of: sessionOf(run) },
    ])
    expect((await allTimers(engine)).map((timer) => timer.resource_id)).toEqual([sessionOf(run)])
  })

  test('does not fire while the run is being canceled', async () => {
    const engine = await withTimeouts({ task_run_canceling: '2h' })
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'cancel')

    await expectAfter(engine, 2 * HOUR, [
      { type: 'task_run.canceled', of: run.id },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('is what the task said when the run was created', async () => {
    const engine = await setupEngine()
    const run = await makeRun(engine, {}, { settings: { timeout_seconds: 90 } })
    const task = String(run.task_id)
    await send(engine, 'task', task, { type: 'update', settings: { timeout_seconds: 5 } })
    await send(engine, 'session', sessionOf(run), 'start')
    await send(engine, 'task_run', run.id, 'start')

    await expectAfter(engine, 90 * SECOND, [
      { type: 'task_run.failed', of: run.id, data: timeout },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('is 1800 seconds in the settings of a task that names none', async () => {
    const engine = await setupEngine()
    const task = await reach(engine, 'task', 'learning')

    expect(task.settings).toEqual({ timeout_seconds: 1800 })
  })

  test('fires at the time that the platform is given, where the task names none', async () => {
    const engine = await withTimeouts({ task_run_timeout: '3m' })
    const run = await makeRunningRun(engine)

    await expectAfter(engine, 3 * MINUTE, [
      { type: 'task_run.failed', of: run.id, data: timeout },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })
})

describe('task_run_interaction', () => {
  const failed = { errors: [{ type: 'interaction', code: 'interaction_timeout' }] }

  test('fails a run whose question nobody answers within 15 minutes', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await ask(engine, run)

    await expectAfter(engine, 15 * MINUTE, [
      { type: 'task_run.failed', of: run.id, data: { ...failed, interaction: null } },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('starts anew with every question', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await ask(engine, run)
    await advance(engine, 14 * MINUTE)
    await send(engine, 'task_run', run.id, answer)
    await ask(engine, run)

    await expectAfter(engine, 15 * MINUTE, [
      { type: 'task_run.failed', of: run.id, data: failed },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('fires at the time that the platform is given', async () => {
    const engine = await withTimeouts({ task_run_interaction: '20s' })
    const run = await makeRunningRun(engine)
    await ask(engine, run)

    await expectAfter(engine, 20 * SECOND, [
      { type: 'task_run.failed', of: run.id, data: failed },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })
})

describe('task_run_canceling', () => {
  test('cancels a run that does not confirm within a minute', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'cancel')
    const canceled_at = new Date(engine.clock.now().getTime() + MINUTE).toISOString()

    await expectAfter(engine, MINUTE, [
      { type: 'task_run.canceled', of: run.id, data: { result: null, canceled_at } },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('is not set anew by a second cancel', async () => {
    const engine = await setupEngine()
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'cancel')
    await advance(engine, 40 * SECOND)
    await send(engine, 'task_run', run.id, 'cancel')

    await expectAfter(engine, 20 * SECOND, [
      { type: 'task_run.canceled', of: run.id },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })

  test('fires at the time that the platform is given', async () => {
    const engine = await withTimeouts({ task_run_canceling: '2s' })
    const run = await makeRunningRun(engine)
    await send(engine, 'task_run', run.id, 'cancel')

    await expectAfter(engine, 2 * SECOND, [
      { type: 'task_run.canceled', of: run.id },
      { type: 'session.idle', of: sessionOf(run) },
    ])
  })
})

describe('storage_retention', () => {
  async function store(engine: AnyTestEngine): Promise<AnyResource> {
    const run = await makeRunningRun(engine)
    const file = await make(engine, 'storage', { task_run_id: run.id, ...FILE })
    await send(engine, 'task_run', run.id, 'complete')
    await send(engine, 'session', sessionOf(run), 'end')
    await send(engine, 'session', sessionOf(run), 'complete')
    return file
  }

  test('deletes a file after 90 days', async () => {
    const engine = await setupEngine()
    const { id } = await store(engine)

    await expectAfter(engine, 90 * DAY, [{ type: 'storage.deleted', of: id }])
  })

  test('fires at the time that the platform is given', async () => {
    const engine = await withTimeouts({ storage_retention: '36h' })
    const { id } = await store(engine)

    await expectAfter(engine, 36 * HOUR, [{ type: 'storage.deleted', of: id }])
  })
})

test('agents, sources, credentials, tasks and destinations set no timer', async () => {
  const engine = await setupEngine()
  await reach(engine, 'credential', 'unverified')
  await reach(engine, 'task', 'live')
  await makeDestination(engine)

  expect(await allTimers(engine)).toEqual([])
})

test('an advance over many timers shows each of them its own due time', async () => {
  const engine = await setupEngine()
  const run = await makeRunningRun(engine)
  await ask(engine, run)
  const start = engine.clock.now().getTime()

  const events = await advance(engine, DAY)

  const passed = events.map(({ type, created_at }) => [
    type,
    (new Date(created_at).getTime() - start) / MINUTE,
  ])
  expect(passed).toEqual([
    ['task_run.failed', 15],
    ['session.idle', 15],
    ['session.completing', 25],
    ['session.failed', 30],
  ])
  expect(engine.clock.now().getTime()).toBe(start + DAY)
})
