/** The engines of a simulation, the database below them, and the model beside them. */

import { createHash, type Hash } from 'node:crypto'
import { join } from 'node:path'
import Sqlite, { type Database, type Statement } from 'better-sqlite3'
import { type AnyTestEngine, openEngine, START } from '../../support/engine.ts'
import { copyOf, createModel, type Happened, type Model } from '../../support/model-state.ts'
import { type Faults, takeHold } from './faults.ts'
import type { Planned } from './requests.ts'
import type { Script } from './script.ts'

/** An engine and its connection. */
export interface Actor {
  readonly engine: AnyTestEngine
  readonly connection: Connection
}

interface Connection {
  readonly database: Database
  readonly faults: Faults
  readonly entries: Statement<[number], Row>
  readonly states: Statement<[], { id: string; status: string; version: number }>
  readonly timers: Statement<[], { resource_id: string; due_at: number }>
  readonly notes: Statement<[], { count: number }>
}

/** A row of the log; what else it has goes into the digest only. */
export interface Row {
  readonly seq: number
  readonly id: string
  readonly type: string
  readonly resource_id: string
  readonly resource_version: number
  readonly data: string
  readonly created_at: number
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
}

export interface Stage {
  readonly script: Script
  /** Null when everything is in memory. */
  readonly path: string | null
  /** Where copies of it go. */
  readonly copies: string
  /** One engine, or two beside each other. */
  readonly actors: Actor[]
  /** Everything to be closed at the end, of the left ones too. */
  readonly connections: Database[]
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
export async function setStage(script: Script, directory: string): Promise<Stage> {
  const path = script.file ? join(directory, 'pawl.db') : null
  const stage: Stage = {
    ...{
      script,
      path,
      copies: directory,
      actors: [],
      connections: [],
      eventIds: new WeakMap(),
      keyed: [],
    },
    course: { model: createModel(), ids: new Map(), notes: 0, touched: new Set() },
    ...{ seen: 0, opened: 0, log: createHash('sha256') },
    counts: { steps: 0, calls: 0, entries: 0, faults: 0, restarts: 0 },
  }
  await enter(stage, 0, START.getTime())
  return stage
}

/** Opens an engine in a place, on a connection of its own where there is a file. */
export async function enter(stage: Stage, place: number, now: number): Promise<void> {
  const inMemory = stage.path === null ? stage.actors[0]?.connection.database : undefined
  const database = inMemory ?? connect(stage)
  const faults = inMemory ? stage.actors[0]?.connection.faults : takeHold(database)
  if (faults === undefined) throw new Error('nobody has a hand on the driver')
  const seed = stage.script.seed * 1000 + ++stage.opened
  const engine = await openEngine({ database, durability: 'relaxed', now: new Date(now), seed })
  stage.actors[place] = { engine, connection: connectionOf(database, faults) }
}

function connect(stage: Stage): Database {
  const database = new Sqlite(stage.path ?? ':memory:', { timeout: 0 })
  stage.connections.push(database)
  database.exec('create table if not exists notes (id text, text text, n integer) strict')
  return database
}

function connectionOf(database: Database, faults: Faults): Connection {
  return {
    database,
    faults,
    entries: database.prepare('select * from pawl_events where seq > ? order by seq'),
    states: database.prepare('select id, status, version from pawl_resources'),
    timers: database.prepare('select resource_id, due_at from pawl_timers'),
    notes: database.prepare('select count(*) as count from notes'),
  }
}

/** The engine of a place; the first while there is no second. */
export function actorAt(stage: Stage, place: number): Actor {
  const actor = stage.actors[place] ?? stage.actors[0]
  if (actor === undefined) throw new Error('nobody is on the stage')
  return actor
}

/** Lets an engine go: closed, or just left. */
export async function leave(stage: Stage, { engine, connection }: Actor, drop: boolean) {
  if (drop) return
  await engine.close()
  if (stage.path !== null) connection.database.close()
}

export async function clearStage(stage: Stage): Promise<void> {
  for (const { engine } of stage.actors) await engine.close()
  for (const database of stage.connections) database.close()
}

export function timeAt(actor: Actor): number {
  return actor.engine.clock.now().getTime()
}

/** What happened so far, to be gone on from in another way. */
export function branchOf({ model, ids, notes, touched }: Course): Course {
  return { model: copyOf(model), ids: new Map(ids), notes, touched: new Set(touched) }
}

/** Looks at what has been written since the last look. */
export function look(stage: Stage): Found {
  const { entries, notes } = actorAt(stage, 0).connection
  const since = stage.seen
  const rows = entries.all(since)
  for (const row of rows) stage.log.update(textOf(row))
  stage.seen = rows.at(-1)?.seq ?? since
  stage.counts.entries += rows.length
  return { since, rows, notes: notes.get()?.count ?? 0 }
}

/** The fingerprint of all that has been written in the log, and of all resources as they are now. */
export function digestOf(stage: Stage): string {
  const { database } = actorAt(stage, 0).connection
  const rows = database.prepare<[], object>('select * from pawl_resources order by id').all()
  const resources = createHash('sha256')
  for (const row of rows) resources.update(textOf(row))
  return `${stage.log.copy().digest('hex')} ${resources.digest('hex')}`
}

function textOf(row: object): string {
  const values = Object.values(row).map((value: unknown) => {
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
  })
  return `${JSON.stringify(values)}\n`
}
