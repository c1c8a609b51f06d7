/** How does a task live? @module */

import { assign, emit, setup } from 'xstate'
import { z } from 'zod'
import { type CommandsOf, defineResource } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { type JsonSchema, schemaIssues } from './json-schema.ts'
import { id, name, nothing } from './schemas.ts'

const LONGEST_RUN_SECONDS = 30 * 86_400

const jsonSchema = z.custom<JsonSchema>().superRefine((schema, context) => {
  for (const { path, message } of schemaIssues(schema)) {
    context.addIssue({ code: 'custom', path: [...path], message })
  }
})

const definition = {
  prompt: z.string().nullable(),
  input_schema: jsonSchema.nullable(),
  output_schema: jsonSchema.nullable(),
  storage: strictObject({
    enabled: z.boolean(),
    deduplication: z.boolean().default(false),
  }).nullable(),
  settings: strictObject({ timeout_seconds: z.int().positive().max(LONGEST_RUN_SECONDS) }),
}

const commands = {
  update: strictObject({ name, ...definition })
    .exactPartial()
    .describe('Changes the fields that are given.'),
  promote: nothing.describe(
    'Moves the task one step on: from learning to test, from test to live.',
  ),
  demote: nothing.describe(
    'Moves the task one step back: from live to test, from test to learning.',
  ),
  reset: nothing.describe('Lets the task learn from the beginning.'),
  delete: nothing.describe('Deletes the task for good.'),
}

function inputWith(timeout_seconds: number) {
  return strictObject({
    name,
    agent_id: id,
    prompt: definition.prompt.default(null),
    input_schema: definition.input_schema.default(null),
    output_schema: definition.output_schema.default(null),
    storage: definition.storage.default(null),
    settings: definition.settings.default({ timeout_seconds }),
  }).describe('Creates a task of an agent.')
}

type Command = CommandsOf<typeof commands>

type Context = z.infer<ReturnType<typeof inputWith>>

interface Update {
  readonly event: Extract<Command, { readonly type: 'update' }>
}

/** How long a run of a task may take unless the task says otherwise, in milliseconds. */
export const taskDelays = { task_run_timeout: 30 * 60_000 }

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as Context,
    events: {} as Command,
    emitted: {} as { type: `task.${'created' | 'updated' | 'deleted'}` },
  },
}).createMachine({
  context: ({ input }) => input,
  entry: emit({ type: 'task.created' }),
  initial: 'learning',
  states: {
    learning: {
      description: 'The agent learns how to do the task.',
      on: {
        update: { actions: [assign(changes), emit({ type: 'task.updated' })] },
        promote: { target: 'test', actions: emit({ type: 'task.updated' }) },
        reset: {},
        delete: 'deleted',
      },
    },
    test: {
      description: 'What was learned is being tried.',
      on: {
        update: { actions: [assign(changes), emit({ type: 'task.updated' })] },
        promote: { target: 'live', actions: emit({ type: 'task.updated' }) },
        demote: { target: 'learning', actions: emit({ type: 'task.updated' }) },
        reset: { target: 'learning', actions: emit({ type: 'task.updated' }) },
        delete: 'deleted',
      },
    },
    live: {
      description: 'The task is in regular use.',
      on: {
        update: { actions: [assign(changes), emit({ type: 'task.updated' })] },
        demote: { target: 'test', actions: emit({ type: 'task.updated' }) },
        reset: { target: 'learning', actions: emit({ type: 'task.updated' }) },
        delete: 'deleted',
      },
    },
    deleted: {
      type: 'final',
      description: 'The task is gone.',
      entry: emit({ type: 'task.deleted' }),
    },
  },
})

function changes({ event: { type, ...given } }: Update) {
  return given
}

/** Describes what an agent does, with the shape of its input and output. */
export function task({ task_run_timeout }: typeof taskDelays) {
  return defineResource({
    type: 'task',
    prefix: 'task',
    input: inputWith(task_run_timeout / 1000),
    commands,
    machine,
    summary: ['name', 'agent_id'],
    references: { agent_id: { type: 'agent', restricts: ['delete'] } },
  })
}
