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
  const { kind, before, after, decision, command } = change
  const cause = causeOf(kind.nodes, command.type)
  const [first, ...rest] = decision.emitted
  const opening: Opening = {
    internal: first === undefined,
    command: JSON.stringify(command),
    change: differenceOf(before, after),
  }
  const unspoken = { type: `${kind.type}.${cause}`, status: after.status, context: JSON.parse(after.context) }
  let from = before && { status: before.status, since: before.statusSince }
  let entry = entryOf(run, change, first ?? unspoken, { ...opening, cause, from, causation: run.causation })
  run.layer.entries.push(entry)
  for (const emitted of rest) {
    from = { status: (first ?? unspoken).status, since: after.updatedAt }
    entry = entryOf(run, change, emitted, { ...CONTINUED, cause, from, causation: entry })
    run.layer.entries.push(entry)
  }
  return entry
}

type Opening = Pick<Entry, 'internal' | 'command' | 'change'>

const CONTINUED: Opening = { internal: false, command: null, change: null }

interface Place extends Opening {
  readonly cause: string
  readonly from: { readonly status: string; readonly since: number } | null
  readonly causation: Entry | null
}

function entryOf(run: Run, { kind, after }: Change, emitted: Emitted, { from, ...place }: Place): Entry {
  const moved = from !== null && from.status !== emitted.status
  return {
    ...place,
    tenant: after.tenant,
    type: emitted.type,
    resourceId: after.id,
    resourceVersion: after.version,
    data: summaryOf(kind, after, emitted.status, emitted.context),
    previousStatus: moved ? from.status : null,
    previousMs: moved ? after.updatedAt - from.since : null,
    actor: run.actor,
    correlationId: run.correlationId,
    createdAt: after.updatedAt,
  }
}

/** What is different after a change: enough to go from one state to the next without the machine. */
function differenceOf(before: ResourceRow | null, after: ResourceRow): string {
  const value = before?.value === after.value ? {} : { value: JSON.parse(after.value) }
  const memory = (before?.memory ?? null) === after.memory ? {} : { memory: JSON.parse(after.memory ?? 'null') }
  return JSON.stringify({ ...value, ...memory, ...contextDifference(before?.context ?? '{}', after.context) })
}

function contextDifference(before: string, after: string): JsonObject {
  if (before === after) return {}
  const [old, fields]: [JsonObject, JsonObject] = [JSON.parse(before), JSON.parse(after)]
  const set = Object.entries(fields).filter(([key, value]) => JSON.stringify(old[key]) !== JSON.stringify(value))
  const unset = Object.keys(old).filter((key) => !Object.hasOwn(fields, key))
  return { set: Object.fromEntries(set), ...(unset.length > 0 && { unset }) }
}
