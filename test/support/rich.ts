import { assign, createMachine, emit, raise } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { type AnyTestEngine, handleOf, openEngine, reopen } from './engine.ts'
import { nothing, thing } from './things.ts'
import {
  INTERACTION,
  LOGIN,
  makeCredential,
  makeDestination,
  makeRun,
  makeRunningRun,
  makeSource,
  makeTask,
  send,
  sessionOf,
} from './world.ts'

interface Counting {
  readonly context: { readonly n: number }
}

const count = assign(({ context }: Counting) => ({ n: context.n + 1 }))

/** Two regions at a time, one of which remembers where it was, timers that nobody waits for, and a silent last step. */
function machine(version: number) {
  const config = {
    id: 'thing',
    context: { n: 0, text: 'naïve – \uFFFD 😀', nothing: null },
    initial: 'off',
    states: {
      off: {
        on: {
          go: {
            target: 'on',
            actions: [
              emit({ type: 'thing.went' }),
              raise({ type: 'ping' }, { delay: 50, id: 'ping' } as object),
              raise({ type: 'ping' }, { delay: 70 } as object),
            ],
          },
          rest: 'passing',
        },
      },
      on: {
        type: 'parallel',
        states: {
          left: {
            initial: 'one',
            states: {
              one: { on: { go: 'two' } },
              two: { on: { go: { target: 'one', actions: count } } },
              last: { type: 'history' },
            },
          },
          right: { initial: 'three', states: { three: { after: { 1000: 'four' } }, four: {} } },
        },
        on: { rest: 'off', ping: { actions: [count, emit({ type: 'thing.went' })] } },
      },
      passing: {
        entry: emit({ type: 'thing.rested' }),
        always: { target: 'on', actions: count },
        on: { go: '#thing.on.left.last' },
      },
      ...(version > 1 && { gone: { type: 'final' } }),
    },
    ...(version > 1 && { on: { end: '.gone' } }),
  }
  return createMachine(config as object)
}

/** Options of an engine with the built-in resources and one of its own, whose machine is at this version. */
export function richOptions(version: number, timeouts: object = {}) {
  const commands = { go: nothing, rest: nothing, end: nothing, ping: nothing }
  const parts = { commands, internal: ['ping'], events: ['thing.went', 'thing.rested'], version }
  return {
    durability: 'relaxed',
    resources: { ...agentPlatform({ timeouts }), things: thing(machine(version), parts) },
  }
}

/**
 * Fills a file with some of everything: tenants, secrets, notes, idempotency keys, timers that are pending,
 * fired and ignored, other timeouts, and another version of a machine.
 */
export async function openRich(database: string): Promise<AnyTestEngine> {
  const first = await openEngine({ database, ...richOptions(1) })
  await fillPlatform(first)
  const old = await fillThings(first)
  const options = { database, ...richOptions(2, { session_idle: '1m', task_run_canceling: '5s' }) }
  const second = await reopen(first, options)
  await fillAgain(second, old)
  return second
}

async function fillPlatform(engine: AnyTestEngine): Promise<void> {
  const credential = await makeCredential(engine)
  await handleOf(engine, 'credentials').reveal(credential.id)
  await send(engine, 'credential', credential.id, 'verify')
  const run = await makeRunningRun(engine, { credential_id: credential.id })
  await send(engine, 'task_run', run.id, { type: 'require_interaction', interaction: INTERACTION })
  const answer = { type: 'submit_interaction', input: { code: '123456' } }
  await send(engine, 'task_run', run.id, answer)
  await send(engine, 'task_run', run.id, 'complete')
  const other = await makeRun(engine)
  await send(engine, 'session', sessionOf(other), 'end')
  const destination = await makeDestination(engine)
  await send(engine, 'event_destination', destination.id, 'rotate_secret')
  const tenant = engine.tenant('acme')
  await makeRunningRun(tenant)
  await engine.clock.advance('1m')
}

async function fillThings(engine: AnyTestEngine): Promise<readonly string[]> {
  const things = handleOf(engine, 'things')
  const actor = { type: 'api_key', id: 'key_7' }
  const ids: string[] = []
  for (const commands of [['go', 'go', 'go', 'rest'], ['go'], ['rest', 'go', 'rest', 'go'], []]) {
    const { id } = (await things.create({}, { idempotencyKey: `create ${ids.length}`, actor }))
      .resource
    ids.push(id)
    for (const [index, type] of commands.entries()) {
      await things.send(id, { type }, { idempotencyKey: `send ${ids.length} ${index}` })
      await engine.clock.advance(20)
    }
  }
  await engine.clock.advance('10s')
  return ids
}

async function fillAgain(engine: AnyTestEngine, old: readonly string[]): Promise<void> {
  const things = handleOf(engine, 'things')
  const [first = '', second = ''] = old
  await things.send(first, { type: 'go' })
  await things.send(second, { type: 'end' })
  await engine.clock.advance('2m')
  const source = await makeSource(engine)
  const credentials = handleOf(engine, 'credentials')
  const { resource } = await credentials.create(
    { source_id: source.id, ...LOGIN },
    { idempotencyKey: 'login' },
  )
  await credentials.reveal(resource.id)
  await send(engine, 'credential', resource.id, 'delete')
  const destination = { name: 'Hooks', webhook: { url: 'https://hooks.example/2' }, events: ['*'] }
  await handleOf(engine, 'eventDestinations').create(destination, { idempotencyKey: 'hooks' })
  const run = await makeRunningRun(engine, { task_id: (await makeTask(engine)).id })
  await send(engine, 'task_run', run.id, 'cancel')
  await things.create({})
  await things.send((await things.create({})).resource.id, { type: 'go' })
}
