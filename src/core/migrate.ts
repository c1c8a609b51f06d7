/** How is a resource taken to the registered version of its machine, and written down? @module */

import { machineInvalid, shown } from '../errors.ts'
import { nextRow, referenceIn, writeChange } from './change.ts'
import type { JsonObject } from './definition.ts'
import type { Kind } from './kind.ts'
import { moveTimers } from './moved-timers.ts'
import { loadRow, loadTimers, lookAtRow, type Plan } from './questions.ts'
import type { ResourceRow } from './rows.ts'
import type { Run } from './run.ts'
import { isCovered, migratedState, versionOf } from './versions.ts'

/** Plans the migration of a resource; gives the version that it had, null when there is nothing to do. */
export function* planMigration(run: Run, kind: Kind, id: string): Plan<number | null> {
  const row = yield* loadRow(run.overlay, id)
  if (row === undefined || !isCovered(kind, row.machine)) return null
  yield* migrate(run, kind, row)
  return versionOf(row.machine)
}

/**
 * The resource that a command has reached: one of an earlier version is migrated first, if it can be.
 * Throws `machine_invalid` for one of a later version: whoever migrates it would migrate it again.
 */
export function* upToDate(run: Run, kind: Kind, row: ResourceRow): Plan<ResourceRow> {
  if (row.machine === kind.fingerprint) return row
  const version = versionOf(row.machine)
  if (version > kind.version) {
    const reason = `${row.id} is of version ${version}, and this engine has version ${kind.version}; start it with the later one`
    throw machineInvalid(kind.type, reason)
  }
  return isCovered(kind, row.machine) ? yield* migrate(run, kind, row) : row
}

/** Migrates a resource: a change of its own, which the log shows. Throws `machine_invalid`. */
function* migrate(run: Run, kind: Kind, before: ResourceRow): Plan<ResourceRow> {
  const after = nextRow(run, kind, before, migratedState(kind, before))
  const context: JsonObject = JSON.parse(after.context)
  yield* requireTargets(run, kind, context)
  const pending = yield* loadTimers(run.overlay, before.id)
  const timers = moveTimers(kind, after, pending)
  const decision = { state: after, emitted: [], timers, tells: [], actions: [] }
  const command = { type: 'migrate', from: versionOf(before.machine), to: kind.version }
  writeChange(run, { kind, before, after, decision, command, secrets: [], fired: null })
  return after
}

function* requireTargets(run: Run, kind: Kind, context: JsonObject): Plan<void> {
  for (const [field, { type }] of kind.references) {
    const id = referenceIn(context, field)
    if (id === null) continue
    const target = yield* lookAtRow(run.overlay, id)
    if (target?.tenant === run.tenant && target.type === type) continue
    throw machineInvalid(
      kind.type,
      `its migrate leaves ${shown(id)} in "${field}", but there is no such ${type}`,
    )
  }
}
