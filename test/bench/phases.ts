/** Where does the processor's time go while tasks are changed? @module */

import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { drive, during, type Sample, TASKS, turns } from './measure.ts'
import { openPawl } from './pawl.ts'

/** What a command goes through, and its share of the processor's time. */
export interface Phase {
  readonly name: string
  readonly share: number
  /** Microseconds of one change. */
  readonly perChange: number
}

// By the innermost of the functions on the stack that one of them knows; the first that fits.
const PHASES: readonly (readonly [string, RegExp])[] = [
  ['decide', /\/core\/(decide|xstate|fixed-steps)\.js$|\/node_modules\/xstate\//],
  ['SQL', /\/store\/sqlite\/(statement|writes|listing|timer-writes|answers|columns)\.js$/],
  ['commit', /\/store\/sqlite\/brackets\.js$/],
  ['plan', /\/src\/core\/|\/runtime\/(writer|seal)\.js$/],
  ['call', /\/src\/|\/bench\//],
]

const CALLERS = 64
const SAMPLE_US = 200
const ROUND_MS = 3000

/** Measures the phases of `pawl/64`, with full durability. */
export async function measurePhases(folder: string): Promise<readonly Phase[]> {
  const contender = await openPawl(join(folder, 'phases.db'), 'full')
  const turn = turns(TASKS)
  const call = () => {
    const { task, command } = turn()
    return contender.change(task, command)
  }
  await drive(CALLERS, during(ROUND_MS / 3), call)
  const { profile, perSecond } = await profiled(() => drive(CALLERS, during(ROUND_MS), call))
  await contender.close()
  return shares(profile).map(({ name, time, share }) => ({
    ...{ name, share },
    perChange: (time / ROUND_MS / perSecond) * 1000,
  }))
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
    readonly children?: readonly number[] | undefined
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Samples the processor while some work is done. */
async function profiled(work: () => Promise<Sample>): Promise<Sample & { profile: CpuProfile }> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US })
  await session.post('Profiler.start')
  const sample = await work()
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  const { nodes, samples = [], timeDeltas = [] } = profile
  return { ...sample, profile: { nodes, samples, timeDeltas } }
}

function shares({ nodes, samples, timeDeltas }: CpuProfile) {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((c) => [c, id])))
  const phaseOf = (id: number | undefined): string => {
    const node = id === undefined ? undefined : byId.get(id)
    if (node === undefined) return 'rest'
    const { functionName, url } = node.callFrame
    if (functionName === '(garbage collector)') return 'garbage collection'
    if (functionName === '(idle)') return 'idle'
    const known = PHASES.find(([, files]) => files.test(url))
    return known === undefined ? phaseOf(parents.get(id ?? 0)) : known[0]
  }
  const times = new Map<string, number>()
  samples.forEach((id, index) => {
    const phase = phaseOf(id)
    times.set(phase, (times.get(phase) ?? 0) + (timeDeltas[index] ?? 0))
  })
  const total = [...times.values()].reduce((sum, time) => sum + time, 0)
  return [...times]
    .map(([name, time]) => ({ name, time, share: time / total }))
    .sort((one, other) => other.time - one.time)
}
