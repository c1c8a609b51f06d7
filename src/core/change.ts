/** What does a decision write? @module */

import type { Decision, MachineState, TimerEffect } from './decide.ts'
import type { Command, JsonObject } from './definition.ts'
import { writeEntries } from './entries.ts'
import type { Kind } from './kind.ts'
import { putRow } from './overlay.ts'
import type { Entry, ResourceRow, SecretChange, Timer, TimerChange } from './rows.ts'
import type { Run } from './run.ts'

/** The time of a change: that of the call, but never before the resource's latest. */
export function timeFor({ time }: Run, { updatedAt }: ResourceRow): number {
  return Math.max(time, updatedAt)
}

/** The row of a resource after a change. Field by field, since V8 copies a second object many times slower. */
export function nextRow(run: Run, kind: Kind, row: ResourceRow, state: MachineState): ResourceRow {
  const updatedAt = timeFor(run, row)
  return {
    ...row,
    status: state.status,
    final: state.final,
    value: state.value,
    memory: state.memory,
    context: state.context,
    version: row.version + 1,
    machine: kind.fingerprint,
    updatedAt,
    statusSince: state.status === row.status ? row.statusSince : updatedAt,
  }
}

/** A decision about a resource, ready to be written. */
export interface Change {
  readonly kind: Kind
  /** The resource before; null when the change creates it. */
  readonly before: ResourceRow | null
  /** The resource after, with its new version. */
  readonly after: ResourceRow
  readonly decision: Decision
  /** The command as the machine saw it. */
  readonly command: Command
  readonly secrets: readonly SecretChange[]
  /** The timer that sent the command; null when it came from elsewhere. */
  readonly fired: Timer | null
}

/** Writes a change into the overlay of a run; gives its last entry in the log. */
export function writeChange(run: Run, change: Change): Entry {
  const { kind, after, decision } = change
  const { overlay } = run
  putRow(overlay, after)
  overlay.secrets.push(...change.secrets)
  overlay.timers.push(...timerChanges(run, after, decision.timers))
  writeReferences(run, change)
  overlay.actions.push(...decision.actions)
  if (after.final) end(run, kind, after)
  return writeEntries(run, change)
}

function timerChanges(
  run: Run,
  { id, final }: ResourceRow,
  effects: readonly TimerEffect[],
): TimerChange[] {
  if (final) return []
  return effects.map((effect) =>
    effect.effect === 'cancel'
      ? { change: 'cancel', resourceId: id, name: effect.name }
      : {
          change: 'set',
          timer: {
            resourceId: id,
            tenant: run.tenant,
            name: effect.name,
            event: JSON.stringify(effect.event),
            dueAt: effect.dueAt,
          },
        },
  )
}

/** What has ended waits for nothing and keeps no secrets. */
function end({ overlay }: Run, kind: Kind, { id }: ResourceRow): void {
  overlay.timers.push({ change: 'clear', resourceId: id })
  if (kind.keepsSecrets) overlay.secrets.push({ change: 'erase', resourceId: id, name: null })
}

function writeReferences({ overlay }: Run, { kind, before, after }: Change): void {
  // Another machine may have had other references.
  const isNew = before?.machine !== after.machine
  if (kind.references.size === 0 || (!isNew && before?.context === after.context)) return
  const old: JsonObject = before === null || isNew ? {} : JSON.parse(before.context)
  const fields: JsonObject = JSON.parse(after.context)
  for (const field of kind.references.keys()) {
    const targetId = referenceIn(fields, field)
    if (targetId === referenceIn(old, field) && (!isNew || before === null)) continue
    overlay.references.push({ resourceId: after.id, type: kind.type, field, targetId })
  }
}

/** The id in a reference field, if there is one. */
export function referenceIn(fields: JsonObject, field: string): string | null {
  const id = fields[field]
  return typeof id === 'string' ? id : null
}
