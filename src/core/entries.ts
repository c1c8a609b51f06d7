/** What does the log say about a change? @module */

import type { Change } from './change.ts'
import type { Emitted } from './decide.ts'
import type { JsonObject } from './definition.ts'
import type { Entry, ResourceRow } from './rows.ts'
import type { Run } from './run.ts'
import { summaryOf } from './state.ts'
import { causeOf } from './structure.ts'

/**
 * Adds a change to the log: what the machine emitted or, so that no change goes without a trace, one
 * internal entry. Gives the last of them.
 */
export function writeEntries(run: Run, change: Change): Entry {
  const [first, ...rest] = change.decision.emitted
  let entry = firstEntry(run, change, first)
  run.layer.entries.push(entry)
  let { status } = first ?? change.after
  for (const emitted of rest) {
    entry = nextEntry(change, emitted, status, entry)
    run.layer.entries.push(entry)
    status = emitted.status
  }
  return entry
}

function firstEntry(run: Run, change: Change, emitted: Emitted | undefined): Entry {
  const { kind, before, after, command } = change
  const cause = causeOf(kind.nodes, command.type)
  const shown = emitted ?? unspoken(change, cause)
  const moved = before !== null && before.status !== shown.status
  return {
    tenant: after.tenant,
    type: shown.type,
    internal: emitted === undefined,
    resourceId: after.id,
    resourceVersion: after.version,
    data: summaryOf(kind, after, shown.status, shown.context),
    previousStatus: moved ? before.status : null,
    previousMs: moved ? after.updatedAt - before.statusSince : null,
    command: JSON.stringify(command),
    change: differenceOf(before, after),
    cause,
    actor: run.actor,
    correlationId: run.correlationId,
    causation: run.causation,
    createdAt: after.updatedAt,
  }
}

/** What stands in the log for a change that the machine says nothing about. */
function unspoken({ kind, after }: Change, cause: string): Emitted {
  return { type: `${kind.type}.${cause}`, status: after.status, context: JSON.parse(after.context) }
}

/** A further entry of the same change: its command and difference stand with the first. */
function nextEntry({ kind, after }: Change, emitted: Emitted, from: string, before: Entry): Entry {
  const moved = from !== emitted.status
  return {
    ...before,
    type: emitted.type,
    data: summaryOf(kind, after, emitted.status, emitted.context),
    previousStatus: moved ? from : null,
    previousMs: moved ? 0 : null,
    command: null,
    change: null,
    causation: before,
  }
}

/** What is different after a change: enough to go from one state to the next without the machine. */
function differenceOf(before: ResourceRow | null, after: ResourceRow): string {
  const value = before?.value === after.value ? {} : { value: JSON.parse(after.value) }
  const memory =
    (before?.memory ?? null) === after.memory ? {} : { memory: JSON.parse(after.memory ?? 'null') }
  return JSON.stringify({
    ...value,
    ...memory,
    ...contextDifference(before?.context ?? '{}', after.context),
  })
}

function contextDifference(before: string, after: string): JsonObject {
  if (before === after) return {}
  const [old, fields]: [JsonObject, JsonObject] = [JSON.parse(before), JSON.parse(after)]
  const set = Object.entries(fields).filter(
    ([key, value]) => JSON.stringify(old[key]) !== JSON.stringify(value),
  )
  const unset = Object.keys(old).filter((key) => !Object.hasOwn(fields, key))
  return { set: Object.fromEntries(set), ...(unset.length > 0 && { unset }) }
}
