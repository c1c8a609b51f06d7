/** How do calls that arrive together share one transaction? @module */

import type { Base, Caller, Commit, Committed, Writer } from '../context.ts'
import { createOverlay, goBack, markOf, type Overlay } from '../core/overlay.ts'
import { ask, type Plan } from '../core/questions.ts'
import type { Run } from '../core/run.ts'
import { closed, isPawlError } from '../errors.ts'
import { createCompany } from './company.ts'
import { type Sealed, seal } from './seal.ts'

// Bounds what a failed write has to do over.
const BATCH_CALLS = 512

interface Call {
  readonly caller: Caller
  readonly plan: (run: Run) => Plan<unknown>
  readonly resolve: (committed: Committed<unknown>) => void
  readonly reject: (error: unknown) => void
}

/** What a call has decided, before the commit. */
type Settled =
  | { readonly call: Call; readonly value: unknown }
  | { readonly call: Call; readonly error: unknown }

interface Batch {
  readonly settled: readonly Settled[]
  readonly sealed: Sealed | null
  readonly actions: Overlay['actions']
}

/** Creates a writer. What it has committed it passes on to `publish`: to everybody who listens, by default. */
export function createWriter(
  context: Base,
  publish: (commit: Commit) => void = (commit) => publishTo(context, commit),
): Writer {
  const waiting: Call[] = []
  let flushing: Promise<void> | null = null
  const company = createCompany()
  let isClosed = false

  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      await company.gather()
      company.committed(await commitSome(context, waiting, publish))
    }
    flushing = null
  }
  return {
    submit: (caller, plan) =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(closed())
        context.store.requireAccess()
        waiting.push({ caller, plan, reject, resolve: resolve as Call['resolve'] })
        flushing ??= flush()
      }),
    close: async () => {
      isClosed = true
      await flushing
    },
  }
}

/** Commits a batch of those who wait; tells whether that was one call, and nobody else had come by then. */
async function commitSome(
  context: Base,
  waiting: Call[],
  publish: (commit: Commit) => void,
): Promise<boolean> {
  const attempt = { calls: 0 }
  const present = waiting.length
  let batch: Batch
  try {
    batch = await context.store.transact(
      () => planBatch(context, waiting, attempt),
      () => scoutBatch(context, waiting),
    )
  } catch (error) {
    // Whoever has come while the database was busy has not waited long enough to be turned away.
    const failed = waiting.splice(0, attempt.calls || present)
    if (failed.length > 1 && mayBeOneCalls(error)) await commitEachAlone(context, failed, publish)
    else for (const { reject } of failed) reject(error)
    return failed.length === 1 && waiting.length === 0
  }
  waiting.splice(0, batch.settled.length)
  const wasAlone = batch.settled.length === 1 && waiting.length === 0
  settle(batch, publish)
  return wasAlone
}

/** Whether an error may come from what one of the calls would write, and not from the storage itself. */
function mayBeOneCalls(error: unknown): boolean {
  return !isPawlError(error) || error.code === 'storage_failed'
}

async function commitEachAlone(
  context: Base,
  calls: readonly Call[],
  publish: (commit: Commit) => void,
): Promise<void> {
  for (const call of calls) await commitSome(context, [call], publish)
}

function* planBatch(
  context: Base,
  waiting: readonly Call[],
  attempt: { calls: number },
): Plan<{ writes: Sealed['writes'] | null; result: Batch }> {
  attempt.calls = 0
  const end = performance.now() + context.batchMs
  const overlay = createOverlay()
  const settled: Settled[] = []
  for (const call of waiting.slice(0, BATCH_CALLS)) {
    attempt.calls = settled.length + 1
    settled.push(yield* planCall(context, overlay, call))
    if (performance.now() >= end) break
  }
  const writesNothing =
    overlay.entries.length + overlay.timers.length + overlay.outcomes.length === 0
  // Asked last: where others write at the same time, whoever knows it keeps them from appending to the log.
  const sealed = writesNothing ? null : seal(overlay, yield* ask({ ask: 'head' }), context.ids)
  return { writes: sealed?.writes ?? null, result: { settled, sealed, actions: overlay.actions } }
}

/** Each call as if it were alone: what it will most likely ask. */
function scoutBatch(context: Base, waiting: readonly Call[]): readonly Plan<unknown>[] {
  return waiting
    .slice(0, BATCH_CALLS)
    .map(({ caller, plan }) => plan(toRun(context, createOverlay(), caller)))
}

/** Decides one call: whatever goes wrong in it, nothing of it stays. */
function* planCall(context: Base, overlay: Overlay, call: Call): Plan<Settled> {
  const run = toRun(context, overlay, call.caller)
  try {
    return { call, value: yield* call.plan(run) }
  } catch (error) {
    goBack(overlay, run.since)
    return { call, error }
  }
}

/** Starts the run of a call, now. */
export function toRun(context: Base, overlay: Overlay, caller: Caller): Run {
  const time = context.clock.now().getTime()
  const mint = (prefix: string) => context.ids.next(prefix, time)
  return {
    registry: context.registry,
    overlay,
    since: markOf(overlay),
    time,
    tenant: caller.tenant,
    actor: caller.actor,
    correlationId: caller.correlationId ?? mint('corr'),
    causation: null,
    depth: 0,
    told: { count: 0 },
    vault: context.keys,
    mint,
  }
}

function settle({ settled, sealed, actions }: Batch, publish: (commit: Commit) => void): void {
  const entries = sealed?.entries ?? new Map()
  for (const outcome of settled) {
    if ('error' in outcome) outcome.call.reject(outcome.error)
    else outcome.call.resolve({ value: outcome.value, entries })
  }
  if (sealed === null && actions.length === 0) return
  const { entries: written = [], timers = [] } = sealed?.writes ?? {}
  publish({ entries: written, timers, actions })
}

/** Tells everybody who listens of a commit, and runs what was to be run after it. */
export function publishTo({ listeners, onError }: Base, commit: Commit): void {
  for (const listener of listeners) listener(commit)
  for (const action of commit.actions) {
    // Nobody waits for a user's action, so its failure goes to `onError`.
    new Promise((resolve) => resolve(action())).catch(onError)
  }
}
