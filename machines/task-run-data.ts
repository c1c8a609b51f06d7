/** What does a run hold, what do its commands take, and does it fit its task? @module */

import { z } from 'zod'
import type { Checked } from '../src/core/definition.ts'
import type { Issue } from '../src/errors.ts'
import type { CommandsOf } from '../src/resource.ts'
import { strictObject } from '../src/strict-object.ts'
import { mismatches } from './json-schema.ts'
import { id, jsonObject, nothing, reason } from './schemas.ts'

/** The input of a run. */
export const input = strictObject({
  task_id: id,
  session_id: id.exactOptional(),
  credential_id: id.nullable().default(null),
  source_id: id.nullable().default(null),
  input: z.unknown().default(null),
})
  .refine(({ source_id, credential_id }) => source_id !== null || credential_id !== null, {
    path: ['source_id'],
    error: 'a source or a credential is required',
  })
  .describe('Queues a run of a task, in a session of its own unless one is given.')

const interaction = strictObject({
  type: z.string().min(1),
  message: z.string(),
  fields: z.array(
    strictObject({ name: z.string().min(1), type: z.string().min(1), label: z.string() }),
  ),
})

const failure = strictObject({
  type: z.string().min(1).default('task'),
  code: z.string().min(1),
  message: z.string().min(1),
  field: z.string().exactOptional(),
})

/** The commands of a run. */
export const commands = {
  start: nothing.describe('Reports that the run executes; its session has to be up.'),
  login_succeeded: nothing.describe('Reports that the source accepted the credential.'),
  login_rejected: strictObject({ reason }).describe('Reports that the source rejected it.'),
  require_interaction: strictObject({ interaction }).describe('Asks the user for input.'),
  submit_interaction: strictObject({ input: jsonObject }).describe(
    'Answers the question; the answer is not kept.',
  ),
  request_review: strictObject({ reason, output: z.unknown().optional() }).describe(
    'Hands the output to a person for approval.',
  ),
  approve: nothing.describe('Accepts the reviewed output.'),
  reject: strictObject({ reason }).describe('Refuses the reviewed output.'),
  complete: strictObject({
    output: z.unknown().optional(),
    result: z.enum(['success', 'unknown']).default('success'),
  }).describe('Reports the output.'),
  fail: strictObject({ errors: z.array(failure).min(1) }).describe('Reports what went wrong.'),
  cancel: strictObject({ reason }).describe('Asks the run to stop; a queued run never begins.'),
  confirm_cancel: nothing.describe('Reports that the run has stopped.'),
}

/** A command of a run. */
export type Command = CommandsOf<typeof commands>

/** The input of a run, with what the engine takes over from the task and the session. */
export type Input = z.infer<typeof input> & {
  readonly agent_id: string
  readonly session_id: string
  readonly settings: { readonly timeout_seconds: number }
}

/** The fields of a run, and what only its machine sees. */
export interface TaskRunContext {
  task_id: string
  agent_id: string
  session_id: string
  credential_id: string | null
  source_id: string | null
  input: unknown
  output: unknown
  result: 'success' | 'failure' | 'unknown' | null
  errors: readonly z.infer<typeof failure>[]
  interaction: z.infer<typeof interaction> | null
  runtime_ms: number | null
  authenticated_at: string | null
  canceled_at: string | null
  started_at: number | null
  timeout_seconds: number
}

/** What the statuses of a run are called. */
export type Status =
  | 'queued'
  | 'running'
  | 'interaction_required'
  | 'pending'
  | 'canceling'
  | 'completed'
  | 'failed'
  | 'canceled'

/** The fields that the events of a run show. */
export const summary = [
  'result',
  'task_id',
  'agent_id',
  'session_id',
  'credential_id',
  'source_id',
  'runtime_ms',
  'interaction',
  'errors',
  'canceled_at',
] as const

/** What a run and its commands have to fit, beyond their shape. */
export const check = {
  create: inputIssues,
  request_review: outputIssues,
  complete: outputIssues,
  submit_interaction: answerIssues,
}

function inputIssues({ payload, references }: Checked): readonly Issue[] {
  const { task_id: task, credential_id: credential, source_id: source } = references
  const schema = task?.input_schema ?? null
  const issues = schema === null ? [] : mismatches(schema, payload.input, ['input'])
  if (!credential || credential.source_id === source?.id) return issues
  const message = `must be the source of the credential, ${credential.source_id}`
  return [...issues, { path: ['source_id'], code: 'other_source', message }]
}

function outputIssues({ payload, references }: Checked): readonly Issue[] {
  const schema = references.task_id?.output_schema ?? null
  if (schema === null) return []
  if (payload.output !== undefined) return mismatches(schema, payload.output, ['output'])
  const message = 'is required, because the task has an output_schema'
  return [{ path: ['output'], code: 'required', message }]
}

function answerIssues({ payload, resource }: Checked): readonly Issue[] {
  const asked = interaction.safeParse(resource?.interaction).data?.fields ?? []
  const answered = Object.keys(payload.input ?? {})
  return asked
    .filter(({ name }) => !answered.includes(name))
    .map(({ name }) => ({ path: ['input', name], code: 'required', message: 'is not answered' }))
}
