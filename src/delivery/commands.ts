/** What does delivery itself send to a destination? @module */

import type { Context } from '../context.ts'
import type { Command } from '../core/definition.ts'
import { parseCommand } from '../core/payload.ts'
import { planSend } from '../core/plan.ts'
import { isPawlError } from '../errors.ts'
import { DESTINATION } from './deliverer.ts'

/** Which destination, as it was read. */
export interface Addressee {
  readonly id: string
  readonly tenant: string
  /** The version that it has to have still; null for any. */
  readonly version: number | null
}

/** Sends a command of the engine itself; false where the destination has moved on or does not take it any more. */
export async function sendOwn(
  context: Context,
  { id, tenant, version }: Addressee,
  command: Command,
): Promise<boolean> {
  const kind = context.registry.byType.get(DESTINATION)
  if (kind === undefined) return false
  const { parsed } = parseCommand(kind, command, context.limits)
  const caller = { tenant, actor: null, correlationId: null }
  const request = {
    ...{ kind, id, command: parsed, expectedVersion: version, idempotency: null },
    own: true as const,
  }
  try {
    await context.writer.submit(caller, (run) => planSend(run, request))
    return true
  } catch (error) {
    if (isPawlError(error, 'illegal_transition') || isPawlError(error, 'version_conflict'))
      return false
    throw error
  }
}
