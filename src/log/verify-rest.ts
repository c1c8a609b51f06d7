/** Are the timers, references and secrets of a resource what its log led to? @module */

import { referenceIn } from '../core/change.ts'
import type { JsonObject } from '../core/definition.ts'
import type { Kind } from '../core/kind.ts'
import type { Replayed } from '../core/replay.ts'
import { passTime } from '../core/replay-silence.ts'
import { findTimer, type PendingTimer } from '../core/replay-timers.ts'
import type { ResourceRow, TimerRow } from '../core/rows.ts'
import { brief } from '../errors.ts'
import type { ReferenceColumns, ResourceSlice, SecretColumns } from '../store/audit.ts'
import type { Placed } from '../store/queries.ts'
import { type DifferenceKind, differ, type Inspection } from './inspection.ts'
import { kindOf, type Trail } from './verify-trail.ts'

/** What belongs to a resource besides its log. */
export type Belongings = NonNullable<ResourceSlice['rest']> & { readonly row: Placed<ResourceRow> }

/** Compares what belongs to a resource with its log. */
export function verifyRest(inspection: Inspection, trail: Trail, belongings: Belongings): void {
  const { timers, secrets, references, row } = belongings
  inspection.checked.timers += timers.length
  if (trail.state === null || trail.isBroken) return
  const { state } = trail
  const kind = kindOf(inspection, state)
  // The rows were read a moment ago: what has fired since then is among them.
  const now = Math.max(inspection.now, inspection.context.clock.now().getTime())
  verifyTimers(inspection, passTime(kind, state, now), timers)
  verifyReferences(inspection, { state, row, kind }, references)
  if (kind !== undefined) verifySecrets(inspection, kind, state, secrets)
}

function reporter(inspection: Inspection, kind: DifferenceKind, { row }: Replayed) {
  return (message: string) => differ(inspection, { kind, resourceId: row.id }, message)
}

function verifyTimers(inspection: Inspection, state: Replayed, rows: readonly TimerRow[]): void {
  const report = reporter(inspection, 'timer', state)
  const known: TimerRow[] = []
  let pending = state.timers
  for (const row of rows) {
    for (const message of timerRowDefects(state, row)) report(message)
    const timer = findTimer(pending, row)
    if (timer === undefined)
      report(`the ${timerText(row)} is stored, but its log does not leave it pending`)
    else known.push(row)
    pending = pending.filter((other) => other !== timer)
  }
  for (const timer of pending) {
    if (!timer.gone) report(`the ${timerText(timer)} is pending by its log, but not stored`)
  }
  if (!isInOrder(known, state.timers))
    report('its timers are not stored in the order of their setting')
}

/** Whether timers come in the order of others, some of which may be left out. */
function isInOrder(rows: readonly TimerRow[], timers: readonly PendingTimer[]): boolean {
  let next = 0
  return rows.every((row) => {
    while (next < timers.length && findTimer(timers.slice(next, next + 1), row) === undefined)
      next += 1
    next += 1
    return next <= timers.length
  })
}

function timerText({ name, event, dueAt }: Pick<PendingTimer, 'name' | 'event' | 'dueAt'>): string {
  return `timer ${name === null ? '' : `"${name}" `}for ${brief(event)} due at ${dueAt}`
}

/** What a timer's row says wrongly by itself. */
function timerRowDefects({ row }: Replayed, timer: TimerRow): string[] {
  const { tenant, attempts, lastError, nextAt, dueAt } = timer
  const defects: string[] = []
  if (tenant !== row.tenant) defects.push(`of tenant "${tenant}"; it belongs to "${row.tenant}"`)
  const hasFailed = attempts > 0
  if (hasFailed !== (lastError !== null))
    defects.push(`tried ${attempts} times, but its last error is ${brief(lastError)}`)
  if (hasFailed ? nextAt < dueAt : nextAt !== dueAt)
    defects.push(`tried ${attempts} times, but is to be tried next at ${nextAt}`)
  return defects.map((defect) => `the ${timerText(timer)} is ${defect}`)
}

interface Referring {
  readonly state: Replayed
  readonly row: Placed<ResourceRow>
  readonly kind: Kind | undefined
}

function verifyReferences(
  inspection: Inspection,
  { state, row, kind }: Referring,
  references: readonly ReferenceColumns[],
): void {
  const report = reporter(inspection, 'reference', state)
  const fields: JsonObject = JSON.parse(state.row.context)
  const expected = { type: state.row.type, live: Number(!state.row.final), position: row.position }
  // A machine of another version may not have had the field for a reference.
  const isCurrent = kind?.fingerprint === state.row.machine
  for (const field of kind?.references.keys() ?? []) {
    const reference = references.find((stored) => stored.field === field)
    if (reference === undefined && !isCurrent) continue
    const defects = referenceDefects(reference, referenceIn(fields, field), expected)
    for (const defect of defects) report(`the reference in "${field}" ${defect}`)
  }
}

type ReferenceOrigin = Pick<ReferenceColumns, 'type' | 'live' | 'position'>

function referenceDefects(
  reference: ReferenceColumns | undefined,
  target: string | null,
  expected: ReferenceOrigin,
): string[] {
  const found = reference?.targetId ?? null
  const wrong = found === target ? [] : [`is to ${brief(found)}; its log says ${brief(target)}`]
  return reference === undefined ? wrong : [...wrong, ...wrongColumns(reference, expected)]
}

function wrongColumns(reference: ReferenceColumns, expected: ReferenceOrigin): string[] {
  return (['type', 'live', 'position'] as const)
    .filter((column) => reference[column] !== expected[column])
    .map((column) => `has ${column} ${reference[column]} instead of ${expected[column]}`)
}

function verifySecrets(
  inspection: Inspection,
  kind: Kind,
  state: Replayed,
  secrets: readonly SecretColumns[],
): void {
  const { keys } = inspection.context
  const { id, final } = state.row
  const report = reporter(inspection, 'secret', state)
  if (final && kind.secrets.size > 0 && secrets.length > 0)
    report('it has ended, but its secrets are still there')
  if (!inspection.hasKeys) return
  for (const { name, envelope } of secrets) {
    try {
      keys.open({ type: kind.type, id, name }, envelope)
    } catch {
      report(
        `the secret "${name}" opens with none of the keys: it has been altered, or its key is not given`,
      )
    }
  }
}
