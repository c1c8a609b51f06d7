import { createMachine, emit, raise } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { type AnyEngine, type AnyTestEngine, handleOf } from './engine.ts'
import { lifecycles } from './lifecycles.ts'
import { thing } from './things.ts'
import {
  makeCredential,
  makeDestination,
  makeRun,
  makeRunningRun,
  makeSession,
  makeTask,
  reach,
  send,
  sessionOf,
} from './world.ts'

/** A machine with regions, a history, timers of every kind and events of several microsteps. */
const gears = createMachine({
  context: { turns: 0 },
  type: 'parallel',
  states: {
    motor: {
      initial: 'off',
      states: {
        off: { on: { go: { target: 'on.again', actions: emit({ type: 'thing.started' }) } } },
        on: {
          initial: 'slow',
          after: { 3600000: 'off' },
          on: { rest: 'off' },
          states: {
            slow: { on: { go: 'fast' } },
            fast: { on: { go: 'slow' }, after: { 60000: 'slow' } },
            again: { type: 'history', history: 'deep' },
          },
        },
      },
    },
    lamp: {
      initial: 'dark',
      states: {
        dark: { on: { go: 'flickering' } },
        flickering: { always: { target: 'lit', actions: emit({ type: 'thing.flickered' }) } },
        lit: {
          entry: [
            emit({ type: 'thing.lit' }),
            raise({ type: 'rest' }, { delay: 90_000 }),
            raise({ type: 'rest' }, { delay: 90_000 }),
          ],
          on: { rest: { target: 'dark', actions: emit({ type: 'thing.darkened' }) } },
        },
      },
    },
  },
})

/** Options of an engine that knows the platform and things with regions, history and timers. */
export function withShapes(timeouts: Parameters<typeof agentPlatform>[0] = {}) {
  return { resources: { ...agentPlatform(timeouts), things: thing(gears) } }
}

/** Fills a database with resources of every status, of two tenants, on both sides of timers. */
export async function fill(engine: AnyTestEngine): Promise<void> {
  for (const [type, lifecycle] of Object.entries(lifecycles.resources)) {
    for (const status of Object.keys(lifecycle.statuses)) await reach(engine, type, status)
  }
  await fillALittle(engine)
  await fillALittle(engine.tenant('acme'))
  await engine.clock.advance('3m')
  await fillALittle(engine)
}

/** Makes a few resources that are coupled, secret, deleted or waiting for their timers. */
export async function fillALittle(engine: AnyEngine): Promise<void> {
  const things = handleOf(engine, 'things')
  const { id } = (await things.create({}, { actor: { type: 'user', id: 'ada' } })).resource
  for (const type of ['go', 'go', 'rest', 'go']) await things.send(id, { type })
  const first = await makeRunningRun(engine, { input: { month: '2026-01', '2': [1.5, null] } })
  const second = await makeRun(engine, { session_id: sessionOf(first) })
  await send(engine, 'session', sessionOf(first), 'end')
  await send(engine, 'task_run', first.id, 'confirm_cancel')
  await send(engine, 'task', String(second.task_id), { type: 'update', name: 'Ünïcode ☃ 🔑' })
  const credential = await makeCredential(engine)
  await send(engine, 'credential', credential.id, 'delete')
  await makeDestination(engine)
  await makeSession(engine)
  await makeTask(engine, { prompt: '' })
}
