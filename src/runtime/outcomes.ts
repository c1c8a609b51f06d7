/** How does the same request, sent twice, take effect once? @module */

import type { Committed, Context } from '../context.ts'
import { canonicalJson } from '../core/json.ts'
import type { OutcomeDraft } from '../core/overlay.ts'
import { type Idempotency, outcomePlace, type Planned, type Result } from '../core/plan.ts'
import type { Entry, OutcomeRow } from '../core/rows.ts'
import { type Event, toEvent } from '../log/event.ts'

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

/** What identifies a request under its key; null without one. */
export function toIdempotency(
  context: Context,
  key: string | undefined,
  request: readonly unknown[],
): Idempotency | null {
  if (key === undefined) return null
  const fingerprints = context.keys.fingerprints(canonicalJson(request))
  return { key, fingerprints, since: keptSince(context) }
}

/** Deletes the outcomes that are past their time, slice by slice. */
export async function forgetOutcomes(context: Context, goesOn: () => boolean): Promise<void> {
  const before = keptSince(context)
  while (goesOn()) {
    if ((await context.store.forgetOutcomes(before, FORGOTTEN_AT_ONCE)) < FORGOTTEN_AT_ONCE) return
    await new Promise((resolve) => setImmediate(resolve))
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
