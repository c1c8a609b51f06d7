/** A session, a run with a question to its user, and everything that happened: on an SQLite file. */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { createEngine, isPawlError } from 'pawl'

const folder = mkdtempSync(join(tmpdir(), 'pawl-'))
const engine = await createEngine({
  database: join(folder, 'quickstart.db'),
  encryptionKeys: [randomBytes(32).toString('base64')],
})
await engine.start()

const { agents, sources, credentials, tasks, taskRuns, sessions } = engine

heading('What happens')
const agent = show(await agents.create({ name: 'Hotel reservations' }))
const source = show(
  await sources.create({ type: 'website', website: { url: 'https://hotel.example' } }),
)
const task = show(await tasks.create({ name: 'Fetch reservations', agent_id: agent.id }))
const credential = show(
  await credentials.create({
    source_id: source.id,
    auth_method: 'username_password',
    auth_credentials: { username: 'ada', password: 'never shown again' },
  }),
)
const run = show(await taskRuns.create({ task_id: task.id, credential_id: credential.id }))
show(await sessions.send(run.session_id, { type: 'start' }))
show(await taskRuns.send(run.id, { type: 'start' }))
show(
  await taskRuns.send(run.id, {
    type: 'require_interaction',
    interaction: {
      type: 'mfa',
      message: 'Enter the code',
      fields: [{ name: 'code', type: 'text', label: 'Code' }],
    },
  }),
)
show(await taskRuns.send(run.id, { type: 'submit_interaction', input: { code: '123456' } }))
show(await taskRuns.send(run.id, { type: 'login_succeeded' }))
show(await taskRuns.send(run.id, { type: 'complete', output: { reservations: 3 } }))

heading('What is refused')
try {
  await taskRuns.send(run.id, { type: 'start' })
} catch (error) {
  if (isPawlError(error, 'illegal_transition')) console.log(`  ${paint('red', error.message)}`)
}

heading('What the run has been through')
for await (const entry of taskRuns.history(run.id)) {
  const before =
    entry.previous_status && `after ${entry.time_in_previous_ms} ms ${entry.previous_status}`
  const name = paint(entry.internal ? 'gray' : 'green', entry.type.padEnd(30))
  console.log(
    `  ${paint('gray', entry.created_at)} ${name} v${entry.resource_version} ${before ?? ''}`,
  )
}

await engine.close()
rmSync(folder, { recursive: true })

interface Shown<Resource> {
  readonly resource: Resource
  readonly events: readonly { seq: number; type: string; resource_id: string }[]
}

/** Prints the events of an outcome and gives its resource. */
function show<Resource>({ resource, events }: Shown<Resource>): Resource {
  for (const { seq, type, resource_id } of events) {
    const place = paint('gray', String(seq).padStart(3))
    console.log(`  ${place} ${paint('green', type.padEnd(30))} ${resource_id}`)
  }
  return resource
}

function heading(text: string): void {
  console.log(`\n${paint('bold', text)}\n`)
}

/** In colour on a terminal, plain elsewhere. */
function paint(style: 'bold' | 'gray' | 'green' | 'red', text: string): string {
  return process.stdout.isTTY && !process.env.NO_COLOR ? styleText(style, text) : text
}
