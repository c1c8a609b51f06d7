/** The steps of a script, performed by the engine and explained by the model. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { handleOf, openEngine, type Verification } from '../../support/engine.ts'
import { failureOf } from '../../support/errors.ts'
import { lifecycleOf } from '../../support/lifecycles.ts'
import { forgetKeys, passUntil } from '../../support/model.ts'
import { acceptedBy, whyNot } from '../../support/model-rules.ts'
import { thing } from '../../support/model-state.ts'
import { performBurst } from './burst.ts'
import { isSameSet, wrongIn } from './judge.ts'
import { planSend } from './requests.ts'
import type { Fault, Sending, Step } from './script.ts'
import { type Actor, actorAt, branchOf, enter, leave, look, type Stage, timeAt } from './stage.ts'

/** Performs a step, and says what the model cannot explain. */
export async function perform(stage: Stage, step: Step): Promise<string | null> {
  const at = 'on' in step && stage.actors[step.on] ? step.on : 0
  switch (step.do) {
    case 'burst':
      return performBurst(stage, { ...step, on: at })
    case 'ask':
      return ask(stage, at, step.call)
    case 'advance':
      return advance(stage, at, step.ms, step.fault)
    case 'race':
      return race(stage)
    case 'restart':
      return restart(stage, at, step)
    case 'second':
      return second(stage, step.jump)
    case 'prune':
      return prune(stage, step.days)
    case 'verify':
      return verify(stage)
    case 'backup':
      return backup(stage)
  }
}

/** Asks what would come of a command, then sends it. */
async function ask(stage: Stage, on: number, call: Sending): Promise<string | null> {
  const planned = planSend(stage, call)
  if (planned?.request.do !== 'send') return null
  const { type, key, command } = planned.request
  const { engine } = actorAt(stage, on)
  const { model, ids } = stage.course
  const target = thing(model, key)
  const handle = handleOf(engine, lifecycleOf(type).property)
  const id = ids.get(key) ?? ''
  const accepts = await handle.accepts(id)
  const expected = acceptedBy(target)
  if (!isSameSet(accepts, expected)) return `accepts gives ${accepts}, not ${expected}`
  const reason = command.type === 'explode' ? 'invalid_input' : whyNot(model, target, command)
  const explained = await handle.explain(id, { ...command }).then(
    (explanation) => explanation.reason ?? null,
    (error: { readonly code: string }) => error.code,
  )
  if (explained !== reason) return `explain gives ${explained}, not ${reason}`
  return performBurst(stage, { do: 'burst', on, calls: [call] })
}

/** An advance that fails leaves the clock where it failed. */
async function advance(
  stage: Stage,
  on: number,
  ms: number,
  fault: Fault | undefined,
): Promise<string | null> {
  const actor = actorAt(stage, on)
  const start = timeAt(actor)
  actor.connection.faults.arm(fault)
  const failed = await actor.engine.clock.advance(ms).then(
    () => false,
    () => true,
  )
  if (actor.connection.faults.disarm()) stage.counts.faults += 1
  else if (failed) return 'the clock could not be advanced'
  const found = await look(stage)
  const end = timeAt(actor)
  if (!failed && end !== start + ms) return `the clock shows ${end}, not ${start + ms}`
  const wrongs = []
  for (const fails of failed ? [true, false] : [false]) {
    const course = branchOf(stage.course)
    course.model.now = start
    passUntil(course.model, end, fails)
    const wrong = wrongIn(stage, course, found)
    if (wrong !== null) wrongs.push(wrong)
    else {
      stage.course = course
      return null
    }
  }
  return wrongs.join('\nor: ')
}

function race(stage: Stage): Promise<string | null> {
  const [first, other] = stage.actors
  if (first === undefined) throw new Error('nobody is on the stage')
  return performBurst(stage, { do: 'burst', on: 0, calls: [] }, other ? [0, 1] : [0])
}

async function restart(
  stage: Stage,
  on: number,
  { drop, jump }: { readonly drop: boolean; readonly jump: number },
): Promise<null> {
  const actor = actorAt(stage, on)
  const now = timeAt(actor) + jump
  await leave(actor, drop)
  await enter(stage, on, now)
  stage.counts.restarts += 1
  return null
}

async function second(stage: Stage, jump: number): Promise<null> {
  const [first, other] = stage.actors
  if (other !== undefined) {
    await leave(other, false)
    stage.actors.pop()
  } else if (first !== undefined) {
    await enter(stage, 1, timeAt(first) + jump)
  }
  return null
}

/** What is removed is what nobody needs; the rest of the log stays dense. */
async function prune(stage: Stage, days: number): Promise<string | null> {
  const actor = actorAt(stage, 0)
  await actor.engine.prune({ events: `${days}d` })
  stage.course.model.now = timeAt(actor)
  forgetKeys(stage.course.model)
  const { data } = await actor.engine.events.list({ order: 'asc', limit: 1, internal: true })
  const [oldest] = data
  if (oldest === undefined) return null
  const left = await actor.connection.entryCount()
  const expected = stage.seen - oldest.seq + 1
  return left === expected ? null : `${left} entries are left, not ${expected}`
}

/** State and log agree, in all that there is. */
export async function verify(stage: Stage): Promise<string | null> {
  const { checked, differences } = await actorAt(stage, 0).engine.verify()
  const [first] = differences
  if (first !== undefined) return `verify finds ${first.kind}: ${first.message}`
  return lackOf(stage, checked)
}

function lackOf(stage: Stage, checked: Verification['checked']): string | null {
  const { things, timers } = stage.course.model
  const isAll = checked.resources === things.size && checked.timers === timers.length
  return isAll ? null : `verify has checked ${JSON.stringify(checked)} only`
}

async function backup(stage: Stage): Promise<string | null> {
  const actor = actorAt(stage, 0)
  const { copies } = stage.ground
  return copies === null ? refusedBackup(actor) : wrongCopy(stage, actor, copies)
}

async function refusedBackup({ engine }: Actor): Promise<string | null> {
  const { code } = await failureOf(engine.backup('copy.db'))
  return code === 'storage_failed' ? null : `backup gives ${code}`
}

async function wrongCopy(stage: Stage, actor: Actor, folder: string): Promise<string | null> {
  const path = join(folder, `${stage.counts.steps}.db`)
  await actor.engine.backup(path)
  const now = new Date(timeAt(actor))
  const copy = await openEngine({ database: path, now, seed: 1 })
  try {
    const { checked, differences } = await copy.verify()
    if (differences.length > 0) return `the copy is not sound: ${differences[0]?.message}`
    return lackOf(stage, checked)
  } finally {
    await copy.close()
    rmSync(path)
  }
}
