/** Which resources does an agent platform consist of? @module */

import { type Duration, toMilliseconds } from '../src/duration.ts'
import { type Issue, invalidInput, refuseIssues } from '../src/errors.ts'
import { taken } from '../src/given.ts'
import { agent } from './agent.ts'
import { credential } from './credential.ts'
import { eventDestination } from './event-destination.ts'
import { session, sessionDelays } from './session.ts'
import { source } from './source.ts'
import { storage, storageDelays } from './storage.ts'
import { task, taskDelays } from './task.ts'
import { taskRun, taskRunDelays } from './task-run.ts'

/** How long the resources wait. */
export interface Timeouts {
  /** For a session to start. @default '5m' */
  readonly session_provisioning?: Duration
  /** For another run in a session before it is torn down. @default '10m' */
  readonly session_idle?: Duration
  /** For a session to be torn down. @default '5m' */
  readonly session_teardown?: Duration
  /** For a run to end, where its task has no `settings.timeout_seconds`. @default '30m' */
  readonly task_run_timeout?: Duration
  /** For the answer to a question of a run. @default '15m' */
  readonly task_run_interaction?: Duration
  /** For a canceled run to confirm. @default '1m' */
  readonly task_run_canceling?: Duration
  /** For a stored file to be deleted. @default '90d' */
  readonly storage_retention?: Duration
}

/** Options of `agentPlatform`. */
export interface AgentPlatformOptions {
  /** How long the resources wait, where that is not the default. */
  readonly timeouts?: Timeouts
}

/** The eight resources, by the property of the engine that they get. */
export interface AgentPlatform {
  readonly agents: typeof agent
  readonly sources: typeof source
  readonly credentials: typeof credential
  readonly sessions: ReturnType<typeof session>
  readonly tasks: ReturnType<typeof task>
  readonly taskRuns: ReturnType<typeof taskRun>
  readonly storageItems: ReturnType<typeof storage>
  readonly eventDestinations: typeof eventDestination
}

const DEFAULTS = {
  ...sessionDelays,
  ...taskDelays,
  ...taskRunDelays,
  ...storageDelays,
} satisfies Readonly<Record<keyof Timeouts, number>>

/**
 * Describes the eight resources of an agent platform.
 *
 * Throws `invalid_input` for an unknown timeout or one that is not a duration.
 *
 * @example
 * createEngine({ resources: { ...agentPlatform({ timeouts: { session_idle: '1h' } }), approvals } })
 */
export function agentPlatform(options: AgentPlatformOptions = {}): AgentPlatform {
  const { timeouts = {} } = takenObject([], options, ['timeouts'])
  const delays = { ...DEFAULTS, ...inMilliseconds(timeouts) }
  return {
    agents: agent,
    sources: source,
    credentials: credential,
    sessions: session(delays),
    tasks: task(delays),
    taskRuns: taskRun(delays),
    storageItems: storage(delays),
    eventDestinations: eventDestination,
  }
}

function inMilliseconds(timeouts: Timeouts): Readonly<Record<string, number>> {
  const given = takenObject(['timeouts'], timeouts, Object.keys(DEFAULTS))
  return Object.fromEntries(
    Object.entries<Duration | undefined>({ ...given }).flatMap(([name, duration]) =>
      duration === undefined ? [] : [[name, toMilliseconds(duration, name)]],
    ),
  )
}

/** Takes an object of options. Throws `invalid_input` for anything else, and for options that do not exist. */
function takenObject<T extends object>(
  path: Issue['path'],
  given: T,
  names: readonly string[],
): Partial<T> {
  const subject = 'the options of agentPlatform'
  const options = taken(given)
  if (typeof options !== 'object' || options === null) {
    throw invalidInput(subject, [{ path, code: 'invalid_type', message: 'has to be an object' }])
  }
  const unknown = Object.keys(options).filter((name) => !names.includes(name))
  refuseIssues(
    subject,
    unknown.map((name) => ({
      path: [...path, name],
      code: path.length === 0 ? 'unknown_option' : 'unknown_timeout',
      message: `is not one of ${names.join(', ')}`,
    })),
  )
  return options
}

// Named here so that declarations of other projects can name them too.
export type { CredentialContext } from './credential.ts'
export type { JsonSchema } from './json-schema.ts'
export type { SessionContext, SessionRun } from './session.ts'
export type { TaskRunContext } from './task-run-data.ts'
