/** Does what a resource refers to allow what is asked? @module */

import { type Blocker, type Issue, invalidInput, notFound } from '../errors.ts'
import { referenceIn } from './change.ts'
import type { JsonObject, Reference, ResourceView } from './definition.ts'
import { calling, type Kind } from './kind.ts'
import { refusal } from './legality.ts'
import { loadReferrers, lookAtRow, type Plan } from './questions.ts'
import type { ResourceRow } from './rows.ts'
import { kindOf, type Run } from './run.ts'
import { fullViewOf } from './state.ts'
import { asMigrated } from './versions.ts'

/** Loads what a field refers to. Throws `not_found` for an id that does not exist for this tenant and type. */
export function* loadTarget(run: Run, { type }: Reference, id: string): Plan<ResourceRow> {
  const row = yield* lookAtRow(run.overlay, id)
  if (row === undefined || row.tenant !== run.tenant || row.type !== type) throw notFound(id, type)
  return asMigrated(kindOf(run, type), row)
}

/** Says why a resource cannot be referred to now; nothing when it can. */
export function referenceBlocker({ status }: Reference, target: ResourceRow): Blocker[] {
  if (status === undefined ? !target.final : status.includes(target.status)) return []
  const allowed = status === undefined ? 'not ended' : status.join(', ')
  const message = `${target.type} ${target.id} is "${target.status}" and has to be ${allowed}`
  return [{ code: 'status', message, resource_id: target.id }]
}

/** Checks the references in which a decision's context differs from what has been checked before. */
export function* requireReferences(
  run: Run,
  kind: Kind,
  row: ResourceRow | null,
  command: string,
  { checked, context }: { readonly checked: JsonObject; readonly context: JsonObject },
): Plan<void> {
  const blockers: Blocker[] = []
  for (const [field, reference] of kind.references) {
    const id = referenceIn(context, field)
    if (id === null || id === referenceIn(checked, field)) continue
    blockers.push(...referenceBlocker(reference, yield* loadTarget(run, reference, id)))
  }
  if (blockers.length > 0) throw refusal(kind, row, command, 'reference', blockers)
}

// A refusal names this many of the resources that are in the way; one is enough to refuse.
const NAMED_BLOCKERS = 10

/** Refuses a command that live resources forbid by referring to this one. */
export function* requireUnused(
  run: Run,
  kind: Kind,
  row: ResourceRow,
  command: string,
): Plan<void> {
  const fields = run.registry.restrictions.get(kind.type)?.get(command) ?? []
  const blockers: Blocker[] = []
  for (const field of fields) {
    for (const { id, type, status } of yield* loadReferrers(
      run.overlay,
      row.id,
      field,
      NAMED_BLOCKERS,
    )) {
      blockers.push({
        code: 'in_use',
        message: `${type} ${id} ("${status}") refers to it`,
        resource_id: id,
      })
    }
  }
  if (blockers.length > 0)
    throw refusal(kind, row, command, 'in_use', blockers.slice(0, NAMED_BLOCKERS))
}

/** Runs the definition's own check. */
export function* requireContent(
  run: Run,
  kind: Kind,
  row: ResourceRow | null,
  command: string,
  { payload, context }: { readonly payload: JsonObject; readonly context: string },
): Plan<void> {
  const check = kind.check(command)
  if (check === undefined) return
  const references = yield* targetViews(run, kind, JSON.parse(context))
  const resource = row && fullViewOf(kind, row)
  const found = calling(kind, 'check', () =>
    findings(check({ command, payload, resource, references })),
  )
  const issues = found.filter((item) => 'path' in item)
  if (issues.length > 0) throw invalidInput(`"${command}" of ${kind.type}`, issues)
  const blockers = found.filter((item) => !('path' in item))
  if (blockers.length > 0) throw refusal(kind, row, command, 'reference', blockers)
}

/** What a check found; one that does not say so in the agreed form may not pass for one that found nothing. */
function findings(found: unknown): readonly (Blocker | Issue)[] {
  if (Array.isArray(found) && found.every(isFinding)) return found
  throw new TypeError('it has to give a list of { code, message } and { path, code, message }')
}

function isFinding(found: unknown): boolean {
  if (typeof found !== 'object' || found === null) return false
  const { code, message, path = [] }: { code?: unknown; message?: unknown; path?: unknown } = found
  return typeof code === 'string' && typeof message === 'string' && Array.isArray(path)
}

function* targetViews(
  run: Run,
  kind: Kind,
  fields: JsonObject,
): Plan<Record<string, ResourceView | null>> {
  const views: Record<string, ResourceView | null> = {}
  for (const [field, reference] of kind.references) {
    const id = referenceIn(fields, field)
    views[field] =
      id === null
        ? null
        : fullViewOf(kindOf(run, reference.type), yield* loadTarget(run, reference, id))
  }
  return views
}
