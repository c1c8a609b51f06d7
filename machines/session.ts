/** How does a session live, and what becomes of its runs? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource, now, tell } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { id, nothing, reason } from './schemas.ts'

const failure = strictObject({
  type: z.string().min(1).default('session'),
  code: z.string().min(1),
  message: z.string().min(1),
})

const commands = {
  start: nothing.describe('Reports that the environment is ready.'),
  end: strictObject({ reason }).describe('Begins the teardown and cancels the runs.'),
  complete: nothing.describe('Reports that the environment is torn down.'),
  fail: strictObject({ error: failure }).describe('Reports a breakdown, which fails the runs.'),
  run_attached: strictObject({ run_id: id }).describe('A run was created in the session.'),
  run_started: strictObject({ run_id: id }).describe('A run of the session began to execute.'),
  run_settled: strictObject({ run_id: id }).describe('A run of the session has ended.'),
}

/** A run of a session that has not ended. */
export interface SessionRun {
  readonly id: string
  readonly executing: boolean
}

/** What the machine keeps; the fields of the resource. */
export interface SessionContext {
  runtime_ms: number | null
  task_runs: readonly SessionRun[]
  error: z.infer<typeof failure> | null
  started_at: number | null
}

type Command = CommandsOf<typeof commands>

interface FromRun {
  readonly context: SessionContext
  readonly event: Extract<Command, { readonly run_id: string }>
}

/** The timers of a session, in milliseconds. */
export const sessionDelays = {
  session_provisioning: 5 * 60_000,
  session_idle: 10 * 60_000,
  session_teardown: 5 * 60_000,
}

const machine = setup({
  types: {
    context: {} as SessionContext,
    events: {} as Command,
    emitted: {} as {
      type: `session.${'queued' | 'running' | 'idle' | 'completing' | 'completed' | 'failed'}`
    },
  },
  guards: { runs_ended: ({ context }) => context.task_runs.length === 0 },
  delays: sessionDelays,
}).createMachine({
  context: { runtime_ms: null, task_runs: [], error: null, started_at: null },
  initial: 'queued',
  states: {
    queued: {
      description: 'Waits for a compute environment.',
      entry: emit({ type: 'session.queued' }),
      after: {
        session_provisioning: {
          target: 'failed',
          actions: assign(failed('timeout', 'the session could not be started in time')),
        },
      },
      on: {
        start: 'running',
        end: 'completing',
        fail: { target: 'failed', actions: assign(({ event }) => ({ error: event.error })) },
        run_attached: { actions: assign(attached) },
        run_settled: { actions: assign(settled) },
      },
    },
    running: {
      description: 'The environment is up, and its runs execute.',
      entry: [assign(started), emit({ type: 'session.running' })],
      on: {
        end: 'completing',
        fail: { target: 'failed', actions: assign(({ event }) => ({ error: event.error })) },
        run_attached: { actions: assign(attached) },
        run_started: { actions: assign(executing) },
        run_settled: [
          { guard: endsExecution, target: 'idle', actions: assign(settled) },
          { actions: assign(settled) },
        ],
      },
    },
    idle: {
      description: 'The environment is up, and no run executes.',
      entry: emit({ type: 'session.idle' }),
      after: { session_idle: 'completing' },
      on: {
        end: 'completing',
        fail: { target: 'failed', actions: assign(({ event }) => ({ error: event.error })) },
        run_attached: { actions: assign(attached) },
        run_started: { target: 'running', actions: assign(executing) },
        run_settled: { actions: assign(settled) },
      },
    },
    completing: {
      description: 'The environment is being torn down.',
      entry: [
        emit({ type: 'session.completing' }),
        tell({ type: 'task_run', by: 'session_id' }, { type: 'cancel', reason: 'session_ended' }),
      ],
      after: {
        session_teardown: {
          target: 'failed',
          actions: assign(failed('teardown_timeout', 'the session could not be torn down in time')),
        },
      },
      on: {
        end: {},
        complete: { guard: 'runs_ended', target: 'completed' },
        fail: { target: 'failed', actions: assign(({ event }) => ({ error: event.error })) },
        run_settled: { actions: assign(settled) },
      },
    },
    completed: {
      type: 'final',
      description: 'The environment is gone.',
      entry: [assign(ended), emit({ type: 'session.completed' })],
    },
    failed: {
      type: 'final',
      description: 'The environment broke down, or was not ready or gone in time.',
      entry: [
        // The runs that fail below cannot report back to a session that has ended.
        assign({ task_runs: [] }),
        assign(ended),
        emit({ type: 'session.failed' }),
        tell({ type: 'task_run', by: 'session_id' }, ({ context: { error } }) => ({
          type: 'fail',
          errors: [{ ...error, type: 'session' }],
        })),
      ],
    },
  },
})

function failed(code: string, message: string) {
  return { error: { type: 'session', code, message } }
}

function started({ context, self }: { context: SessionContext; self: object }) {
  return { started_at: context.started_at ?? now(self).getTime() }
}

function ended({ context: { started_at }, self }: { context: SessionContext; self: object }) {
  return { runtime_ms: started_at === null ? null : now(self).getTime() - started_at }
}

function attached({ context: { task_runs }, event: { run_id } }: FromRun) {
  return { task_runs: [...task_runs, { id: run_id, executing: false }] }
}

function executing({ context: { task_runs }, event: { run_id } }: FromRun) {
  return {
    task_runs: task_runs.map((run) => (run.id === run_id ? { ...run, executing: true } : run)),
  }
}

function settled({ context: { task_runs }, event: { run_id } }: FromRun) {
  return { task_runs: task_runs.filter((run) => run.id !== run_id) }
}

function endsExecution({ context: { task_runs }, event: { run_id } }: FromRun) {
  const running = task_runs.filter((run) => run.executing)
  return running.length === 1 && running[0]?.id === run_id
}

/** Describes the compute environment in which task runs execute. */
export function session({
  session_provisioning,
  session_idle,
  session_teardown,
}: typeof sessionDelays) {
  return defineResource({
    type: 'session',
    prefix: 'sess',
    input: nothing.describe('Creates a session that waits for its environment.'),
    commands,
    machine: machine.provide({ delays: { session_provisioning, session_idle, session_teardown } }),
    summary: ['runtime_ms', 'error'],
    private: ['started_at'],
    internal: ['run_attached', 'run_started', 'run_settled'],
  })
}
