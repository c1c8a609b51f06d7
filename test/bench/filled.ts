/** A log of any length, as the engine itself writes it. @module */

import Database from 'better-sqlite3'
import { drive, times, turns } from './measure.ts'
import { type AgentEngine, createTasks, openEngine } from './pawl.ts'

/** A database with a log. */
export interface Filled {
  readonly file: string
  /** How long its log is; all of it is public. */
  readonly events: number
  /** The tasks that it tells about, all equally often. */
  readonly tasks: readonly string[]
  /** The ids of some events around the middle of the log. */
  readonly middle: readonly string[]
}

const CALLERS = 128

// Enough events of each for more than a page of them, however short the log.
const EVENTS_PER_TASK = 100
const MOST_TASKS = 1000

/** Fills a new database with so many events. */
export async function fill(file: string, events: number): Promise<Filled> {
  const database = new Database(file)
  const engine = await openEngine(database, 'relaxed')
  // Nothing has to survive a loss of power yet, and the rows are the same.
  database.pragma('synchronous = off')
  const count = Math.min(MOST_TASKS, events / EVENTS_PER_TASK)
  const tasks = await createTasks(engine, count)
  const middle = await change(engine, tasks, events)
  await engine.close()
  // Closing writes all to disk: what is measured next does not have to wait for that.
  database.pragma('synchronous = full')
  database.close()
  return { file, events, tasks, middle }
}

/** Promotes and demotes tasks until the log is long enough; gives the ids around its middle. */
async function change(
  engine: AgentEngine,
  tasks: readonly string[],
  events: number,
): Promise<readonly string[]> {
  const turn = turns(tasks.length)
  const middle: string[] = []
  async function call(): Promise<void> {
    const { task, command } = turn()
    const outcome = await engine.tasks.send(tasks[task] ?? '', { type: command })
    for (const { seq, id } of outcome.events) if (isPlace(seq, events)) middle.push(id)
  }
  // The agent and the tasks have an event each already.
  await drive(Math.min(CALLERS, tasks.length), times(events - tasks.length - 1), call)
  return middle
}

/** Whether a place in the log is one of two hundred around its middle. */
function isPlace(seq: number, events: number): boolean {
  return Math.abs(seq / events - 0.5) < 0.1 && seq % (events / 1000) === 0
}
