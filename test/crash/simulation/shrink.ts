/** Makes a script that fails as short as it gets in a given time. */

import type { OpenGround } from './ground.ts'
import { play } from './play.ts'
import type { Call, Script, Step } from './script.ts'

/** Cuts what is not needed for a failure: steps, then calls within them, then what comes beside those. */
export async function shrink(
  script: Script,
  openGround: OpenGround,
  milliseconds: number,
): Promise<Script> {
  const end = Date.now() + milliseconds
  const fails = async (steps: readonly Step[]): Promise<boolean> => {
    return Date.now() < end && (await play({ ...script, steps }, openGround)).failure !== null
  }
  const { failure } = await play(script, openGround)
  const enough = script.steps.slice(0, (failure?.step ?? script.steps.length) + 1)
  let steps = (await fails(enough)) ? enough : script.steps
  for (let before = -1; before !== sizeOf(steps) && Date.now() < end; ) {
    before = sizeOf(steps)
    steps = await without(steps, fails)
    steps = await simpler(steps, fails)
  }
  return { ...script, steps }
}

function sizeOf(steps: readonly Step[]): number {
  return JSON.stringify(steps).length
}

/** Leaves out parts of a list, from halves down to single items, as long as it fails. */
async function without<T>(
  list: readonly T[],
  fails: (shorter: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let left = list
  for (
    let size = Math.ceil(left.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < left.length; ) {
      const shorter = [...left.slice(0, at), ...left.slice(at + size)]
      if (await fails(shorter)) left = shorter
      else at += size
    }
  }
  return left
}

async function simpler(
  steps: readonly Step[],
  fails: (steps: readonly Step[]) => Promise<boolean>,
): Promise<readonly Step[]> {
  let left = steps
  for (const index of steps.keys()) {
    const put = (step: Step) => left.map((each, place) => (place === index ? step : each))
    for (const step of simplerSteps(left[index])) if (await fails(put(step))) left = put(step)
    const step = left[index]
    if (step?.do !== 'burst') continue
    const of = (calls: readonly Call[]) => put({ ...step, calls })
    left = of(await without(step.calls, (calls) => fails(of(calls))))
  }
  return left
}

/** The same step without its fault, and without what comes beside its calls. */
function simplerSteps(step: Step | undefined): Step[] {
  if (step?.do === 'advance') return [{ do: step.do, on: step.on, ms: step.ms }]
  if (step?.do !== 'burst') return []
  const { fault, tick, transaction, ...bare } = step
  const [faulty, ticking] = [fault && { fault }, tick !== undefined && { tick }]
  return [
    ...(fault || tick !== undefined || transaction ? [bare] : []),
    ...(fault && (ticking || transaction)
      ? [
          { ...bare, ...ticking, ...(transaction && { transaction }) },
          { ...bare, ...faulty },
        ]
      : []),
  ]
}
