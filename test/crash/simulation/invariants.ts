/** What has to hold after every step. */

import { handleOf } from '../../support/engine.ts'
import { lifecycleOf } from '../../support/lifecycles.ts'
import type { Thing } from '../../support/model-state.ts'
import { actorAt, type Stage } from './stage.ts'
import { differenceIn } from './views.ts'

/** What does not hold; null when everything does. Looks closely at the things of some keys, or at all. */
export async function broken(stage: Stage, keys: Iterable<string>): Promise<string | null> {
  const wrong = (await brokenStates(stage)) ?? (await brokenTimers(stage))
  if (wrong !== null) return wrong
  for (const key of keys) {
    const found = await brokenThing(stage, key)
    if (found !== null) return found
  }
  return null
}

/** Every resource is there, in the status and version of the model. */
async function brokenStates(stage: Stage): Promise<string | null> {
  const { course } = stage
  const states = await actorAt(stage, 0).connection.states()
  const { things } = course.model
  if (states.length !== things.size)
    return `there are ${states.length} resources, not ${things.size}`
  const found = new Map(states.map((row) => [row.id, row]))
  for (const { key, status, version } of things.values()) {
    const row = found.get(course.ids.get(key) ?? '')
    if (row === undefined) return `${key} is not there`
    if (row.status !== status || row.version !== version)
      return `${key} is ${row.status} at ${row.version}, not ${status} at ${version}`
  }
  return null
}

/** Every timer is pending, at its time, and no other. */
async function brokenTimers(stage: Stage): Promise<string | null> {
  const { course } = stage
  const rows = await actorAt(stage, 0).connection.timers()
  const found = rows.map(({ resource_id, due_at }) => `${resource_id} ${due_at}`)
  const pending = course.model.timers.map(({ key, due }) => `${course.ids.get(key)} ${due}`)
  const [actual, expected] = [found.toSorted(), pending.toSorted()]
  if (String(actual) === String(expected)) return null
  const index = expected.findIndex((timer, place) => timer !== actual[place])
  return `the timers differ: ${actual[index]}, not ${expected[index]} (${actual.length} of ${expected.length})`
}

/** The resource as everybody gets it. */
async function brokenThing(stage: Stage, key: string): Promise<string | null> {
  const { course } = stage
  const on = course.model.things.get(key)
  if (on === undefined) return `the model lacks ${key}`
  const id = course.ids.get(key) ?? ''
  const resource = await handleOf(actorAt(stage, 0).engine, lifecycleOf(on.type).property).get(id)
  const difference = differenceIn(course, resource, on, id)
  return difference === null ? brokenCoupling(on, resource) : `${key} has ${difference}`
}

function brokenCoupling(on: Thing, { authenticated_at }: Readonly<Record<string, unknown>>) {
  if (on.type !== 'task_run') return null
  const isSaid = (authenticated_at !== null) === on.authenticated
  return isSaid ? null : `${on.key} has authenticated_at ${authenticated_at}`
}
