import fc from 'fast-check'
import type { ModelCommand } from './model-rules.ts'

/** A move names things by how recent they are, so that any sequence of moves makes sense. */
export type GameMove =
  | {
      readonly do: 'create'
      readonly type: string
      readonly picks: readonly [number, number, number, number]
    }
  | {
      readonly do: 'send'
      readonly type: string
      readonly pick: number
      readonly command: ModelCommand
    }
  | {
      /** Sends one of some commands to a thing whose status accepts one of them. */
      readonly do: 'step'
      readonly type: string
      readonly pick: number
      readonly choice: number
      readonly commands: readonly ModelCommand[]
    }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'restart' }

const SECOND = 1000
const MINUTE = 60 * SECOND

const interaction = {
  type: 'mfa',
  message: 'Enter the code',
  fields: [{ name: 'code', type: 'text', label: 'Code' }],
}

const login = { username: 'ada', password: 'a password' }

function plain(...types: string[]): ModelCommand[] {
  return types.map((type) => ({ type }))
}

const runCommands: readonly ModelCommand[] = [
  ...plain('start', 'start', 'start', 'login_succeeded', 'login_rejected', 'request_review'),
  ...plain('approve', 'reject', 'complete', 'complete', 'cancel', 'confirm_cancel'),
  { type: 'require_interaction', interaction } as ModelCommand,
  { type: 'submit_interaction', input: { code: '123456' } },
  { type: 'submit_interaction', input: {} },
  { type: 'complete', result: 'unknown' },
  { type: 'fail', errors: [{ code: 'broken', message: 'it broke' } as { code: string }] },
]

/** The commands that moves may send, the likelier ones several times. */
export const COMMANDS: Readonly<Record<string, readonly ModelCommand[]>> = {
  agent: [{ type: 'update', name: 'B' }, { type: 'delete' }],
  source: [{ type: 'update', name: 'B' }, { type: 'delete' }],
  task: [
    ...plain('promote', 'demote', 'reset', 'delete'),
    { type: 'update', settings: { timeout_seconds: 60 } },
    { type: 'update', settings: { timeout_seconds: 900 } },
  ],
  credential: [
    ...plain('verify', 'verify', 'verify', 'reject', 'delete'),
    { type: 'update', external_id: 'user-1' },
    { type: 'update', external_id: 'user-2' },
    { type: 'update', auth_credentials: login },
    { type: 'update', auth_credentials: { ...login, password: 'another one' } },
  ],
  session: [
    ...plain('start', 'end', 'complete', 'complete'),
    { type: 'fail', error: { code: 'crashed', message: 'it died' } as { code: string } },
  ],
  task_run: runCommands,
  storage: plain('delete'),
  event_destination: [
    ...plain('activate', 'activate', 'deactivate', 'reactivate', 'rotate_secret', 'delete'),
    { type: 'update', name: 'E' },
    { type: 'update', name: 'D' },
    { type: 'update', webhook: { url: 'https://e.example' } },
    { type: 'update', webhook: { url: 'https://d.example' } },
  ],
}

function sending(type: string): fc.Arbitrary<GameMove> {
  return fc.record({
    do: fc.constant('send' as const),
    type: fc.constant(type),
    pick: fc.nat(3),
    command: fc.constantFrom(...(COMMANDS[type] ?? [])),
  })
}

function stepping(type: string, commands = COMMANDS[type] ?? []): fc.Arbitrary<GameMove> {
  return fc.record({
    do: fc.constant('step' as const),
    type: fc.constant(type),
    pick: fc.nat(2),
    choice: fc.nat(20),
    commands: fc.constant(commands),
  })
}

/** What keeps things alive, and what ends them only now and then. */
export const goingOn = runCommands.filter(
  ({ type }) => !['cancel', 'fail', 'complete'].includes(type),
)

const creating: fc.Arbitrary<GameMove> = fc.record({
  do: fc.constant('create' as const),
  type: fc.constantFrom(
    ...['agent', 'source', 'task', 'credential', 'session'],
    ...Array<string>(12).fill('task_run'),
  ),
  picks: fc.tuple(fc.nat(2), fc.nat(2), fc.constantFrom(0, 1, 1, 1, 2), fc.nat(6)),
})

const waiting: fc.Arbitrary<GameMove> = fc.record({
  do: fc.constant('advance' as const),
  ms: fc.constantFrom(0, 1, 30 * SECOND, MINUTE, 4 * MINUTE, 5 * MINUTE, 10 * MINUTE),
})

export const moveArbitrary: fc.Arbitrary<GameMove> = fc.oneof(
  { weight: 20, arbitrary: stepping('task_run', goingOn) },
  { weight: 12, arbitrary: stepping('task_run') },
  { weight: 14, arbitrary: stepping('session', plain('start')) },
  { weight: 3, arbitrary: stepping('session') },
  { weight: 2, arbitrary: stepping('credential') },
  { weight: 3, arbitrary: stepping('task') },
  { weight: 10, arbitrary: creating },
  { weight: 8, arbitrary: waiting },
  { weight: 4, arbitrary: sending('task_run') },
  { weight: 2, arbitrary: sending('session') },
  { weight: 1, arbitrary: sending('credential') },
  { weight: 2, arbitrary: fc.oneof(sending('agent'), sending('source'), sending('task')) },
  { weight: 3, arbitrary: fc.constant({ do: 'restart' as const }) },
)
