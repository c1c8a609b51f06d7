/** Do the outcomes that are kept for idempotency keys agree with the log? @module */

import { toIso } from '../clock.ts'
import type { JsonObject } from '../core/definition.ts'
import type { Difference } from '../core/entries.ts'
import { outcomePlace } from '../core/plan.ts'
import { isNote } from '../core/replay.ts'
import type { ResourceRow, SealedEntry } from '../core/rows.ts'
import { brief, messageOf } from '../errors.ts'
import type { OutcomeColumns, OutcomeGround } from '../store/audit.ts'
import { differ, type Inspection, readable } from './inspection.ts'

// Each of them takes a look at its resource and its events.
const AT_ONCE = 100

/** Checks the outcomes, slice by slice. */
export async function verifyOutcomes(inspection: Inspection): Promise<void> {
  await readable(inspection, null, 'pawl_outcomes', async () => {
    let last: OutcomeColumns | null = null
    for (;;) {
      const outcomes: readonly OutcomeColumns[] = await inspection.context.store.outcomesAfter(
        last,
        AT_ONCE,
      )
      for (const outcome of outcomes) await verifyOutcome(inspection, outcome)
      last = outcomes.at(-1) ?? null
      if (outcomes.length < AT_ONCE) return
    }
  })
}

/** What an outcome showed of its resource. */
interface View extends JsonObject {
  readonly id: string
  readonly object: string
  readonly status: string
  readonly version: number
  readonly created_at: string
  readonly updated_at: string
}

async function verifyOutcome(inspection: Inspection, outcome: OutcomeColumns): Promise<void> {
  const [view, events] = [parsed(outcome.resource), parsed(outcome.events)]
  const name = `the outcome of key ${JSON.stringify(outcome.key)} of tenant "${outcome.tenant}"`
  const report = (resourceId: string | null) => (message: string) =>
    differ(inspection, { kind: 'outcome', resourceId }, `${name}: ${message}`)
  if (!isView(view))
    return report(null)(`it does not show a resource, but ${brief(outcome.resource)}`)
  const say = report(view.id)
  if (![0, 1].includes(outcome.changed)) say(`changed is ${outcome.changed}`)
  if (!arePlaces(events))
    return say(`its events are not places of the log, but ${brief(outcome.events)}`)
  const { store } = inspection.context
  const found = await readable(inspection, view.id, name, () =>
    store.outcomeGround(view.id, view.version, events),
  )
  if (found === undefined) return
  for (const message of eventDefects(outcome, events, found.read)) say(message)
  for (const message of compared(() => viewDefects(outcome, view, found.read))) say(message)
  if (!opens(inspection, outcome)) say('its secrets open with none of the keys')
}

/** What a comparison finds; a row that has been altered may not even be comparable. */
function compared(compare: () => string[]): string[] {
  try {
    return compare()
  } catch (error) {
    return [`it cannot be compared: ${messageOf(error)}`]
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const TEXTS = ['id', 'object', 'status', 'created_at', 'updated_at'] as const

function isView(view: unknown): view is View {
  if (typeof view !== 'object' || view === null) return false
  const fields = view as JsonObject
  return (
    TEXTS.every((name) => typeof fields[name] === 'string') && Number.isSafeInteger(fields.version)
  )
}

function arePlaces(events: unknown): events is number[] {
  if (!Array.isArray(events) || !events.every(Number.isSafeInteger)) return false
  return events.every((place, index) => index === 0 || place > events[index - 1])
}

function eventDefects(
  outcome: OutcomeColumns,
  places: readonly number[],
  ground: OutcomeGround,
): string[] {
  const calls = new Set(ground.events.map(({ correlationId }) => correlationId))
  return [
    ...(outcome.changed === 0 && places.length > 0 ? ['it changed nothing, but has events'] : []),
    ...(calls.size > 1 ? ['its events are of several calls'] : []),
    ...placeDefects(outcome, places, ground),
  ]
}

function placeDefects(
  { tenant }: OutcomeColumns,
  places: readonly number[],
  { events, pruned }: OutcomeGround,
): string[] {
  const found = new Map(events.map((entry) => [entry.seq, entry]))
  return places.flatMap((place) => {
    const entry = found.get(place)
    if (entry === undefined) return place <= pruned ? [] : [`its event ${place} is not in the log`]
    if (entry.internal) return [`its event ${place} is internal`]
    return entry.tenant === tenant ? [] : [`its event ${place} is of tenant "${entry.tenant}"`]
  })
}

function viewDefects(outcome: OutcomeColumns, view: View, ground: OutcomeGround): string[] {
  const { row, entries, pruned } = ground
  if (row === undefined) return ['its resource does not exist']
  const defects = unlike(
    { tenant: outcome.tenant, object: view.object, created_at: view.created_at },
    { tenant: row.tenant, object: row.type, created_at: toIso(row.createdAt) },
  )
  if (view.version === row.version) return [...defects, ...unlike(view, shownOf(row, view))]
  if (view.version > row.version || view.version < 1)
    return [...defects, `it shows version ${view.version}; the resource is at ${row.version}`]
  const change = entries.filter((entry) => !isNote(entry))
  const [first, last] = [change[0], change.at(-1)]
  if (first === undefined || last === undefined)
    return pruned > 0 ? defects : [...defects, `version ${view.version} is not in the log`]
  return [...defects, ...unlike(view, { ...view, ...shownThen(first, last) })]
}

/** What a view that is still up to date has to show: whichever of its fields the definition made public then. */
function shownOf(row: ResourceRow, view: View): JsonObject {
  const context: JsonObject = JSON.parse(row.context)
  const fields = Object.keys(view).map((key) => [key, context[key]])
  return {
    ...Object.fromEntries(fields),
    ...{ id: row.id, object: row.type, status: row.status, version: row.version },
    ...{ created_at: toIso(row.createdAt), updated_at: toIso(row.updatedAt) },
  }
}

/** What the log shows of the resource at a version, as far as it does so whatever the machine did after its last event. */
function shownThen(first: SealedEntry, last: SealedEntry): JsonObject {
  const { status } = JSON.parse(first.change ?? '{}') as Difference
  const shown: JsonObject = JSON.parse(last.data)
  return { status: status ?? shown.status, updated_at: toIso(last.createdAt) }
}

function unlike(found: JsonObject, expected: JsonObject): string[] {
  return Object.keys(expected)
    .filter((key) => JSON.stringify(found[key]) !== JSON.stringify(expected[key]))
    .map((key) => `${key} is ${brief(found[key])}; the log says ${brief(expected[key])}`)
}

function opens({ hasKeys, context: { keys } }: Inspection, outcome: OutcomeColumns): boolean {
  const { tenant, key, secrets } = outcome
  if (secrets === null || !hasKeys) return true
  try {
    keys.open(outcomePlace(tenant, key), secrets)
    return true
  } catch {
    return false
  }
}
