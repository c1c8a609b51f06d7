/** What does a database of the version before deliver, once it is opened by this one? @module */

import { expect, onTestFinished, test } from 'vitest'
import { type AnyTestEngine, handleOf, openEngine, reopen } from '../support/engine.ts'
import { openRaw } from '../support/raw.ts'
import { createReceiver } from '../support/receivers.ts'
import { temporaryFile } from '../support/temp.ts'
import { makeAgent } from '../support/world.ts'

const delivery = { allowPrivate: ['127.0.0.0/8'] }

/** Leaves a file as the version before has: this one only adds tables. */
function takeBack(file: string): void {
  const raw = openRaw(file)
  for (const table of ['attempts', 'deliveries', 'destinations', 'dispatch'])
    raw.exec(`drop table pawl_${table}`)
  raw.exec("delete from pawl_migrations where name = '0004_deliveries'")
  raw.close()
}

async function setupReceivers(...names: readonly string[]) {
  const receivers = await Promise.all(names.map(() => createReceiver()))
  onTestFinished(async () => void (await Promise.all(receivers.map((one) => one.close()))))
  return new Map(names.map((name, index) => [name, receivers[index]]))
}

/** A destination that has been sent some commands, as long as nothing is delivered. */
async function makeDestination(
  engine: AnyTestEngine,
  url: string | undefined,
  ...commands: readonly string[]
): Promise<string> {
  const destinations = handleOf(engine, 'eventDestinations')
  const input = { name: 'Hooks', webhook: { url }, events: ['agent.*'] }
  const { id } = (await destinations.create(input)).resource
  for (const type of commands) await destinations.send(id, { type })
  return id
}

test('goes on from there, for each destination as it was', async () => {
  const receivers = await setupReceivers('active', 'inactive', 'pending', 'deleted')
  const urlOf = (name: string) => receivers.get(name)?.url
  const database = temporaryFile()
  const engine = await openEngine({ database, delivery })
  await makeDestination(engine, urlOf('active'), 'activate')
  const inactive = await makeDestination(engine, urlOf('inactive'), 'activate', 'deactivate')
  const pending = await makeDestination(engine, urlOf('pending'))
  await makeDestination(engine, urlOf('deleted'), 'activate', 'delete')
  await makeAgent(engine)
  await engine.close()
  takeBack(database)

  const later = await reopen(engine, { database, delivery })
  onTestFinished(() => later.close())
  const first = await makeAgent(later)
  await later.clock.advance('1m')
  await handleOf(later, 'eventDestinations').send(inactive, { type: 'reactivate' })
  const second = await makeAgent(later)
  await later.clock.advance('1m')

  const received = [...receivers].map(([name, receiver]) => [
    name,
    receiver?.events.map((event) => event.data.id),
  ])
  expect(Object.fromEntries(received)).toEqual({
    active: [first.id, second.id],
    inactive: [first.id, second.id],
    // It was verified with the first minute.
    pending: [second.id],
    deleted: [],
  })
  expect((await handleOf(later, 'eventDestinations').get(pending)).status).toBe('active')
  expect((await later.verify()).differences).toEqual([])
})
