/** What do `create`, `send`, `trySend`, `explain` and `reveal` do? @module */

import type { Context } from '../context.ts'
import type { Kind } from '../core/kind.ts'
import { createOverlay } from '../core/overlay.ts'
import { parseCommand, parseInput } from '../core/payload.ts'
import { planCreate, planReveal, planSend } from '../core/plan.ts'
import { type Blocker, isPawlError, type PawlErrorOf, type RefusalReason } from '../errors.ts'
import {
  type CreateOptions,
  checkId,
  type RevealOptions,
  type SendOptions,
  toCaller,
  toCreateOptions,
  toRevealOptions,
  toSendOptions,
} from './options.ts'
import { type Outcome, toIdempotency, toOutcome } from './outcomes.ts'
import { toRun } from './writer.ts'

/** Whether a command would be accepted now, and why not. */
export type Explanation =
  | { readonly accepted: true }
  | {
      readonly accepted: false
      readonly reason: RefusalReason
      readonly message: string
      readonly blockers: readonly Blocker[]
    }

/** The outcome of a command, or why it was refused. */
export type Attempt<T = Outcome> =
  | ({ readonly ok: true } & T)
  | { readonly ok: false; readonly error: PawlErrorOf<'illegal_transition' | 'version_conflict'> }

/** Creates a resource. */
export async function createResource(
  context: Context,
  tenant: string,
  kind: Kind,
  input: unknown,
  given?: CreateOptions,
): Promise<Outcome> {
  const options = toCreateOptions(given)
  const payload = parseInput(kind, input, context.limits)
  const request = {
    kind,
    id: context.ids.next(kind.prefix, context.clock.now().getTime()),
    input: payload.parsed,
    idempotency: toIdempotency(context, options.idempotencyKey, {
      ...{ kind, command: 'create', id: null, given: payload.given },
    }),
  }
  const caller = toCaller(context, tenant, options)
  return toOutcome(context, await context.writer.submit(caller, (run) => planCreate(run, request)))
}

/** Sends a command to a resource. */
export async function sendCommand(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
  command: unknown,
  given?: SendOptions,
): Promise<Outcome> {
  checkId(id)
  const options = toSendOptions(given)
  const payload = parseCommand(kind, command, context.limits)
  const request = {
    kind,
    id,
    command: payload.parsed,
    expectedVersion: options.expectedVersion ?? null,
    idempotency: toIdempotency(context, options.idempotencyKey, {
      ...{ kind, command: payload.parsed.type, id, given: payload.given },
    }),
  }
  const caller = toCaller(context, tenant, options)
  const { writer } = context
  return toOutcome(context, await writer.submit(caller, (run) => planSend(run, request)))
}

/** Sends a command, giving refusals and version conflicts as values. */
export async function trySendCommand(
  ...args: Parameters<typeof sendCommand>
): Promise<Attempt<Outcome>> {
  try {
    return { ok: true, ...(await sendCommand(...args)) }
  } catch (error) {
    if (isPawlError(error, 'illegal_transition') || isPawlError(error, 'version_conflict'))
      return { ok: false, error }
    throw error
  }
}

/** Tells whether a command would be accepted now, and why not. */
export async function explainCommand(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
  command: unknown,
): Promise<Explanation> {
  checkId(id)
  const { parsed } = parseCommand(kind, command, context.limits)
  const request = { kind, id, command: parsed, expectedVersion: null, idempotency: null }
  const caller = { tenant, actor: null, correlationId: null }
  try {
    // Decided like a command, in an overlay that is then dropped.
    await context.store.read(() => planSend(toRun(context, createOverlay(), caller), request))
    return { accepted: true }
  } catch (error) {
    if (!isPawlError(error, 'illegal_transition')) throw error
    const { reason, blockers } = error.details
    return { accepted: false, reason, message: error.message, blockers }
  }
}

/** Reads the secrets of a resource, decrypted, by name; leaves a note in its log. */
export async function revealSecrets(
  context: Context,
  tenant: string,
  kind: Kind,
  id: string,
  given?: RevealOptions,
): Promise<Readonly<Record<string, unknown>>> {
  checkId(id)
  const options = toRevealOptions(given)
  const caller = toCaller(context, tenant, options)
  return (await context.writer.submit(caller, (run) => planReveal(run, kind, id))).value
}
