/** What does the log say about a change? @module */

import type { Change } from './change.ts'
import type { Emitted } from './decide.ts'
import type { JsonObject } from './definition.ts'
import type { Kind } from './kind.ts'
import type { Entry, ResourceRow } from './rows.ts'
import type { Run } from './run.ts'
import { summaryOf } from './state.ts'
import { causeOf } from './structure.ts'

/** What the log says of the call behind a change, and where it is written. */
export type Writing = Pick<Run, 'overlay' | 'actor' | 'correlationId' | 'causation'>

/**
 * Adds a change to the log: what the machine emitted or, so that no change goes without a trace, one
 * internal entry. Gives the last of them.
 */
export function writeEntries(run: Writing, change: Change): Entry {
  const [first, ...rest] = change.decision.emitted
  let entry = firstEntry(run, change, first)
  run.overlay.entries.push(entry)
  let { status } = first ?? change.after
  for (const emitted of rest) {
    entry = nextEntry(change, emitted, status, entry)
    run.overlay.entries.push(entry)
    status = emitted.status
  }
  return entry
}

function firstEntry(run: Writing, change: Change, emitted: Emitted | undefined): Entry {
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
    change: JSON.stringify(differenceOf(change)),
    cause,
    actor: run.actor,
    correlationId: run.correlationId,
    causation: run.causation,
    createdAt: after.updatedAt,
  }
}

/** Adds a note to the log: that something was done with a resource which did not change it. */
export function writeNote(run: Run, kind: Kind, row: ResourceRow, cause: string): void {
  run.overlay.entries.push({
    tenant: row.tenant,
    type: `${kind.type}.${cause}`,
    internal: true,
    resourceId: row.id,
    resourceVersion: row.version,
    data: summaryOf(kind, row, row.status, JSON.parse(row.context)),
    previousStatus: null,
    previousMs: null,
    command: null,
    change: null,
    cause,
    actor: run.actor,
    correlationId: run.correlationId,
    causation: run.causation,
    createdAt: Math.max(run.time, row.updatedAt),
  })
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
export interface Difference {
  /** The machine that decided, where it is not that of the change before. */
  readonly machine?: string
  readonly value?: unknown
  readonly memory?: unknown
  /** The fields of the context that are new or have another value. */
  readonly set?: JsonObject
  readonly unset?: readonly string[]
  /** The status that it led to, where its last entry shows another one. */
  readonly status?: string
  /** Whether the resource has ended with it; left out where that is as before. */
  readonly final?: boolean
  /** The timer that sent the command. */
  readonly fired?: TimerMark
  /** The timers that were set and, by name alone, canceled, in this order. */
  readonly timers?: readonly (TimerMark | readonly [name: string])[]
}

/** A timer in the log: its event is left out where it is named like the timer and carries nothing else. */
export type TimerMark = readonly [name: string | null, dueAt: number, event?: JsonObject]

function differenceOf(change: Change): Difference {
  const { before, after } = change
  const difference: { -readonly [Part in keyof Difference]: Difference[Part] } = {}
  if (before?.machine !== after.machine) difference.machine = after.machine
  if (before?.value !== after.value) difference.value = JSON.parse(after.value)
  if ((before?.memory ?? null) !== after.memory)
    difference.memory = JSON.parse(after.memory ?? 'null')
  return Object.assign(
    difference,
    contextDifference(before?.context ?? '{}', after.context),
    unshown(change),
    timersOf(change),
  )
}

/** Where a change led, as far as neither its last entry nor the state before says so. */
function unshown({ before, after, decision }: Change): Difference | null {
  const { status, final } = after
  const shown = decision.emitted.at(-1)?.status ?? status
  if (shown === status && (before?.final ?? false) === final) return null
  return {
    ...(shown !== status && { status }),
    ...((before?.final ?? false) !== final && { final }),
  }
}

function timersOf({ after, decision, fired }: Change): Difference | null {
  // What has ended keeps no timers, whatever its machine says of them.
  const effects = after.final ? [] : decision.timers
  if (fired === null && effects.length === 0) return null
  return {
    ...(fired !== null && { fired: toMark(fired.name, fired.dueAt, JSON.parse(fired.event)) }),
    ...(effects.length > 0 && {
      timers: effects.map((effect) =>
        effect.effect === 'set' ? toMark(effect.name, effect.dueAt, effect.event) : [effect.name],
      ),
    }),
  }
}

function toMark(name: string | null, dueAt: number, event: JsonObject): TimerMark {
  const isPlain = event.type === name && Object.keys(event).length === 1
  return isPlain ? [name, dueAt] : [name, dueAt, event]
}

function contextDifference(before: string, after: string): Difference | null {
  if (before === after) return null
  const [old, fields]: [JsonObject, JsonObject] = [JSON.parse(before), JSON.parse(after)]
  const set = Object.entries(fields).filter(
    ([key, value]) => JSON.stringify(old[key]) !== JSON.stringify(value),
  )
  const unset = Object.keys(old).filter((key) => !Object.hasOwn(fields, key))
  return { set: Object.fromEntries(set), ...(unset.length > 0 && { unset }) }
}
