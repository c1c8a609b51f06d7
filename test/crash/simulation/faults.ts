/** A driver that fails where it is told to: a database whose statements throw what SQLite throws. */

import Sqlite, { type Database } from 'better-sqlite3'
import type { Fault } from './script.ts'
import { createTrap, type Faults } from './trap.ts'

const STAGES = [
  ['begin', /^\s*begin immediate/i],
  ['write', /^\s*(insert|update|delete|replace)/i],
  ['commit', /^\s*commit/i],
] as const

function stageOf(sql: string): Fault['at'] | undefined {
  return STAGES.find(([, pattern]) => pattern.test(sql))?.[0]
}

/** Takes hold of a connection before anybody has prepared a statement on it. */
export function takeHold(database: Database): Faults {
  const { spring, ...faults } = createTrap()

  const around = (stage: Fault['at'], work: () => unknown): unknown => {
    const fault = spring(stage)
    if (fault === undefined) return work()
    if (fault.when === 'after') work()
    if (fault.dies) database.close()
    throw new Sqlite.SqliteError(`injected ${fault.when} ${stage} ${fault.nth}`, fault.code)
  }
  const guard = (target: object, method: string, stage: Fault['at']): void => {
    const work: unknown = Reflect.get(target, method)
    if (typeof work !== 'function') return
    const value = (...args: unknown[]) => around(stage, () => Reflect.apply(work, target, args))
    Object.defineProperty(target, method, { value })
  }

  const prepare = database.prepare.bind(database)
  const exec = database.exec.bind(database)
  Object.defineProperties(database, {
    prepare: {
      value: (sql: string) => {
        const statement = prepare(sql)
        const stage = stageOf(sql)
        if (stage) for (const method of ['run', 'get', 'all']) guard(statement, method, stage)
        return statement
      },
    },
    exec: {
      value: (sql: string) => {
        const stage = stageOf(sql)
        return stage ? around(stage, () => exec(sql)) : exec(sql)
      },
    },
  })
  return faults
}
