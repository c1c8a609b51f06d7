/** How does the same request, sent twice, take effect once? @module */

import type { Committed, Context } from '../context.ts'
import type { JsonObject } from '../core/definition.ts'
import { canonicalJson } from '../core/json.ts'
import type { Kind } from '../core/kind.ts'
import type { OutcomeDraft } from '../core/overlay.ts'
import { type Idempotency, outcomePlace, type Planned, type Result } from '../core/plan.ts'
import type { Entry, OutcomeRow } from '../core/rows.ts'
import { stripSecrets } from '../core/secrets.ts'
import { type Event, toEvent } from '../log/event.ts'
import { nextTurn } from './wait.ts'

/** What a create or a command came to. */
export interface Outcome<Resource = unknown, AnyEvent = Event> {
  /** The resource after it. */
  readonly resource: Resource
  /** Every public event that it caused, in all resources, in the order of the log. */
  readonly events: readonly AnyEvent[]
  /** Whether anything was written. */
  readonly changed: boolean
  /** Whether this is the outcome of an earlier request with the same idempotency key. */
  readonly replayed: boolean
  /** Secrets that are shown this once, by name. */
  readonly secrets?: Readonly<Record<string, string>>
}

// How long an idempotency key is kept.
const KEPT_MS = 24 * 3_600_000

// How many go at a time, so that no delete holds up the writer.
const FORGOTTEN_AT_ONCE = 500

/** A request, as it identifies itself: what it asks for, of what, and with which payload. */
export interface Asked {
  readonly kind: Kind
  /** `create`, or the name of the command. */
  readonly command: string
  /** The id of the resource; null for a create. */
  readonly id: string | null
  /** As the caller gave it. */
  readonly given: unknown
}

/** What identifies a request under its key; null without one. */
export function toIdempotency(
  context: Context,
  key: string | undefined,
  { kind, command, id, given }: Asked,
): Idempotency | null {
  if (key === undefined) return null
  const textOf = (payload: unknown) =>
    canonicalJson(id === null ? ['create', kind.type, payload] : ['send', id, payload])
  const { visible } = stripSecrets(kind, command, given as JsonObject)
  const fingerprints = context.keys.fingerprints(textOf(given), textOf(visible))
  return { key, fingerprints, since: keptSince(context) }
}

/** Deletes the outcomes that are past their time, slice by slice. */
export async function forgetOutcomes(context: Context, goesOn: () => boolean): Promise<void> {
  const before = keptSince(context)
  while (goesOn()) {
    if ((await context.store.forgetOutcomes(before, FORGOTTEN_AT_ONCE)) < FORGOTTEN_AT_ONCE) return
    await nextTurn()
  }
}

/** From when on outcomes still count. */
export function keptSince({ clock }: Context): number {
  return clock.now().getTime() - KEPT_MS
}

/** What the caller gets: the outcome of this call, or of the one before it under the same key. */
export async function toOutcome(context: Context, committed: Committed<Planned>): Promise<Outcome> {
  const { value } = committed
  return 'fresh' in value
    ? fresh(value.fresh, committed)
    : replay(context, value.replayed, committed)
}

function fresh(
  { resource, changed, entries, secrets }: Result,
  committed: Committed<Planned>,
): Outcome {
  return {
    resource,
    events: eventsOf(entries, committed),
    changed,
    replayed: false,
    ...(Object.keys(secrets).length > 0 && { secrets }),
  }
}

async function replay(
  { store, keys }: Context,
  remembered: OutcomeDraft | OutcomeRow,
  committed: Committed<Planned>,
): Promise<Outcome> {
  const { tenant, key, secrets } = remembered
  const events =
    'entries' in remembered
      ? eventsOf(remembered.entries, committed)
      : (await store.entriesAt(remembered.events)).map(toEvent)
  return {
    resource: JSON.parse(remembered.resource),
    events,
    changed: remembered.changed,
    replayed: true,
    ...(secrets !== null && {
      secrets: keys.open(outcomePlace(tenant, key), secrets) as Readonly<Record<string, string>>,
    }),
  }
}

function eventsOf(planned: readonly Entry[], { entries }: Committed<Planned>): Event[] {
  return planned.flatMap((entry) => {
    const sealed = entries.get(entry)
    return sealed === undefined ? [] : toEvent(sealed)
  })
}
