/** How does a resource come to be, with what it needs? @module */

import type { Blocker } from '../errors.ts'
import { type Shown, tellAll } from './act.ts'
import { referenceIn, writeChange } from './change.ts'
import { decideCreate } from './decide.ts'
import type { JsonObject } from './definition.ts'
import { UNLIMITED } from './json.ts'
import { calling, type Kind } from './kind.ts'
import { refusal } from './legality.ts'
import { parseInput } from './payload.ts'
import type { Plan } from './questions.ts'
import { loadTarget, referenceBlocker, requireContent, requireReferences } from './references.ts'
import type { Entry, ResourceRow } from './rows.ts'
import { deeper, kindOf, type Run } from './run.ts'
import { keepSecrets, stripSecrets } from './secrets.ts'
import { fullViewOf } from './state.ts'

/** What is to be created. */
export interface Creation {
  readonly kind: Kind
  readonly id: string
  /** The input, as its schema gave it. */
  readonly input: JsonObject
}

interface Created {
  readonly row: ResourceRow
  readonly entry: Entry
  readonly secrets: Shown
}

/** Creates a resource, after the companions that it lacks. */
export function* create(run: Run, { kind, id, input }: Creation): Plan<Created> {
  const { fields, entry: companionEntry } = yield* createCompanions(run, kind, input)
  const completed = yield* completeInput(run, kind, fields)
  const { visible, carried } = stripSecrets(kind, 'create', completed)
  const decision = decideCreate(kind, visible, { id, time: run.time })
  const { context } = decision.state
  const references = { checked: completed, context: JSON.parse(context) }
  yield* requireReferences(run, kind, null, 'create', references)
  yield* requireContent(run, kind, null, 'create', { payload: completed, context })
  const { changes: secrets, shown } = yield* keepSecrets(run, kind, id, 'create', carried)
  const row = firstRow(run, kind, id, decision.state)
  const caused = { ...run, causation: companionEntry ?? run.causation }
  const command = { type: 'create', input: visible }
  const entry = writeChange(caused, {
    ...{ kind, before: null, after: row, decision, command, secrets, fired: null },
  })
  yield* tellAll(
    caused,
    { kind, before: null, after: row, command: 'create', entry },
    decision.tells,
  )
  return { row, entry, secrets: shown }
}

function firstRow(
  run: Run,
  kind: Kind,
  id: string,
  state: ReturnType<typeof decideCreate>['state'],
): ResourceRow {
  return {
    id,
    tenant: run.tenant,
    type: kind.type,
    status: state.status,
    version: 1,
    final: state.final,
    value: state.value,
    memory: state.memory,
    context: state.context,
    machine: kind.fingerprint,
    createdAt: run.time,
    updatedAt: run.time,
    statusSince: run.time,
    head: null,
    latest: 0,
    entries: 0,
  }
}

interface Accompanied {
  readonly fields: JsonObject
  /** The last entry of the companions. */
  readonly entry: Entry | null
}

function* createCompanions(run: Run, kind: Kind, input: JsonObject): Plan<Accompanied> {
  let accompanied: Accompanied = { fields: input, entry: null }
  for (const [field, companion] of kind.companions) {
    if (referenceIn(input, field) !== null) continue
    const other = kindOf(run, companion.type)
    const given = calling(kind, `companion "${field}"`, () => companion.input?.(input) ?? {})
    const creation = {
      kind: other,
      id: run.mint(other.prefix),
      input: parseInput(other, given, UNLIMITED).parsed,
    }
    const { row, entry } = yield* create(deeper(run, kind, accompanied.entry), creation)
    accompanied = { fields: { ...accompanied.fields, [field]: row.id }, entry }
  }
  return accompanied
}

/** Checks what the input refers to and takes over what it leaves out. */
function* completeInput(run: Run, kind: Kind, input: JsonObject): Plan<JsonObject> {
  let completed = input
  const blockers: Blocker[] = []
  for (const [field, reference] of kind.references) {
    const id = referenceIn(completed, field)
    if (id === null) continue
    const target = yield* loadTarget(run, reference, id)
    blockers.push(...referenceBlocker(reference, target))
    if (reference.copy === undefined) continue
    const { copy } = reference
    const view = fullViewOf(kindOf(run, reference.type), target)
    const copied = calling(kind, `copy of "${field}"`, () => copy(view))
    completed = { ...completed, ...lacking(completed, copied) }
  }
  if (blockers.length > 0) throw refusal(kind, null, 'create', 'reference', blockers)
  return completed
}

function lacking(input: JsonObject, copied: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(copied).filter(([key]) => (input[key] ?? null) === null))
}
