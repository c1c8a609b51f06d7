/** Would a resource's machine say again what its log says? @module */

import { brief, messageOf } from '../errors.ts'
import { type Decision, decide, decideCreate } from './decide.ts'
import type { JsonObject } from './definition.ts'
import { type TimerMark, writeEntries } from './entries.ts'
import type { Kind } from './kind.ts'
import { createOverlay } from './overlay.ts'
import { isMigration, type LoggedChange, type Replayed } from './replay.ts'
import { eventOf, findFired, toTimer } from './replay-timers.ts'
import type { Entry, ResourceRow, SealedEntry } from './rows.ts'

/** A change in the log, with the resource before and after it. */
export interface Recorded {
  readonly before: Replayed | null
  readonly change: LoggedChange
  readonly after: Replayed
}

/**
 * Runs the command of a change through the machine once more and says what comes out differently. Says
 * nothing where another machine than today's has decided.
 */
export function checkChange(kind: Kind | undefined, recorded: Recorded): string[] {
  const { before, change, after } = recorded
  try {
    const found = firedDifference(before, change)
    if (kind === undefined || kind.fingerprint !== after.row.machine || isMigration(change))
      return found
    return [...found, ...decidedDifferences(kind, recorded)]
  } catch (error) {
    return [`it cannot be decided again: ${messageOf(error)}`]
  }
}

function firedDifference(before: Replayed | null, { command, difference }: LoggedChange): string[] {
  const { fired } = difference
  if (fired === undefined) return []
  const type = eventOf(toTimer(fired)).type
  if (type !== command.type) return [`the timer that fired sends "${type}", not "${command.type}"`]
  return findFired(before?.timers ?? [], fired) === undefined
    ? [`the timer "${type}" fired, which had not been set`]
    : []
}

function decidedDifferences(kind: Kind, { before, change, after }: Recorded): string[] {
  const decision = decideAgain(kind, before, change)
  if (decision === undefined) {
    const [type, status] = [change.command.type, before?.row.status]
    return [`its machine does not take "${type}" in status "${status}"`]
  }
  const expected = { ...after.row, ...decision.state, ...statusSince(before, decision, after.row) }
  return [
    ...stateDifferences(expected, after.row),
    ...entryDifferences(kind, { before, change, after: expected, decision }),
    ...timerDifferences(decision, expected.final, change.difference.timers ?? []),
  ]
}

function decideAgain(
  kind: Kind,
  before: Replayed | null,
  { entries: [first], command }: LoggedChange,
): Decision | undefined {
  const self = { id: first.resourceId, time: first.createdAt }
  if (before === null) return decideCreate(kind, command.input, self)
  return decide(kind, before.row, command, self)
}

function statusSince(
  before: Replayed | null,
  { state }: Decision,
  { updatedAt }: ResourceRow,
): Pick<ResourceRow, 'statusSince'> {
  const stays = before !== null && before.row.status === state.status
  return { statusSince: stays ? before.row.statusSince : updatedAt }
}

const DECIDED = ['status', 'final', 'value', 'memory', 'context', 'statusSince'] as const

function stateDifferences(expected: ResourceRow, found: ResourceRow): string[] {
  return DECIDED.filter((field) => expected[field] !== found[field]).map(
    (field) =>
      `its ${field} became ${brief(found[field])}; its machine says ${brief(expected[field])}`,
  )
}

interface Decided {
  readonly before: Replayed | null
  readonly change: LoggedChange
  readonly after: ResourceRow
  readonly decision: Decision
}

function entryDifferences(
  kind: Kind,
  { before, change: { entries: found, command }, after, decision }: Decided,
): string[] {
  const overlay = createOverlay()
  writeEntries(
    { overlay, actor: null, correlationId: '', causation: null },
    { kind, before: before?.row ?? null, after, decision, command, secrets: [], fired: null },
  )
  const expected = overlay.entries
  const [types, expectedTypes] = [found, expected].map((list) => list.map(({ type }) => type))
  if (String(types) !== String(expectedTypes))
    return [`it was told as ${types}; its machine says ${expectedTypes}`]
  return found.flatMap((entry, index) =>
    tellingDifferences(
      entry,
      expected[index],
      () => decision.emitted[index]?.context ?? JSON.parse(after.context),
    ),
  )
}

const TOLD = ['internal', 'previousStatus', 'previousMs', 'cause', 'createdAt'] as const

function tellingDifferences(
  found: SealedEntry,
  expected: Entry | undefined,
  contextThen: () => JsonObject,
): string[] {
  if (expected === undefined) return []
  const differences = TOLD.filter((field) => found[field] !== expected[field]).map(
    (field) =>
      `${field} of ${found.type} is ${brief(found[field])}; its machine says ${brief(expected[field])}`,
  )
  if (found.data === expected.data || isPartOf(found.data, expected.data, contextThen()))
    return differences
  const data = `data of ${found.type} is ${brief(found.data)}; its machine says ${brief(expected.data)}`
  return [...differences, data]
}

/** Whether data shows nothing wrong: a definition may have shown other fields of the context then. */
function isPartOf(data: string, summary: string, context: JsonObject): boolean {
  const [found, expected]: [JsonObject, JsonObject] = [JSON.parse(data), JSON.parse(summary)]
  const known: JsonObject = { ...context, ...expected }
  return Object.entries(found).every(
    ([key, value]) => JSON.stringify(value) === JSON.stringify(known[key]),
  )
}

/** Compares timers by name and event: how long they take may have been configured otherwise. */
function timerDifferences(
  { timers }: Decision,
  final: boolean,
  marks: readonly (TimerMark | readonly [name: string])[],
): string[] {
  const expected = (final ? [] : timers).map((effect) =>
    effect.effect === 'cancel'
      ? `cancel ${effect.name}`
      : `set ${effect.name} ${JSON.stringify(effect.event)}`,
  )
  const found = marks.map((mark) =>
    mark.length === 1 ? `cancel ${mark[0]}` : `set ${mark[0]} ${toTimer(mark).event}`,
  )
  if (found.join() === expected.join()) return []
  return [
    `its timers were: ${brief(found.join(', '))}; its machine says: ${brief(expected.join(', '))}`,
  ]
}
