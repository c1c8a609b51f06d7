/** Pawl itself, all guarantees on. @module */

import { randomBytes } from 'node:crypto'
import { agentPlatform } from '../../machines/index.ts'
import { createEngine } from '../../src/index.ts'
import { type Contender, type Durability, TASKS } from './measure.ts'

/** Opens an engine with its tasks. */
export async function openPawl(file: string, durability: Durability): Promise<Contender> {
  const engine = await createEngine({
    database: file,
    resources: agentPlatform(),
    encryptionKeys: [randomBytes(32).toString('base64')],
    durability,
  })
  const agent = await engine.agents.create({ name: 'Bench' })
  const tasks = await Promise.all(
    Array.from({ length: TASKS }, () =>
      engine.tasks.create({ name: 'Fetch', agent_id: agent.resource.id }),
    ),
  )
  const ids = tasks.map(({ resource }) => resource.id)
  return {
    change: (task, command) => engine.tasks.send(ids[task] ?? '', { type: command }),
    close: () => engine.close(),
  }
}
