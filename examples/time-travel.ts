/** A resource as it was at any time, and proof that nobody has changed what the log says. */

import Database from 'better-sqlite3'
import { createTestEngine } from 'pawl/testing'

const database = new Database(':memory:')
const engine = await createTestEngine({ database })
const { resource: agent } = await engine.agents.create({ name: 'Clerk' })
const { resource: task } = await engine.tasks.create({ name: 'File', agent_id: agent.id })
await engine.clock.advance('1d')
await engine.tasks.send(task.id, { type: 'promote' })
await engine.clock.advance('1d')
await engine.tasks.send(task.id, { type: 'update', name: 'File and copy' })

for await (const { seq } of engine.tasks.history(task.id)) {
  const { version, status, name } = await engine.tasks.at(task.id, seq)
  console.log(`after entry ${seq}: version ${version}, ${status}, "${name}"`)
}
const yesterday = await engine.tasks.at(task.id, new Date('2026-01-02T12:00:00Z'))
console.log(`on the second of January: ${yesterday.status}, "${yesterday.name}"`)

const report = await engine.verify()
console.log(`clean: ${report.ok}, ${report.checked.events} entries checked`)

// Somebody renames the task behind the engine's back: in the row, and in the log as well.
database.exec(`update pawl_resources set context = replace(context, 'copy', 'burn')`)
database.exec(`update pawl_events set data = replace(data, 'copy', 'burn')`)
const { ok, differences } = await engine.verify()
const found = new Set(differences.map(({ kind, resource_id }) => `${kind} of ${resource_id}`))
console.log(`clean: ${ok}\n  ${[...found].join('\n  ')}`)

await engine.close()
database.close()
