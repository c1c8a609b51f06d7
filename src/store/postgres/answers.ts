/** How does PostgreSQL answer the questions of many plans at once? @module */

import type { Answers, Question } from '../../core/questions.ts'
import type { OutcomeRow } from '../../core/rows.ts'
import { createFetchers } from './fetching.ts'
import { createLocker, type Locking } from './locks.ts'
import { createRecheck, type Listed } from './rechecks.ts'
import type { Session } from './session.ts'
import type { Statements } from './statement.ts'

type Kind = Question['ask']

/** Questions of one kind. */
export type Asked<K extends Kind> = Extract<Question, { readonly ask: K }>

/** What has been asked and answered within a transaction. */
export interface Book {
  has(question: Question): boolean
  /** The answer to a question that it has. */
  answer(question: Question): Answers[Kind]
  /** Answers questions, with one statement for each kind of them. */
  ask(session: Session, questions: readonly Question[]): Promise<void>
  /** When the outcome that was found for a key was made; null where there was none, undefined where nobody has asked. */
  madeAt(tenant: string, key: string): number | null | undefined
}

/** Prepares the statements behind the questions; `locking` is null where nothing is to be written. */
export function createAnswerer(statements: Statements): (locking: Locking | null) => Book {
  const all = createFetchers(statements)
  const recheck = createRecheck(statements, all)
  const { lock, lockFree } = createLocker(statements)
  return (locking) => {
    const found = new Map<string, unknown>()
    const listed: Listed[] = []
    const has = (question: Question) => {
      const key = keyOf(question)
      return found.has(key) && reachesFarEnough(question, found.get(key))
    }
    const lockAll = async (session: Session, asked: readonly Asked<'resource'>[]) => {
      const missing = asked.filter((question) => !has(question))
      for (const question of missing) found.set(keyOf(question), undefined)
      for (const row of await lock(session, missing, locking)) found.set(keyOfRow(row.id), row)
    }
    const passOver = async (session: Session, asked: readonly Asked<'timer'>[]) => {
      const owners = await lockFree(session, asked, locking)
      const free = new Set(owners.map(({ timer }) => timer))
      for (const { row } of owners) found.set(keyOfRow(row.id), row)
      for (const one of asked) if (!free.has(one.position)) found.set(keyOf(one), undefined)
    }
    const headOf = async (session: Session): Promise<number | undefined> => {
      if (locking === null) return (await all.head(session, HEAD))[0]
      const held = all.heldHead(session, HEAD)
      await Promise.all([held, recheck(session, locking, listed)])
      return (await held)[0]
    }
    const askFurther = async <K extends Further>(
      session: Session,
      kind: K,
      asked: readonly Asked<K>[],
    ) => {
      if (asked.length === 0) return
      const answers = await all[kind](session, asked as never)
      for (const [index, question] of asked.entries()) found.set(keyOf(question), answers[index])
      if (kind === 'referrers') listed.push({ asked, answers } as Listed)
    }
    return {
      has,
      ask: async (session, questions) => {
        const of = <K extends Kind>(kind: K) =>
          questions.filter((one): one is Asked<K> => one.ask === kind && !has(one))
        // Whoever fires or cancels a timer holds its resource: read before that, the timer might be gone.
        const { free, waited } = byPatience(of('timer'), locking)
        await lockAll(session, [...of('resource'), ...(await all.owners(session, waited))])
        await passOver(session, free)
        for (const kind of FURTHER) await askFurther(session, kind, of(kind))
        if (of('head').length > 0) found.set('head', await headOf(session))
      },
      answer: (question) => toAnswer(question, found.get(keyOf(question))),
      madeAt: (tenant, key) => {
        const place = keyOf({ ask: 'outcome', tenant, key })
        if (!found.has(place)) return undefined
        return (found.get(place) as OutcomeRow | undefined)?.createdAt ?? null
      },
    }
  }
}

const HEAD: readonly Asked<'head'>[] = [{ ask: 'head' }]

/** Which timers are passed over where others are at them, and which are waited for. */
function byPatience(asked: readonly Asked<'timer'>[], locking: Locking | null) {
  const isPassing = ({ ifFree = false }: Asked<'timer'>) => ifFree && locking !== null
  return { free: asked.filter(isPassing), waited: asked.filter((one) => !isPassing(one)) }
}

// In this order: what belongs to a resource is read when that is locked.
const FURTHER = ['timer', 'timers', 'secrets', 'outcome', 'referrers'] as const

type Further = (typeof FURTHER)[number]

/** Who refers to a resource, as far as that has been read. */
export interface Referrers {
  readonly ids: readonly string[]
  readonly limit: number
}

/** Whether as much has been read as is asked for. */
function reachesFarEnough(question: Question, found: unknown): boolean {
  if (question.ask !== 'referrers') return true
  const { ids, limit } = found as Referrers
  return limit >= question.limit || ids.length < limit
}

function toAnswer(question: Question, found: unknown): Answers[Kind] {
  if (question.ask !== 'referrers') return found as Answers[Kind]
  return (found as Referrers).ids.slice(0, question.limit)
}

function keyOf(question: Question): string {
  switch (question.ask) {
    case 'resource':
      return keyOfRow(question.id)
    case 'referrers':
      return JSON.stringify(['referrers', question.targetId, question.type, question.field])
    case 'timer':
      return `timer ${question.position}`
    case 'timers':
    case 'secrets':
      return `${question.ask} ${question.resourceId}`
    case 'outcome':
      return JSON.stringify(['outcome', question.tenant, question.key])
    case 'head':
      return 'head'
  }
}

function keyOfRow(id: string): string {
  return `resource ${id}`
}
