/** A consumer that bills completed runs into a table of its own: exactly once, although it is killed. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'pawl'

const [role, given] = process.argv.slice(2)
if (role === 'bill') await bill(given ?? '')
else await demonstrate()

/** The worker: one invoice for each completed run. */
async function bill(database: string): Promise<void> {
  const engine = await createEngine({ database })
  await engine.consume(
    'billing',
    { type: 'task_run.completed', lease: '1s' },
    async (event, { tx }) => {
      // Stored together with the consumer's position, or not at all.
      await tx.db.insertInto('invoices').values({ run_id: event.resource_id, cents: 250 }).execute()
      process.send?.(event.id)
    },
  )
}

async function demonstrate(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'pawl-'))
  const database = join(folder, 'billing.db')
  const engine = await createEngine({ database })
  await engine.transaction(async (tx) => {
    const invoices = tx.db.schema.createTable('invoices').addColumn('run_id', 'text')
    await invoices.addColumn('cents', 'integer').execute()
  })
  const { resource: agent } = await engine.agents.create({ name: 'Reports' })
  const { resource: task } = await engine.tasks.create({ name: 'Monthly', agent_id: agent.id })
  const website = { url: 'https://reports.example' }
  const { resource: source } = await engine.sources.create({ type: 'website', website })
  const { resource: session } = await engine.sessions.create()
  await engine.sessions.send(session.id, { type: 'start' })
  for (let run = 1; run <= 12; run++) {
    const input = { task_id: task.id, session_id: session.id, source_id: source.id }
    const { resource } = await engine.taskRuns.create(input)
    await engine.taskRuns.send(resource.id, { type: 'start' })
    await engine.taskRuns.send(resource.id, { type: 'complete' })
  }

  // Three workers die in the middle of their work; the fourth one finds nothing missing or done twice.
  for (const invoices of [1, 3, 2]) await killAfter(invoices, database)
  const worker = fork(fileURLToPath(import.meta.url), ['bill', database])
  for (;;) {
    const [billing] = await engine.consumers.list()
    if (billing?.lag === 0) break
    await setTimeout(20)
  }
  worker.kill()

  const rows = await engine.transaction((tx) =>
    tx.db.selectFrom('invoices').select('run_id').execute(),
  )
  const runs = new Set(rows.map(({ run_id }) => run_id))
  console.log(`${rows.length} invoices for ${runs.size} runs`)
  await engine.close()
  rmSync(folder, { recursive: true })
}

/** Starts a worker and kills it as soon as it has written some invoices. */
async function killAfter(invoices: number, database: string): Promise<void> {
  const worker = fork(fileURLToPath(import.meta.url), ['bill', database])
  for (let written = 0; written < invoices; written++) await once(worker, 'message')
  worker.kill('SIGKILL')
  await once(worker, 'exit')
  console.log('killed a worker')
}
