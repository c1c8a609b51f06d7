/** The engines of a simulation, the database below them, and the model beside them. */

import { createHash, type Hash } from 'node:crypto'
import { type AnyTestEngine, openEngine, START } from '../../support/engine.ts'
import { copyOf, createModel, type Happened, type Model } from '../../support/model-state.ts'
import type { Connection, Ground, Row } from './ground.ts'
import type { Planned } from './requests.ts'
import type { Script } from './script.ts'

/** An engine and its connection. */
export interface Actor {
  readonly engine: AnyTestEngine
  readonly connection: Connection
}

/** What is known to have happened, by the model. */
export interface Course {
  readonly model: Model
  /** The id in the engine of each thing of the model. */
  readonly ids: Map<string, string>
  /** How many rows the application has written. */
  notes: number
  /** The keys of the things about which the log has said something in this step. */
  readonly touched: Set<string>
}

/** What was found in the database after something had happened. */
export interface Found {
  /** The end of the log before. */
  readonly since: number
  readonly rows: readonly Row[]
  readonly notes: number
  /** The idempotency keys that are kept, each with its time. */
  readonly keys: readonly string[]
}

export interface Stage {
  readonly script: Script
  readonly ground: Ground
  /** One engine, or two beside each other. */
  readonly actors: Actor[]
  course: Course
  readonly eventIds: WeakMap<Happened, string>
  /** The requests that had an idempotency key. */
  readonly keyed: Planned[]
  /** The end of the log, as far as it has been looked at. */
  seen: number
  opened: number
  readonly log: Hash
  readonly counts: Counts
}

export interface Counts {
  steps: number
  calls: number
  entries: number
  faults: number
  restarts: number
}

/** Sets the stage for a script. */
export async function setStage(script: Script, ground: Ground): Promise<Stage> {
  const stage: Stage = {
    ...{ script, ground, actors: [], eventIds: new WeakMap(), keyed: [] },
    course: { model: createModel(), ids: new Map(), notes: 0, touched: new Set() },
    ...{ seen: 0, opened: 0, log: createHash('sha256') },
    counts: { steps: 0, calls: 0, entries: 0, faults: 0, restarts: 0 },
  }
  await enter(stage, 0, START.getTime())
  return stage
}

/** Opens an engine in a place. */
export async function enter(stage: Stage, place: number, now: number): Promise<void> {
  const connection = await stage.ground.connect()
  const seed = stage.script.seed * 1000 + ++stage.opened
  const engine = await openEngine({
    ...{ database: connection.source, durability: 'relaxed', now: new Date(now), seed },
  })
  stage.actors[place] = { engine, connection }
}

/** The engine of a place; the first while there is no second. */
export function actorAt(stage: Stage, place: number): Actor {
  const actor = stage.actors[place] ?? stage.actors[0]
  if (actor === undefined) throw new Error('nobody is on the stage')
  return actor
}

/** Lets an engine go: closed, or just left. */
export async function leave({ engine, connection }: Actor, drop: boolean): Promise<void> {
  if (drop) return
  await engine.close()
  await connection.close()
}

/** Closes the engines that are still there. */
export async function clearStage({ actors }: Stage): Promise<void> {
  for (const { engine } of actors) await engine.close()
}

export function timeAt(actor: Actor): number {
  return actor.engine.clock.now().getTime()
}

/** What happened so far, to be gone on from in another way. */
export function branchOf({ model, ids, notes, touched }: Course): Course {
  return { model: copyOf(model), ids: new Map(ids), notes, touched: new Set(touched) }
}

/** Looks at what has been written since the last look. */
export async function look(stage: Stage): Promise<Found> {
  const { connection } = actorAt(stage, 0)
  const since = stage.seen
  const rows = await connection.entries(since)
  for (const row of rows) stage.log.update(textOf(row))
  stage.seen = rows.at(-1)?.seq ?? since
  stage.counts.entries += rows.length
  const keys = (await connection.keys()).map(({ key, created_at }) => `${key} at ${created_at}`)
  return { since, rows, notes: await connection.notes(), keys }
}

/** The fingerprint of all that has been written in the log, and of all resources as they are now. */
export async function digestOf(stage: Stage): Promise<string> {
  const resources = createHash('sha256')
  for (const row of await actorAt(stage, 0).connection.resources()) resources.update(textOf(row))
  return `${stage.log.copy().digest('hex')} ${resources.digest('hex')}`
}

function textOf(row: object): string {
  const values = Object.values(row).map((value: unknown) => {
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
  })
  return `${JSON.stringify(values)}\n`
}
