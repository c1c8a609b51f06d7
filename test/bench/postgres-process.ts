/** An engine on PostgreSQL in a process of its own, which works when it is told to. @module */

import { drive, during, TASKS, turns } from './measure.ts'
import { openOnServer } from './server.ts'
import type { Task } from './workers.ts'

const { change, close } = await openOnServer(process.argv[2] ?? '')
const turn = turns(TASKS)
process.on('message', async ({ callers, milliseconds }: Task) => {
  const call = () => {
    const { task, command } = turn()
    return change(task, command)
  }
  process.send?.(await drive(callers, during(milliseconds), call))
})
process.once('disconnect', close)
process.send?.('ready')
