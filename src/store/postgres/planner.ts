/** How is a plan run where every answer takes a round trip? @module */

import type { Plan, Question } from '../../core/questions.ts'
import type { Writes, WritingPlan } from '../store.ts'
import { type Book, createAnswerer } from './answers.ts'
import { hasMissed, Overtaken } from './failures.ts'
import type { Locking, Needs } from './locks.ts'
import type { Session } from './session.ts'
import type { Statements } from './statement.ts'
import { createWriter } from './writes.ts'

/** A plan that writes, with those that are sent ahead. */
export interface Planned<T> {
  readonly plan: () => WritingPlan<T>
  readonly scouts: () => readonly Plan<unknown>[]
  readonly needs: Needs
}

/** Runs plans within a transaction that is open. */
export interface Planner {
  /** Answers a plan. */
  read<T>(session: Session, plan: () => Plan<T>): Promise<T>
  /**
   * Runs a plan and writes what it comes to; `commit` is sent along with that. Throws `Overtaken` where others were
   * faster.
   */
  write<T>(session: Session, planned: Planned<T>, commit?: () => Promise<void>): Promise<T>
}

/** Prepares everything that plans ask and write. */
export function createPlanner(statements: Statements): Planner {
  const open = createAnswerer(statements)
  const write = createWriter(statements)
  return {
    read: (session, plan) => driven(session, plan(), open(null)),
    write: async (session, { plan, scouts, needs }, commit = async () => {}) => {
      const locking: Locking = { needs, held: new Set(), seen: new Map() }
      const book = open(locking)
      if (needs.head) await book.ask(session, [{ ask: 'head' }])
      // What each call begins with; most ask nothing more, and what is decided ahead is decided twice.
      await book.ask(session, scouts().flatMap(firstQuestion))
      const ahead = () => scout(session, scouts(), book)
      const { writes, result } = await driven(session, plan(), book, ahead)
      if (writes === null) return result
      requireOwn(writes, needs)
      await Promise.all([write(session, writes, book), commit()]).catch(asOvertaken)
      return result
    },
  }
}

function asOvertaken(error: unknown): never {
  throw hasMissed(error) ? new Overtaken('what is to be changed has changed by now') : error
}

function firstQuestion(plan: Plan<unknown>): readonly Question[] {
  const { question } = advanced(plan, NOTHING_KNOWN, undefined)
  return question === null ? [] : [question]
}

const NOTHING_KNOWN = { has: () => false, answer: () => undefined }

/** Runs plans side by side, as far as they go, to learn what is asked: each round of questions is asked at once. */
async function scout(session: Session, plans: readonly Plan<unknown>[], book: Book): Promise<void> {
  let waiting = plans.map((plan) => advanced(plan, book, undefined))
  for (;;) {
    const questions = waiting.flatMap(({ question }) => question ?? [])
    if (questions.length === 0) return
    await book.ask(session, questions)
    waiting = waiting
      .filter(({ question }) => question !== null)
      .map(({ plan, question }) => advanced(plan, book, question ?? undefined))
  }
}

interface Scout {
  readonly plan: Plan<unknown>
  /** What it waits for; null when it is over. */
  readonly question: Question | null
}

/** Goes on with a plan as long as there are answers. */
function advanced(
  plan: Plan<unknown>,
  book: Pick<Book, 'has' | 'answer'>,
  answered: Question | undefined,
): Scout {
  try {
    let step = answered === undefined ? plan.next() : plan.next(book.answer(answered))
    while (!step.done && book.has(step.value)) step = plan.next(book.answer(step.value))
    return { plan, question: step.done ? null : step.value }
  } catch {
    // It will throw again where somebody hears of it.
    return { plan, question: null }
  }
}

/** Runs a plan to its end; before it has to wait for a first answer, others are sent ahead to learn what else is asked. */
async function driven<T>(
  session: Session,
  plan: Plan<T>,
  book: Book,
  ahead: () => Promise<void> = async () => {},
): Promise<T> {
  let isScouted = false
  let step = plan.next()
  while (!step.done) {
    const question = step.value
    if (!book.has(question) && !isScouted && question.ask !== 'head') {
      isScouted = true
      await ahead()
    }
    if (!book.has(question)) await book.ask(session, [question])
    step = plan.next(book.answer(question))
  }
  return step.value
}

/** What is changed must have been locked for that, and not only to stay as it is. */
function requireOwn({ changed, noted }: Writes, { resources }: Needs): void {
  const others = [...changed, ...noted].filter(({ id }) => resources.get(id) !== 'own')
  if (others.length === 0) return
  for (const { id } of others) resources.set(id, 'own')
  throw new Overtaken('a resource is to be changed that was only to stay as it is')
}
