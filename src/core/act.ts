/** What does one command do to one resource, and to those that it tells? @module */

import { isPawlError, machineInvalid } from '../errors.ts'
import { nextRow, referenceIn, timeFor, writeChange } from './change.ts'
import { type Decision, decide } from './decide.ts'
import type { Command, JsonObject } from './definition.ts'
import { UNLIMITED } from './json.ts'
import type { Kind } from './kind.ts'
import { machineRefusal, refusal } from './legality.ts'
import { upToDate } from './migrate.ts'
import { goBack, markOf } from './overlay.ts'
import { parseCommand } from './payload.ts'
import { hasTimer, loadReferrers, loadRow, type Plan } from './questions.ts'
import { requireContent, requireReferences, requireUnused } from './references.ts'
import type { Entry, ResourceRow, Timer } from './rows.ts'
import { countTold, deeper, kindOf, type Run } from './run.ts'
import { keepSecrets, NO_SECRETS, stripSecrets } from './secrets.ts'
import type { Tell } from './tell.ts'

/** Secrets that the engine made, to be shown once. */
export type Shown = Readonly<Record<string, string>>

/**
 * Applies a command to a resource; `fired` is the timer that sent it. Throws the refusal.
 *
 * A plan that would have nothing to ask is not begun: each costs more than to see that.
 */
export function* act(
  run: Run,
  kind: Kind,
  row: ResourceRow,
  command: Command,
  fired: Timer | null = null,
): Plan<Shown> {
  if (row.final) throw machineRefusal(kind, row, command.type)
  const { type, ...payload } = command
  const { visible, carried } = stripSecrets(kind, type, payload)
  const event: Command = { ...visible, type }
  const decision = decide(kind, row, event, { id: row.id, time: timeFor(run, row) })
  if (decision === undefined) throw machineRefusal(kind, row, type)
  if (decision.state.context !== row.context && kind.references.size > 0) {
    const [checked, context] = [JSON.parse(row.context), JSON.parse(decision.state.context)]
    yield* requireReferences(run, kind, row, type, { checked, context })
  }
  if (run.registry.restrictions.get(kind.type)?.has(type))
    yield* requireUnused(run, kind, row, type)
  if (kind.check(type))
    yield* requireContent(run, kind, row, type, { payload, context: row.context })
  const { changes: secrets, shown } =
    kind.secrets.size === 0 ? NO_SECRETS : yield* keepSecrets(run, kind, row.id, type, carried)
  const changes =
    secrets.length > 0 || isChange(row, decision) || (yield* cancels(run, row, decision))
  const after = changes ? nextRow(run, kind, row, decision.state) : row
  const entry = changes
    ? writeChange(run, { kind, before: row, after, decision, command: event, secrets, fired })
    : skipChange(run, decision)
  if (decision.tells.length > 0)
    yield* tellAll(run, { kind, before: row, after, command: type, entry }, decision.tells)
  return shown
}

function isChange(row: ResourceRow, { state, emitted, timers }: Decision): boolean {
  if (emitted.length > 0 || timers.some(({ effect }) => effect === 'set')) return true
  return state.context !== row.context || state.value !== row.value || state.memory !== row.memory
}

/** Whether it cancels a timer; to cancel what is not there changes nothing. */
function* cancels(run: Run, row: ResourceRow, { timers }: Decision): Plan<boolean> {
  for (const { effect, name } of timers) {
    if (effect === 'cancel' && (yield* hasTimer(run.overlay, row.id, name))) return true
  }
  return false
}

function skipChange(run: Run, { actions }: Decision): null {
  run.overlay.actions.push(...actions)
  return null
}

/** A resource that has just changed and may have others to tell. */
export interface Teller {
  readonly kind: Kind
  /** As it was; null when it has just been created. */
  readonly before: ResourceRow | null
  readonly after: ResourceRow
  readonly command: string
  /** The last entry that the change wrote; null when nothing changed. */
  readonly entry: Entry | null
}

/** Applies what a resource tells others, one after the other, each with all that it causes. */
export function* tellAll(run: Run, teller: Teller, tells: readonly Tell[]): Plan<void> {
  if (tells.length === 0) return
  const below = deeper(run, teller.kind, teller.entry)
  for (const tell of tells) {
    for (const id of yield* targetIds(run, teller, tell)) yield* tellOne(below, teller, tell, id)
  }
}

function* targetIds({ overlay }: Run, { after }: Teller, { to }: Tell): Plan<readonly string[]> {
  if (typeof to === 'string') {
    const id = referenceIn(JSON.parse(after.context) as JsonObject, to)
    return id === null ? [] : [id]
  }
  const rows = yield* loadReferrers(overlay, after.id, { type: to.type, field: to.by })
  return rows.map(({ id }) => id)
}

function* tellOne(run: Run, teller: Teller, tell: Tell, id: string): Plan<void> {
  const stored = yield* loadRow(run.overlay, id)
  if (stored === undefined || stored.tenant !== run.tenant) return
  const kind = kindOf(run, stored.type)
  countTold(run, teller.kind)
  const command = toldCommand(teller, kind, tell)
  const before = markOf(run.overlay)
  try {
    const row = yield* upToDate(run, kind, stored)
    yield* act(run, kind, row, command)
  } catch (error) {
    goBack(run.overlay, before)
    if (!isPawlError(error, 'illegal_transition') && !isPawlError(error, 'invalid_input'))
      throw error
    if (!tell.required) return
    const code = isPawlError(error, 'illegal_transition') ? error.details.reason : error.code
    const blocker = { code, message: error.message, resource_id: id }
    throw refusal(teller.kind, teller.before, teller.command, 'reference', [blocker])
  }
}

/** The command in the form that the told machine gets; a machine that tells nonsense is at fault itself. */
function toldCommand(teller: Teller, kind: Kind, { command }: Tell): Command {
  try {
    return parseCommand(kind, command, UNLIMITED).parsed
  } catch (error) {
    throw machineInvalid(
      teller.kind.type,
      `on "${teller.command}" it tells ${kind.type} what that does not take`,
      error,
    )
  }
}
