/** Calls that are made at the same time, with whatever comes beside them. */

import type { Kysely } from 'kysely'
import type { AnyOutcome, AnyTransaction, OwnTables } from '../../support/engine.ts'
import { viewOf } from '../../support/errors.ts'
import { explain } from './courses.ts'
import type { Answer } from './judge.ts'
import { type Planned, planCalls } from './requests.ts'
import { type Called, type Company, endOf, type Scene } from './scene.ts'
import type { Burst } from './script.ts'
import { type Actor, actorAt, enter, look, type Stage, timeAt } from './stage.ts'

/** Why a transaction of a script is undone. */
class ChangedMind extends Error {}

/** Performs a burst, with the engines of some places firing what is due; says what the model cannot explain. */
export async function performBurst(
  stage: Stage,
  burst: Burst,
  ticking: readonly number[] = burst.tick === undefined ? [] : [burst.tick],
): Promise<string | null> {
  const actor = actorAt(stage, burst.on)
  const planned = planCalls(stage, burst.calls)
  const inside = planCalls(stage, burst.transaction?.calls ?? [])
  stage.counts.calls += planned.length + inside.length

  actor.connection.faults.arm(burst.fault)
  const { transaction } = burst
  const beside = transaction && (() => transact(actor, inside, transaction))
  const scene = await makeScene(stage, burst.on, { planned, ticking, beside })
  const happened = actor.connection.faults.disarm()
  if (happened) stage.counts.faults += 1

  const spurious = happened ? null : spuriousIn(scene)
  if (spurious !== null) return spurious
  const open = openIn(scene)
  const failed = scene.company.some(({ is, end }) => is === 'tick' && end !== 'kept')
  const again = failed ? ticking : []
  if (open.length + again.length === 0) return explain(stage, [scene])
  const next = await makeScene(stage, burst.on, { planned: open, ticking: again })
  return explain(stage, [scene, next])
}

/** Where the storage has not failed, nobody hears of it. A transaction may have lost too often against others. */
function spuriousIn({ called, company }: Scene): string | null {
  for (const { planned, answer } of called) {
    if (endOf(answer) === 'kept' || answer.ok) continue
    return `${JSON.stringify(planned.request)} fails without a fault: ${viewOf(answer.error).message}`
  }
  const isSpurious = company.some(({ is, end }) => is === 'tick' && end !== 'kept')
  return isSpurious ? 'what is due is not fired, without a fault' : null
}

/** What nobody knows of, but a key can tell. */
function openIn({ called, company }: Scene): Planned[] {
  const calls = called.filter(({ answer }) => endOf(answer) === 'indeterminate')
  const inside = company.flatMap((part) => {
    return part.is === 'transaction' && part.end === 'indeterminate' ? part.called : []
  })
  return [...calls, ...inside]
    .map(({ planned }) => planned)
    .filter(({ request }) => request.idempotencyKey !== undefined)
}

interface Cast {
  readonly planned: readonly Planned[]
  readonly ticking: readonly number[]
  readonly beside?: (() => Promise<Company>) | undefined
}

/** Has everybody begin at the same time, and waits until all have ended. */
async function makeScene(
  stage: Stage,
  on: number,
  { planned, ticking, beside }: Cast,
): Promise<Scene> {
  const actor = actorAt(stage, on)
  const now = timeAt(actor)
  const busy = planned.length > 0 ? [on, ...ticking] : ticking
  const isAlone = !beside && new Set(busy.map((place) => actorAt(stage, place))).size === 1
  const ticks = ticking.map((place) => tickAt(stage, place, isAlone))
  const calls = planned.map((one) => called(one, one.call(actor.engine)))
  const others = beside ? [...ticks, beside()] : ticks
  const [done, company] = [await Promise.all(calls), await Promise.all(others)]
  await comeBack(stage, on, now)
  return { now, called: done, company, found: await look(stage) }
}

/** Where the connection is gone for good, somebody else opens the database. */
async function comeBack(stage: Stage, on: number, now: number): Promise<void> {
  if (actorAt(stage, on).connection.isOpen()) return
  await enter(stage, on, now)
  stage.counts.restarts += 1
}

async function called(planned: Planned, call: Promise<AnyOutcome>): Promise<Called> {
  return { planned, answer: await answerOf(call) }
}

async function answerOf(call: Promise<AnyOutcome>): Promise<Answer> {
  try {
    return { ok: true, outcome: await call }
  } catch (error) {
    return { ok: false, error }
  }
}

async function tickAt(stage: Stage, place: number, isAlone: boolean): Promise<Company> {
  const actor = actorAt(stage, place)
  const now = timeAt(actor)
  const end = await actor.engine.tick().then(
    () => 'kept' as const,
    (error: unknown) => endOf({ ok: false, error }),
  )
  return { is: 'tick', now, end, isAlone }
}

async function transact(
  { engine }: Actor,
  planned: readonly Planned[],
  { commits, note }: NonNullable<Burst['transaction']>,
): Promise<Company> {
  const inside: Called[] = []
  const work = async (tx: AnyTransaction): Promise<void> => {
    if (note) await write(tx.db)
    for (const one of planned) {
      const done = await called(one, one.call(tx))
      inside.push(done)
      if (!done.answer.ok && endOf(done.answer) !== 'kept') throw done.answer.error
    }
    if (!commits) throw new ChangedMind('the transaction is to be undone')
  }
  const end = await engine.transaction(work).then(
    () => 'kept' as const,
    (error: unknown) => {
      return error instanceof ChangedMind ? 'undone' : endOf({ ok: false, error })
    },
  )
  return { is: 'transaction', called: inside, end, note }
}

function write(db: Kysely<OwnTables>): Promise<unknown> {
  return db.insertInto('notes').values({ id: 'n', text: 'mine', n: 1 }).execute()
}
