import { createEngine } from '../../src/index.ts'

const [database = '', given = '0'] = process.argv.slice(2)
const engine = await createEngine({ database, durability: 'relaxed' })

const CALLERS = 64
let left = Number(given)

/** Writes one event after the other about a task and an agent of its own. */
async function call(): Promise<void> {
  if (--left < 0) return
  const agent = (await engine.agents.create({ name: 'A' })).resource.id
  if (--left < 0) return
  const task = (await engine.tasks.create({ name: 'T', agent_id: agent })).resource.id
  for (let turn = 0; --left >= 0; turn++) {
    if (turn % 3 === 2) await engine.agents.send(agent, { type: 'update', name: `${turn}` })
    else await engine.tasks.send(task, { type: turn % 3 === 0 ? 'promote' : 'demote' })
  }
}

process.once('message', async () => {
  await Promise.all(Array.from({ length: CALLERS }, call))
  await engine.close()
  process.disconnect()
})
process.send?.('ready')
