/** The limit for one caller: hand-written SQL, one commit per change. @module */

import type { Contender, Durability } from './measure.ts'
import { openRows, prepareChange } from './rows.ts'

/** Opens the raw peer. */
export function openRaw(file: string, durability: Durability): Contender {
  const database = openRows(file, durability)
  const inOneCommit = database.transaction(prepareChange(database))
  return {
    change: async (task, command) => inOneCommit.immediate(task, command),
    close: () => {
      database.close()
    },
  }
}
