/** Pawl itself, all guarantees on. @module */

import { randomBytes } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { agentPlatform, type Timeouts } from '../../machines/index.ts'
import { createEngine } from '../../src/index.ts'
import { type Contender, type Durability, TASKS } from './measure.ts'

const encryptionKeys = [randomBytes(32).toString('base64')]

/** Opens an engine; its timers fire only when it is told to. */
export function openEngine(
  database: string | Database,
  durability: Durability,
  timeouts: Timeouts = {},
) {
  return createEngine({
    database,
    resources: agentPlatform({ timeouts }),
    encryptionKeys,
    durability,
  })
}

/** An engine of the agent platform. */
export type AgentEngine = Awaited<ReturnType<typeof openEngine>>

/** Creates tasks of one agent and gives their ids. */
export async function createTasks(engine: AgentEngine, count: number): Promise<readonly string[]> {
  const { resource: agent } = await engine.agents.create({ name: 'Bench' })
  const tasks = await Promise.all(
    Array.from({ length: count }, () => engine.tasks.create({ name: 'Fetch', agent_id: agent.id })),
  )
  return tasks.map(({ resource }) => resource.id)
}

/** Opens an engine with its tasks. */
export async function openPawl(file: string, durability: Durability): Promise<Contender> {
  const engine = await openEngine(file, durability)
  const ids = await createTasks(engine, TASKS)
  return {
    change: (task, command) => engine.tasks.send(ids[task] ?? '', { type: command }),
    close: () => engine.close(),
  }
}
