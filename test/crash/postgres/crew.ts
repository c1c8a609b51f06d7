/** How do processes work together of which some are killed, on a server that restarts? @module */

import { once } from 'node:events'
import type { Line } from '../acknowledgements.ts'
import { type Loaded, type Loading, startLoading } from './loading.ts'

/** How they work, and what becomes of them. */
export interface Shift {
  /** What each of them runs. */
  readonly path: string
  readonly place: Pick<Loading, 'address' | 'schema'>
  readonly random: () => number
  readonly workers: number
  readonly seconds: number
  /** How often one of them is killed and replaced, in seconds. */
  readonly killEvery: number
  /** What happens to the server meanwhile, evenly spread over the time. */
  readonly restarts: readonly (() => Promise<void>)[]
}

/** Has them work for a while. */
export async function work(shift: Shift): Promise<{ kills: number; lines: readonly Line[] }> {
  const { seconds, killEvery, restarts, random } = shift
  const start = starting(shift)
  // The first one makes what all the others refer to.
  const working: Loaded[] = [await start()]
  working.push(...(await Promise.all(Array.from({ length: shift.workers - 1 }, start))))
  const gone: Loaded[] = []
  const replace = async (): Promise<void> => {
    const [victim] = working.splice(Math.floor(random() * working.length), 1)
    if (victim === undefined) throw new Error('nobody is left')
    gone.push(victim)
    await victim.kill()
    working.push(await start())
  }
  const kills = Array.from({ length: Math.ceil(seconds / killEvery) - 1 }, () => replace)
  await Promise.all([
    inTurn(kills, killEvery),
    inTurn(restarts, seconds / (restarts.length + 1)),
    inTurn([async () => {}], seconds),
  ])
  await Promise.all(working.map((one) => one.stop()))
  return { kills: gone.length, lines: [...gone, ...working].flatMap((one) => one.lines()) }
}

/** Starts one process after the other, each with a name and a seed of its own. */
function starting({ path, place, random }: Shift): () => Promise<Loaded> {
  let started = 0
  return () => {
    const seed = Math.floor(random() * 2 ** 31)
    return startLoading(path, { ...place, seed, name: `w${started++}` })
  }
}

/** Does one thing after the other, each so many seconds after the one before it was to be done. */
async function inTurn(things: readonly (() => Promise<void>)[], seconds: number): Promise<void> {
  const begin = performance.now()
  for (const [index, thing] of things.entries()) {
    const rest = begin + (index + 1) * seconds * 1000 - performance.now()
    await once(AbortSignal.timeout(Math.max(0, Math.ceil(rest))), 'abort')
    await thing()
  }
}
