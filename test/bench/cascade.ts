/** Changes of several resources at once: the whole life of a run, with the session that it brings along. @module */

import { type Contender, type Durability, TASKS } from './measure.ts'
import { createTasks, openEngine } from './pawl.ts'

/** Opens an engine with its tasks; one change is one run. */
export async function openCascade(file: string, durability: Durability): Promise<Contender> {
  const engine = await openEngine(file, durability)
  const tasks = await createTasks(engine, TASKS)
  const { resource: source } = await engine.sources.create({
    type: 'website',
    website: { url: 'https://example.com' },
  })

  // Four calls, eight entries in the log: the run queues with a session, starts once that runs, and
  // leaves it idle.
  async function live(task_id: string): Promise<void> {
    const { resource: run } = await engine.taskRuns.create({ task_id, source_id: source.id })
    await engine.sessions.send(run.session_id, { type: 'start' })
    await engine.taskRuns.send(run.id, { type: 'start' })
    await engine.taskRuns.send(run.id, { type: 'complete', output: { total: 12 } })
  }

  return {
    change: (task) => live(tasks[task] ?? ''),
    close: () => engine.close(),
  }
}
