import { assign, createMachine, emit } from 'xstate'
import { z } from 'zod'
import { agentPlatform } from '../../../machines/index.ts'
import { createTestEngine } from '../../../src/testing.ts'
import { define } from '../../support/define.ts'
import type { AnyHandle, AnyResource, AnyTestEngine } from '../../support/engine.ts'
import { OFFLINE } from '../../support/offline.ts'

interface Put {
  readonly event: { readonly type: string }
}

/** A resource that takes anything and keeps all of it. */
const box = define({
  type: 'box',
  prefix: 'box',
  input: z.any(),
  commands: { put: z.any(), look: z.strictObject({}) },
  machine: createMachine({
    context: ({ input }: { input: unknown }) => ({ held: input }),
    initial: 'open',
    states: { open: {} },
    entry: emit({ type: 'box.held' }),
    on: {
      look: {},
      put: {
        actions: [
          assign(({ event: { type, ...held } }: Put) => ({ held })),
          emit({ type: 'box.held' }),
        ],
      },
    },
  } as object),
})

/** What every hostile call finds: one of each resource, and its handles. */
export interface World {
  readonly engine: AnyTestEngine
  readonly database: string
  readonly first: Readonly<Record<string, AnyResource>>
  readonly cursors: readonly string[]
  /** The box of the plain command after each call; a new one now and then, since histories are read. */
  box: string
  /** What has been taken and read back, by the box that holds it. */
  readonly taken: Map<string, { readonly sent: unknown; readonly seq: number }>
}

/** The handle of a resource type, by its property on the engine. */
export function handle(engine: object, property: string): AnyHandle {
  return (engine as Readonly<Record<string, AnyHandle>>)[property] as AnyHandle
}

/** Opens an engine with a box beside the built-in resources. */
export async function openEngine(database: string, seed: number): Promise<AnyTestEngine> {
  const engine: unknown = await createTestEngine({
    database,
    seed,
    durability: 'relaxed',
    delivery: OFFLINE,
    resources: { ...agentPlatform(), boxes: box },
  })
  return engine as AnyTestEngine
}

/** Opens an engine on a fresh file, with a resource of each type. */
export async function openWorld(database: string, seed: number): Promise<World> {
  const engine = await openEngine(database, seed)
  const first: Record<string, AnyResource> = {}
  const make = async (property: string, input: object): Promise<string> => {
    const { resource } = await handle(engine, property).create(input)
    first[property] = resource
    return resource.id
  }
  const agent_id = await make('agents', { name: 'A' })
  const source_id = await make('sources', {
    type: 'website',
    website: { url: 'https://a.example' },
  })
  const auth_credentials = { username: 'ada', password: 'secret' }
  const login = { source_id, auth_method: 'username_password', auth_credentials }
  await make('credentials', login)
  const task_id = await make('tasks', { name: 'T', agent_id })
  const task_run_id = await make('taskRuns', { task_id, source_id })
  const session = String(first.taskRuns?.session_id)
  await handle(engine, 'sessions').send(session, { type: 'start' })
  await handle(engine, 'taskRuns').send(task_run_id, { type: 'start' })
  await make('sessions', {})
  await make('storageItems', { task_run_id, file_name: 'a', file_type: 'a/b', file_size: 1 })
  const webhook = { url: 'https://hooks.example' }
  await make('eventDestinations', { name: 'E', webhook, events: ['*'] })
  await make('boxes', { n: 1 })
  const cursors = await Promise.all([
    engine.events.list({ limit: 1 }),
    engine.events.list({ limit: 1, order: 'asc', internal: true }),
    handle(engine, 'sessions').list({ limit: 1 }),
    handle(engine, 'taskRuns').history(task_run_id, { limit: 1 }),
    engine.timers.list({ limit: 1 }),
  ])
  const genuine = cursors.map(({ next_cursor }) => String(next_cursor))
  return { engine, database, first, cursors: genuine, box: '', taken: new Map() }
}
