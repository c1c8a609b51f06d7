/** Does a resource, or the data of an event, show what the model has? */

import type { Thing } from '../../support/model-state.ts'
import type { Course } from './stage.ts'

type Fields = Readonly<Record<string, unknown>>

/** The first field that differs, with both values; null when none does. Fields that are not shown do not count. */
export function differenceIn(
  course: Course,
  actual: Fields,
  shown: Readonly<Thing>,
  id: string | undefined,
): string | null {
  for (const [field, expected] of Object.entries(fieldsOf(course, shown, id))) {
    if (!(field in actual) || expected === undefined) continue
    const [found, wanted] = [textOf(actual[field]), textOf(expected)]
    if (found !== wanted) return `${field} ${found}, not ${wanted}`
  }
  return null
}

function textOf(value: unknown): string {
  return JSON.stringify(withoutMessage(value))
}

/** The messages of failures are for people. */
function withoutMessage(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMessage)
  if (typeof value !== 'object' || value === null || !('message' in value)) return value
  const { message, ...rest } = value
  return rest
}

function fieldsOf(course: Course, on: Readonly<Thing>, id: string | undefined): Fields {
  const common = {
    ...{ id, object: on.type, status: on.status, version: on.version },
    ...{ created_at: iso(on.created_at), updated_at: iso(on.updated_at) },
    ...referencesOf(course, on),
  }
  return { ...common, ...ownFieldsOf(course, on) }
}

function ownFieldsOf(course: Course, on: Readonly<Thing>): Fields {
  const { name, runtime_ms, result, errors, external_id } = on
  switch (on.type) {
    case 'agent':
    case 'task':
      return { name }
    case 'event_destination':
      return { name, webhook: { url: on.url } }
    case 'credential':
      return { external_id }
    case 'session':
      return { runtime_ms, error: errors[0] ?? null, task_runs: runsOf(course, on) }
    case 'task_run':
      return { runtime_ms, result, errors, canceled_at: iso(on.canceled_at) }
    default:
      return {}
  }
}

function referencesOf({ ids }: Course, on: Readonly<Thing>): Fields {
  return Object.fromEntries(
    Object.entries(on.refs).map(([name, key]) => [`${name}_id`, ids.get(key ?? '')]),
  )
}

/** Only looked at where the model stands as it is now: events and outcomes show no runs of then. */
function runsOf({ ids, model }: Course, session: Readonly<Thing>): unknown {
  if (model.things.get(session.key) !== session) return undefined
  return session.runs.map((key) => {
    const executing = model.things.get(key)?.status !== 'queued'
    return { id: ids.get(key), executing }
  })
}

function iso(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString()
}
