import type { AgentPlatform } from '../../machines/index.ts'
import type { Engine, Event } from '../../src/index.ts'

/** An engine with the built-in resources. */
export type PlatformEngine = Engine<AgentPlatform>

/** The table that the workload writes beside the engine's: the name of each agent that comes with one. */
export type NoteTables = Record<'notes', { readonly id: string }>

/** The description of agents that come with a note. */
export const NOTED = 'with a note'

/** What a call has come to: the places of its events in the log. */
export interface Done {
  readonly seqs: readonly number[]
  readonly replayed: boolean
}

/** A call that can be made again, with the same key. */
export type Call = () => Promise<Done>

interface Made {
  readonly events: readonly { readonly seq: number }[]
  readonly replayed: boolean
  readonly resource: { readonly id: string }
}

/** What an agent is created with, by the key of the call. */
export function agentOf(key: string): { readonly name: string; readonly description: string } {
  // Of different lengths, so that pages fill differently.
  return { name: key, description: key.repeat(1 + ((Number(key.slice(1)) * 7) % 60)) }
}

/** The options of a call: its key is the name of all that it leads to as well. */
function named(key: string) {
  return { idempotencyKey: key, correlationId: key }
}

/** The key of the call that an entry of the log comes from, where it is the first one of that call. */
export function keyOf({ cause }: Pick<Event, 'cause'>): string | null {
  const isFirst = cause.causation_id === null && /^k\d+$/.test(cause.correlation_id)
  return isFirst ? cause.correlation_id : null
}

/** Plans calls of many kinds, as the random numbers want it. */
export function createWorkload(
  engine: PlatformEngine,
  random: () => number,
): (key: string) => Call {
  const [agents, tasks, sources]: [Set<string>, Set<string>, Set<string>] = [
    new Set(),
    new Set(),
    new Set(),
  ]
  const one = (ids: ReadonlySet<string>) => [...ids][Math.floor(random() * ids.size)] ?? ''
  const keep = (ids: Set<string>, { events, replayed, resource }: Made): Done => {
    ids.add(resource.id)
    return { seqs: events.map(({ seq }) => seq), replayed }
  }
  const agent = (key: string): Call => {
    return async () => keep(agents, await engine.agents.create(agentOf(key), named(key)))
  }
  const noted = (key: string): Call => {
    const input = { name: key, description: NOTED }
    return () =>
      engine.transaction(async (tx) => {
        const outcome = await tx.agents.create(input, named(key))
        const db = tx.db.withTables<NoteTables>()
        if (!outcome.replayed) await db.insertInto('notes').values({ id: key }).execute()
        return keep(new Set(), outcome)
      })
  }
  const source = (key: string): Call => {
    const website = { url: 'https://source.example' }
    const input = { name: key, type: 'website', website } as const
    return async () => keep(sources, await engine.sources.create(input, named(key)))
  }
  const task = (key: string): Call => {
    const input = { name: key, agent_id: one(agents) }
    return async () => keep(tasks, await engine.tasks.create(input, named(key)))
  }
  const update = (key: string): Call => {
    const id = one(tasks)
    const command = { type: 'update', name: key, prompt: agentOf(key).description } as const
    return async () => keep(tasks, await engine.tasks.send(id, command, named(key)))
  }
  const run = (key: string): Call => {
    const input = { task_id: one(tasks), source_id: one(sources), input: { key } }
    return async () => keep(new Set(), await engine.taskRuns.create(input, named(key)))
  }
  return (key) => {
    if (agents.size === 0) return agent(key)
    if (tasks.size === 0) return task(key)
    if (sources.size === 0) return source(key)
    const kinds = [agent, agent, noted, task, update, update, run]
    return (kinds[Math.floor(random() * kinds.length)] ?? agent)(key)
  }
}
