import Sqlite from 'better-sqlite3'
import { onTestFinished } from 'vitest'

/** A statement that has been run, with the values that it was given the last time. */
export interface Ran {
  readonly text: string
  readonly values: readonly unknown[]
  readonly times: number
}

/** A connection that keeps in mind what is run on it. */
export interface Collecting {
  readonly database: Sqlite.Database
  /** What has been run so far, each text once. */
  ran(): readonly Ran[]
  /** What is run while work is done, each text once. */
  during(work: () => PromiseLike<unknown>): Promise<readonly Ran[]>
  /** How SQLite goes about a statement: one line for each step. */
  planOf(ran: Ran): readonly string[]
}

type Call = (...values: unknown[]) => unknown

const WAYS = ['all', 'get', 'run', 'iterate'] as const

/** Opens a database that keeps in mind every statement that is run on it. */
export function collecting(file = ':memory:'): Collecting {
  const database = new Sqlite(file)
  onTestFinished(() => void database.close())
  const prepare = database.prepare.bind(database)
  let ran = new Map<string, Ran>()
  database.prepare = ((text: string) => {
    const statement = prepare(text)
    const calls = statement as unknown as Record<(typeof WAYS)[number], Call>
    for (const way of WAYS) {
      const call = calls[way].bind(statement)
      calls[way] = (...values) => {
        ran.set(text, { text, values, times: (ran.get(text)?.times ?? 0) + 1 })
        return call(...values)
      }
    }
    return statement
  }) as Sqlite.Database['prepare']
  return {
    database,
    ran: () => [...ran.values()],
    during: async (work) => {
      const before = ran
      ran = new Map()
      await work()
      const during = [...ran.values()]
      ran = new Map([...before, ...ran])
      return during
    },
    planOf: ({ text, values }) => {
      const steps = prepare(`explain query plan ${text}`).all(...values) as { detail: string }[]
      return steps.map(({ detail }) => detail)
    },
  }
}
