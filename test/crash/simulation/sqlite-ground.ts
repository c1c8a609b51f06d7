/** SQLite below a simulation: a file, or one connection in memory that everybody shares. */

import { join } from 'node:path'
import Sqlite, { type Database } from 'better-sqlite3'
import { vi } from 'vitest'
import { makeTemporaryDirectory, removeDirectory } from '../../support/temp.ts'
import { takeHold } from './faults.ts'
import { type Connection, type Ground, type OpenGround, sightOf } from './ground.ts'

/** Prepares the ground; until it is cleared, time stands still, so that nothing turns on how long anything takes. */
export const openSqliteGround: OpenGround = async ({ file }): Promise<Ground> => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const directory = makeTemporaryDirectory()
  // Everything to be closed at the end, also of engines that have just been left.
  const databases: Database[] = []
  const open = (path: string): Database => {
    const database = new Sqlite(path, { timeout: 0 })
    databases.push(database)
    database.exec('create table if not exists notes (id text, text text, n integer) strict')
    return database
  }
  let shared: Connection | undefined
  return {
    isShared: false,
    copies: directory,
    connect: async () => {
      if (file) return connectionOn(open(join(directory, 'pawl.db')), true)
      shared ??= connectionOn(open(':memory:'), false)
      return shared
    },
    clear: async () => {
      for (const database of databases) database.close()
      removeDirectory(directory)
      vi.useRealTimers()
    },
  }
}

function connectionOn(database: Database, isOwn: boolean): Connection {
  const faults = takeHold(database)
  return {
    ...sightOf(async <T>(sql: string) => database.prepare<[], T>(sql).all()),
    source: database,
    faults,
    isOpen: () => database.open,
    close: async () => {
      if (isOwn) database.close()
    },
  }
}
