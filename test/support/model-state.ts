/** What the model of the agent platform remembers, and how it is written down. */

export type Reason = 'terminal' | 'not_accepted' | 'guard' | 'reference' | 'in_use' | 'reserved'

export interface Failure {
  readonly type: string
  readonly code: string
}

export interface Thing {
  readonly key: string
  readonly type: string
  status: string
  version: number
  readonly created_at: number
  updated_at: number
  /** The keys of the things that this one refers to. */
  readonly refs: Readonly<Record<string, string | null>>
  /** Runs attached to a session, in the order of their creation. */
  runs: string[]
  /** The login details of a credential; empty without. */
  login: string
  external_id: string | null
  name: string
  url: string
  timeout: number
  started_at: number | null
  runtime_ms: number | null
  authenticated: boolean
  canceled_at: number | null
  result: string | null
  errors: readonly Failure[]
}

/** An entry of the log. */
export interface Happened {
  readonly type: string
  readonly key: string
  /** Whether none of the public events fits. */
  readonly internal: boolean
  /** The thing as it was then. */
  readonly shown: Readonly<Thing>
}

export interface Timer {
  readonly key: string
  readonly name: string
  readonly due: number
}

/** What is kept for an idempotency key. */
export interface Kept {
  readonly request: string
  readonly at: number
  readonly key: string
  readonly changed: boolean
  readonly shown: Readonly<Thing>
  readonly events: readonly Happened[]
}

export interface Model {
  now: number
  readonly things: Map<string, Thing>
  timers: Timer[]
  /** What has happened since it was last taken. */
  events: Happened[]
  readonly kept: Map<string, Kept>
  /** Where in the events the latest request began. */
  latest: number
}

export const MINUTE = 60_000

export function createModel(): Model {
  return { now: 0, things: new Map(), timers: [], events: [], kept: new Map(), latest: 0 }
}

/** A model that goes its own way from here. */
export function copyOf(model: Model): Model {
  const things = [...model.things].map(([key, each]): [string, Thing] => {
    return [key, { ...each, runs: [...each.runs] }]
  })
  const { timers, events, kept } = model
  return {
    ...model,
    things: new Map(things),
    timers: [...timers],
    events: [...events],
    kept: new Map(kept),
  }
}

export function thing(model: Model, key: string | null | undefined): Thing {
  const found = model.things.get(key ?? '')
  if (found === undefined) throw new Error(`the model knows no ${key}`)
  return found
}

export function thingsOf(model: Model, type: string): Thing[] {
  return [...model.things.values()].filter((each) => each.type === type)
}

/** Adds a thing, without a word in the log. */
export function addThing(
  model: Model,
  type: string,
  status: string,
  given: Pick<Thing, 'refs'> & Partial<Thing>,
): Thing {
  const key = `${type}#${thingsOf(model, type).length}`
  const made: Thing = {
    ...{ key, type, status, version: 1, runs: [], login: '' },
    ...{ created_at: model.now, updated_at: model.now },
    ...{ external_id: null, name: '', url: '', timeout: 30 * MINUTE },
    ...{ started_at: null, runtime_ms: null, authenticated: false, canceled_at: null },
    ...{ result: null, errors: [], ...given },
  }
  model.things.set(key, made)
  return made
}

/** The time of a change to a thing: a clock that was set back does not make it older. */
export function timeOf(model: Model, on: Thing): number {
  return Math.max(model.now, on.updated_at)
}

/** Writes an entry of the log about a thing as it is now. */
export function happen(model: Model, on: Thing, type: string, internal = false): void {
  model.events.push({ type, key: on.key, internal, shown: { ...on } })
}

function change(model: Model, on: Thing, status: string): void {
  on.updated_at = timeOf(model, on)
  on.status = status
  on.version++
}

/** Changes the status and says so; the version counts it. */
export function become(
  model: Model,
  on: Thing,
  status: string,
  event = `${on.type}.${status}`,
): void {
  change(model, on, status)
  happen(model, on, event)
}

/** A change for which there is no public event: the log names the command. */
export function move(model: Model, on: Thing, command: string, status = on.status): void {
  change(model, on, status)
  happen(model, on, `${on.type}.${command}`, true)
}

/** Sets a timer from the latest change of a thing on. */
export function setTimer(model: Model, on: Thing, name: string, delay: number): void {
  model.timers.push({ key: on.key, name, due: on.updated_at + delay })
}

export function clearTimers(model: Model, on: Thing, name?: string): void {
  model.timers = model.timers.filter((timer) => {
    return timer.key !== on.key || (name !== undefined && timer.name !== name)
  })
}
