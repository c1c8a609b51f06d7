/** How does a task run live, from the queue to its result? @module */

import { assign, emit, setup } from 'xstate'
import type { ResourceView } from '../src/core/definition.ts'
import { defineResource, now, tell } from '../src/resource.ts'
import {
  type Command,
  check,
  commands,
  type Input,
  input,
  type Status,
  summary,
  type TaskRunContext,
} from './task-run-data.ts'

interface On<Name extends Command['type']> {
  readonly context: TaskRunContext
  readonly event: Extract<Command, { readonly type: Name }>
}

/** The timers of a run that do not depend on its task, in milliseconds. */
export const taskRunDelays = { task_run_interaction: 15 * 60_000, task_run_canceling: 60_000 }

const machine = setup({
  types: {
    context: {} as TaskRunContext,
    input: {} as Input,
    events: {} as Command,
    emitted: {} as { type: `task_run.${Status}` },
  },
  actions: {
    leaveSession: tell('session_id', ({ self }) => ({ type: 'run_settled', run_id: self.id })),
  },
  guards: { has_credential: ({ context }) => context.credential_id !== null },
  delays: {
    ...taskRunDelays,
    task_run_timeout: ({ context }) => Math.round(context.timeout_seconds * 1000),
  },
}).createMachine({
  context: ({ input }) => ({
    task_id: input.task_id,
    agent_id: input.agent_id,
    session_id: input.session_id,
    credential_id: input.credential_id,
    source_id: input.source_id,
    input: input.input,
    output: null,
    result: null,
    errors: [],
    interaction: null,
    runtime_ms: null,
    authenticated_at: null,
    canceled_at: null,
    started_at: null,
    timeout_seconds: input.settings.timeout_seconds,
  }),
  initial: 'queued',
  states: {
    queued: {
      description: 'Waits for its session.',
      entry: [
        emit({ type: 'task_run.queued' }),
        tell('session_id', ({ self }) => ({ type: 'run_attached', run_id: self.id }), {
          required: true,
        }),
      ],
      on: {
        start: {
          target: 'active',
          actions: [
            assign(({ self }) => ({ started_at: now(self).getTime() })),
            tell('session_id', ({ self }) => ({ type: 'run_started', run_id: self.id }), {
              required: true,
            }),
          ],
        },
        fail: { target: 'failed', actions: assign(failed) },
        cancel: 'canceled',
      },
    },
    active: {
      description: 'Executes; its time limit goes on through questions and reviews.',
      after: {
        task_run_timeout: {
          target: 'failed',
          actions: assign(
            because('task', 'timeout', 'the run exceeded the time limit of its task'),
          ),
        },
      },
      on: {
        fail: { target: 'failed', actions: assign(failed) },
        cancel: 'canceling',
      },
      initial: 'running',
      states: {
        running: {
          description: 'Works on the source.',
          entry: emit({ type: 'task_run.running' }),
          on: {
            login_succeeded: {
              guard: 'has_credential',
              actions: [assign(authenticated), tell('credential_id', { type: 'verify' })],
            },
            login_rejected: {
              guard: 'has_credential',
              target: '#failed',
              actions: [assign(loginRejected), tell('credential_id', { type: 'reject' })],
            },
            require_interaction: {
              target: 'interaction_required',
              actions: assign(({ event: { interaction } }) => ({ interaction })),
            },
            request_review: {
              target: 'pending',
              actions: assign(({ event: { output = null } }) => ({ output })),
            },
            complete: {
              target: '#completed',
              actions: assign(({ event: { output = null, result } }) => ({ output, result })),
            },
          },
        },
        interaction_required: {
          description: 'Waits for an answer of the user.',
          entry: emit({ type: 'task_run.interaction_required' }),
          after: {
            task_run_interaction: {
              target: '#failed',
              actions: assign(
                because('interaction', 'interaction_timeout', 'nobody answered in time'),
              ),
            },
          },
          on: { submit_interaction: 'running' },
          exit: assign({ interaction: null }),
        },
        pending: {
          description: 'Waits for a person to approve the output.',
          entry: emit({ type: 'task_run.pending' }),
          on: {
            approve: { target: '#completed', actions: assign({ result: 'success' }) },
            reject: { target: '#failed', actions: assign(rejected) },
          },
        },
      },
    },
    canceling: {
      description: 'Is asked to stop.',
      entry: emit({ type: 'task_run.canceling' }),
      after: { task_run_canceling: 'canceled' },
      on: {
        fail: { target: 'failed', actions: assign(failed) },
        cancel: {},
        confirm_cancel: 'canceled',
      },
    },
    completed: {
      id: 'completed',
      type: 'final',
      description: 'Has its output.',
      entry: [assign(ended), emit({ type: 'task_run.completed' }), 'leaveSession'],
    },
    failed: {
      id: 'failed',
      type: 'final',
      description: 'Ended without a result, for the reasons in its errors.',
      entry: [
        assign(ended),
        assign({ result: 'failure' }),
        emit({ type: 'task_run.failed' }),
        'leaveSession',
      ],
    },
    canceled: {
      type: 'final',
      description: 'Was stopped before it had a result.',
      entry: [
        assign(ended),
        assign(({ self }) => ({ canceled_at: now(self).toISOString() })),
        emit({ type: 'task_run.canceled' }),
        'leaveSession',
      ],
    },
  },
})

function because(type: string, code: string, message: string) {
  return { errors: [{ type, code, message }] }
}

function failed({ event: { errors } }: On<'fail'>) {
  return { errors }
}

function loginRejected({ event: { reason } }: On<'login_rejected'>) {
  return because('auth', 'auth_invalid', reason || 'the source rejected the credential')
}

function rejected({ event: { reason } }: On<'reject'>) {
  return because('task', 'rejected', reason || 'the output was not approved')
}

function authenticated({ context, self }: { context: TaskRunContext; self: object }) {
  return { authenticated_at: context.authenticated_at ?? now(self).toISOString() }
}

function ended({ context: { started_at }, self }: { context: TaskRunContext; self: object }) {
  return { runtime_ms: started_at === null ? null : now(self).getTime() - started_at }
}

/** Describes one execution of a task in a session. */
export function taskRun({ task_run_interaction, task_run_canceling }: typeof taskRunDelays) {
  return defineResource({
    type: 'task_run',
    prefix: 'trun',
    input,
    commands,
    machine: machine.provide({ delays: { task_run_interaction, task_run_canceling } }),
    summary,
    private: ['started_at', 'timeout_seconds'],
    references: {
      task_id: {
        type: 'task',
        restricts: ['delete'],
        copy: ({ agent_id, settings }: ResourceView) => ({ agent_id, settings }),
      },
      agent_id: 'agent',
      session_id: { type: 'session', status: ['queued', 'running', 'idle'] },
      credential_id: {
        type: 'credential',
        status: ['unverified', 'verified'],
        copy: ({ source_id }: ResourceView) => ({ source_id }),
      },
      source_id: { type: 'source', restricts: ['delete'] },
    },
    companion: { session_id: { type: 'session' } },
    // The answers are for the agent at work: a code from an app is of no use later.
    secrets: { answers: { path: 'input', on: ['submit_interaction'], keep: false } },
    check,
  })
}
