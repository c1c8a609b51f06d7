/** How is a call a part of a transaction that lasts: kept or undone whole, and done again where others were faster? @module */

import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf, Overtaken } from './failures.ts'
import type { Planned, Planner } from './planner.ts'
import type { Session } from './session.ts'
import { waitingFor, YIELD_AFTER_MS } from './waiting.ts'

/** A transaction that lasts. */
export interface Lasting {
  /** How long a part tries in all, in milliseconds. */
  readonly timeout: number
  /** The statement after which it waits for locks as it did before. */
  patience(): string
}

/** Writes as a part: what throws is undone, and the transaction can go on. */
export function written<T>(
  session: Session,
  lasting: Lasting,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  return asPart(session, lasting, async () => ({ result: await work(session), isKept: true }))
}

/** Runs a plan as a part, again and again while others are faster. */
export async function planned<T>(
  session: Session,
  lasting: Lasting,
  planner: Planner,
  plan: Planned<T>,
): Promise<T> {
  const end = performance.now() + lasting.timeout
  for (let wait = 1; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    try {
      return await asPart(session, lasting, async () => {
        let isKept = false
        const keep = async (): Promise<void> => {
          isKept = true
        }
        return { result: await planner.write(session, plan, keep), isKept }
      })
    } catch (error) {
      if (!isOvertaken(error) || performance.now() >= end) throw error
    }
    await sleep(wait * (0.5 + Math.random()))
  }
}

const LONGEST_WAIT_MS = 32

/** Whether others have been faster, or have what is needed: undone to the savepoint, the part can be done again. */
function isOvertaken(error: unknown): boolean {
  return error instanceof Overtaken || ['55P03', '40P01'].includes(codeOf(error) ?? '')
}

/**
 * Does work between savepoints. It does not wait for long, as what it holds may be what the others need: undone, it
 * holds nothing. Neither does what comes to nothing.
 */
async function asPart<T>(
  session: Session,
  { patience }: Lasting,
  work: () => Promise<{ readonly result: T; readonly isKept: boolean }>,
): Promise<T> {
  await Promise.all([session.once('savepoint pawl'), session.once(waitingFor(YIELD_AFTER_MS))])
  try {
    const { result, isKept } = await work()
    if (!isKept) await session.once(UNDO)
    else await Promise.all([session.once('release savepoint pawl'), session.once(patience())])
    return result
  } catch (error) {
    // What led here is what the caller has to hear of; without its connection, all is undone anyway.
    await session.once(UNDO).catch(() => {})
    throw error
  }
}

const UNDO = 'rollback to savepoint pawl; release savepoint pawl'
