/** Plays a script from beginning to end, with everything checked after every step. */

import type { OpenGround } from './ground.ts'
import { broken } from './invariants.ts'
import { perform, verify } from './perform.ts'
import type { Script } from './script.ts'
import { type Counts, clearStage, digestOf, type Stage, setStage } from './stage.ts'

export interface Played {
  readonly counts: Counts
  /** The fingerprint of the log and of the resources. */
  readonly digest: string
  /** What went wrong, and at which step. */
  readonly failure: { readonly step: number; readonly message: string } | null
}

/** Plays a script. */
export async function play(script: Script, openGround: OpenGround): Promise<Played> {
  const ground = await openGround(script)
  try {
    return await playOn(await setStage(script, ground))
  } finally {
    await ground.clear()
  }
}

async function playOn(stage: Stage): Promise<Played> {
  try {
    const failure = await playAll(stage)
    const digest = failure === null ? await digestOf(stage) : ''
    return { counts: stage.counts, digest, failure }
  } finally {
    await clearStage(stage).catch(() => {})
  }
}

async function playAll(stage: Stage): Promise<Played['failure']> {
  for (const [step] of stage.script.steps.entries()) {
    const message = await said(() => playStep(stage, step))
    if (message !== null) return { step, message }
    stage.counts.steps += 1
  }
  const step = stage.script.steps.length
  const message = await said(async () => (await lookAtAll(stage)) ?? (await verify(stage)))
  return message === null ? null : { step, message }
}

/** What went wrong, also where something was thrown. */
async function said(work: () => Promise<string | null>): Promise<string | null> {
  try {
    return await work()
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

async function playStep(stage: Stage, index: number): Promise<string | null> {
  const step = stage.script.steps[index]
  if (step === undefined) return null
  stage.course.touched.clear()
  const wrong = await perform(stage, step)
  if (wrong !== null) return wrong
  return broken(stage, stage.course.touched)
}

function lookAtAll(stage: Stage): Promise<string | null> {
  return broken(stage, stage.course.model.things.keys())
}
