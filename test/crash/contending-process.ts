import { once } from 'node:events'
import { createEngine } from '../../src/index.ts'
import type { Account, Acknowledged, Assignment, CountTables } from './contention.ts'
import { watchStalls } from './stalls.ts'

const CALLERS = 8

const [database = ''] = process.argv.slice(2)
const engine = await createEngine({ database })
const agent = (await engine.agents.create({ name: 'A' })).resource.id

const acknowledged: Acknowledged[] = []
const errors: string[] = []
let [counted, shared, end, sharedAgent] = [0, 0, 0, '']

interface Outcome {
  readonly events: readonly { readonly seq: number }[]
}

/** The monotonic clock of the machine, which is the same for all processes. */
function machineTime(): number {
  return Number(process.hrtime.bigint())
}

/** Makes one call after the other, until one of them fails: that is what its caller would see. */
async function call(caller: number): Promise<void> {
  try {
    const task = (await engine.tasks.create({ name: 'T', agent_id: agent })).resource.id
    for (let turn = caller; performance.now() < end; turn++) await measured(task, turn)
  } catch (error) {
    errors.push(String(error))
  }
}

async function measured(task: string, turn: number): Promise<void> {
  const began = machineTime()
  const { events } = await change(task, turn)
  acknowledged.push({ began, ended: machineTime(), seqs: events.map(({ seq }) => seq) })
}

async function change(task: string, turn: number): Promise<Outcome> {
  if (turn % 20 === 7) return count()
  if (turn % 10 === 3) return rename()
  return engine.tasks.send(task, { type: 'update', name: name() })
}

/** Counts in a row of its own table, within a transaction that also changes a resource. */
async function count(): Promise<Outcome> {
  const outcome = await engine.transaction(async (tx) => {
    const db = tx.db.withTables<CountTables>()
    await db
      .updateTable('counts')
      .set(({ eb }) => ({ n: eb('n', '+', 1) }))
      .execute()
    return tx.agents.send(sharedAgent, { type: 'update', name: name() })
  })
  counted += 1
  shared += 1
  return outcome
}

async function rename(): Promise<Outcome> {
  const outcome = await engine.agents.send(sharedAgent, { type: 'update', name: name() })
  shared += 1
  return outcome
}

/** A name that is always another one, so that each update is a change. */
function name(): string {
  return `${process.pid} ${machineTime()}`
}

process.send?.('ready')
const [assignment]: Assignment[] = await once(process, 'message')
if (assignment === undefined) throw new Error('there is nothing to do')
sharedAgent = assignment.sharedAgent
end = performance.now() + assignment.seconds * 1000
const stop = watchStalls()
await Promise.all(Array.from({ length: CALLERS }, (_, caller) => call(caller)))
const stalls = stop()
await engine.close()
const account: Account = { acknowledged, counted, shared, errors, stalls }
process.send?.(account, () => process.disconnect())
