import { isPawlError } from '../../src/index.ts'
import type { Line, Request, Unanswered } from './acknowledgements.ts'
import { type FastEngine, type Outcome, type OwnTables, perform } from './fast-platform.ts'
import type { Load } from './platform-load.ts'

/** A caller's work, and where it says what came of it. */
export interface Work {
  readonly engine: FastEngine
  readonly load: Load
  readonly random: () => number
  readonly tell: (line: Line) => void
  /** How many of the calls have a key. */
  readonly keyed: number
  /** Whether the database may go away, which leaves calls without an answer. */
  readonly mayGoAway?: boolean
}

// How many calls are transactions with rows of their own.
const NOTED = 0.06

/** Makes one call with a name that is used once, and tells of it before and after. */
export async function callOnce(work: Work, name: string): Promise<void> {
  try {
    if (work.random() < NOTED) await note(work, name)
    else await ask(work, name)
  } catch (error) {
    // What is not legal now is refused: others call as well, and timers fire.
    if (isPawlError(error, 'illegal_transition') || isPawlError(error, 'closed')) return
    if (!isUnanswered(work, name, error)) work.tell({ is: 'failed', message: String(error) })
  }
}

/** Whether an error says no more than that the database has gone away, where it may; tells of it. */
function isUnanswered({ mayGoAway = false, tell }: Work, name: string, error: unknown): boolean {
  const code = UNANSWERED.find((one) => isPawlError(error, one))
  if (!mayGoAway || code === undefined) return false
  tell({ is: 'unanswered', name, code })
  return true
}

const UNANSWERED: readonly Unanswered[] = ['indeterminate', 'storage_busy']

async function ask(work: Work, name: string): Promise<void> {
  const { load, random, tell, keyed } = work
  const request = load.next(name)
  const key = random() < keyed ? name : null
  if (key !== null) tell({ is: 'tried', key, request })
  const outcome =
    key === null ? await perform(work.engine, request, key) : await settle(work, request, key)
  const { id, version } = outcome.resource
  const events = outcome.events.map((event) => [event.id, event.seq, event.type] as const)
  tell({ is: 'acknowledged', key, id, version, events })
  load.learn(request, outcome)
}

/** Makes a call with its key until there is an answer. */
async function settle(work: Work, request: Request, key: string): Promise<Outcome> {
  for (;;) {
    try {
      return await perform(work.engine, request, key)
    } catch (error) {
      if (!isUnanswered(work, key, error)) throw error
    }
  }
}

/** Two rows of its own and an agent, all or nothing. */
export async function note(
  { engine, tell }: Pick<Work, 'engine' | 'tell'>,
  name: string,
): Promise<void> {
  await engine.transaction(async (tx) => {
    const db = tx.db.withTables<OwnTables>()
    await db.insertInto('notes').values({ id: name, n: 1 }).execute()
    await tx.agents.create({ name, description: 'noted' })
    await db.insertInto('notes').values({ id: name, n: 2 }).execute()
  })
  tell({ is: 'noted', key: name })
}
