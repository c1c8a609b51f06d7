/** Where does work on the database begin, and how does it end? @module */

import type { Database } from 'better-sqlite3'
import type { Plan } from '../../core/questions.ts'
import type { Writes, WritingPlan } from '../store.ts'
import { type Answerer, createAnswerer } from './answers.ts'
import { commitError } from './failures.ts'
import { createWriter, type Writer } from './writes.ts'

/** What stands before and after a piece of work, so that it happens whole or not at all. */
export interface Bracket {
  open(): void
  keep(): void
  undo(): void
}

/** The brackets of a connection. */
export interface Brackets {
  /** A transaction that only reads, from one consistent view. */
  readonly view: Bracket
  /** A transaction that has the write lock from the start: what it reads is not stale when it writes. */
  readonly whole: Bracket
  /** A part of a transaction that is open already. */
  readonly part: Bracket
}

/** Prepares the brackets of a connection. */
export function createBrackets(database: Database): Brackets {
  const statement = (sql: string) => {
    const prepared = database.prepare(sql)
    return () => void prepared.run()
  }
  const undo = undoing(database, 'rollback')
  const commit = statement('commit')
  const keep = () => {
    try {
      commit()
    } catch (cause) {
      undo()
      throw commitError(cause)
    }
  }
  const release = statement('release pawl')
  return {
    view: { open: statement('begin'), keep: undo, undo },
    whole: { open: statement('begin immediate'), keep, undo },
    part: {
      open: statement('savepoint pawl'),
      keep: () => {
        try {
          release()
        } catch (cause) {
          // It is reported as failed: then nothing of it may stay.
          undo()
          throw cause
        }
      },
      undo: undoing(database, 'rollback to pawl; release pawl', undo),
    },
  }
}

/**
 * Undoes what is open. What led here is what the caller has to hear of, whatever becomes of this; where a part
 * cannot be undone, `otherwise` undoes the whole, so that nothing by halves is ever committed.
 */
function undoing(database: Database, sql: string, otherwise = () => {}): () => void {
  return () => {
    if (!database.inTransaction) return
    try {
      database.exec(sql)
    } catch {
      otherwise()
    }
  }
}

/** Does work within a bracket; what throws is undone. */
export function within<T>(bracket: Bracket, work: () => T): T {
  bracket.open()
  let result: T
  try {
    result = work()
  } catch (error) {
    bracket.undo()
    throw error
  }
  bracket.keep()
  return result
}

/** Runs plans on a connection. */
export interface Planner {
  /** Answers a plan within a bracket. */
  read<T>(bracket: Bracket, plan: () => Plan<T>): T
  /** Runs a plan within a bracket and writes what it comes to. */
  write<T>(bracket: Bracket, plan: () => WritingPlan<T>): T
}

/** Prepares everything that plans ask and write. */
export function createPlanner(database: Database): Planner {
  const answer = createAnswerer(database)
  const write = createWriter(database)
  return {
    read: (bracket, plan) => within(bracket, () => driven(plan(), answer)),
    write: (bracket, plan) => {
      bracket.open()
      const { writes, result } = planned(bracket, plan, answer, write)
      if (writes === null) bracket.undo()
      else bracket.keep()
      return result
    },
  }
}

function planned<T>(
  bracket: Bracket,
  plan: () => WritingPlan<T>,
  answer: Answerer,
  write: Writer,
): { readonly writes: Writes | null; readonly result: T } {
  try {
    const outcome = driven(plan(), answer)
    if (outcome.writes !== null) write(outcome.writes)
    return outcome
  } catch (error) {
    bracket.undo()
    throw error
  }
}

/** Runs a plan to its end, answering what it asks. */
function driven<T>(plan: Plan<T>, answer: Answerer): T {
  let step = plan.next()
  while (!step.done) step = plan.next(answer(step.value))
  return step.value
}
