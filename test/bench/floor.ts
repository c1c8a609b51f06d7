/** The limit for many callers: hand-written SQL, and all that comes together shares one commit. @module */

import type { Command, Contender, Durability } from './measure.ts'
import { openRows, prepareChange, type ResourceRow } from './rows.ts'

interface Waiting {
  readonly task: number
  readonly command: Command
  resolve(row: ResourceRow): void
  reject(error: unknown): void
}

/** Opens the floor. */
export function openFloor(file: string, durability: Durability): Contender {
  const database = openRows(file, durability)
  const change = prepareChange(database)
  const inOneCommit = database.transaction((batch: readonly Waiting[]) =>
    batch.map(({ task, command }) => change(task, command)),
  )
  let queue: Waiting[] = []

  function flush(): void {
    const batch = queue
    queue = []
    try {
      const rows = inOneCommit.immediate(batch)
      for (const [index, row] of rows.entries()) batch[index]?.resolve(row)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  return {
    change: (task, command) =>
      new Promise((resolve, reject) => {
        if (queue.push({ task, command, resolve, reject }) === 1) setImmediate(flush)
      }),
    close: () => {
      database.close()
    },
  }
}
