import { expect, test } from 'vitest'
import { createMachine, emit } from 'xstate'
import { agentPlatform } from '../../machines/index.ts'
import { handleOf, setupEngine } from '../support/engine.ts'
import { thing } from '../support/things.ts'
import { makeAgent, makeSession } from '../support/world.ts'
import { collecting } from './collecting.ts'

const CHANGES = 600

/** An agent that has been through much, of which its creation is the rarest, on a connection that counts. */
async function setupBusyAgent() {
  const { database, during } = collecting()
  const engine = await setupEngine({ database })
  const agents = handleOf(engine, 'agents')
  const { id } = await makeAgent(engine)
  const change = async (from: number) => {
    for (let n = from; n < from + CHANGES / 2; n += 1)
      await agents.send(id, { type: 'update', name: `Agent ${n}` })
  }
  await change(0)
  await engine.clock.advance('1h')
  const middle = engine.clock.now()
  await change(CHANGES)
  return { engine, id, middle, during }
}

test('what is rare among the events of a resource is found in a few steps', async () => {
  const { engine, id, during } = await setupBusyAgent()
  let runs = 0

  const ran = await during(async () => {
    const { data } = await engine.events.list({ resource: id, type: 'agent.created', limit: 1 })
    expect(data.map(({ type }) => type)).toEqual(['agent.created'])
  })

  for (const { times } of ran) runs += times
  // One by one would be hundreds.
  expect(runs).toBeLessThan(30)
})

test.each([
  ['since', 'asc'],
  ['since', 'desc'],
  ['until', 'asc'],
  ['until', 'desc'],
] as const)(
  'the events of a resource %s a time are found by their time, %s',
  async (bound, order) => {
    const { engine, id, middle, during } = await setupBusyAgent()
    const filter = { resource: id, internal: true, [bound]: middle, order, limit: 10 }
    let runs = 0

    const ran = await during(async () => {
      const { data } = await engine.events.list(filter)
      const isWithin = ({ created_at }: { created_at: string }) =>
        bound === 'since' ? created_at >= middle.toISOString() : created_at < middle.toISOString()
      expect(data).toHaveLength(10)
      expect(data.every(isWithin)).toBe(true)
    })

    for (const { times } of ran) runs += times
    expect(runs).toBeLessThan(15)
  },
)

test('resources whose machine names its statuses itself are listed through the index of statuses', async () => {
  const { database, during, planOf } = collecting()
  const machine = createMachine({
    context: {},
    initial: 'calm',
    states: { calm: { on: { go: 'wild' } }, wild: { entry: emit({ type: 'thing.went' }) } },
  } as object)
  const things = thing(machine, {
    events: ['thing.went'],
    status: ({ value }: { value: string }) => `is ${value}`,
  })
  const engine = await setupEngine({ database, resources: { ...agentPlatform(), things } })
  const handle = handleOf(engine, 'things')
  const ids: string[] = []
  for (let n = 0; n < 4; n += 1) ids.unshift((await handle.create({})).resource.id)
  await handle.send(ids[0] ?? '', { type: 'go' })
  for (let n = 0; n < 150; n += 1) await makeSession(engine)
  await handle.send(ids[1] ?? '', { type: 'go' })

  const ran = await during(async () => {
    const { data } = await handle.list()
    expect(data.map(({ id, status }) => [id, status])).toEqual([
      [ids[0], 'is wild'],
      [ids[1], 'is wild'],
      [ids[2], 'is calm'],
      [ids[3], 'is calm'],
    ])
  })

  const steps = ran.flatMap(planOf)
  expect(steps.some((step) => step.includes('pawl_statuses_by_status'))).toBe(true)
  expect(steps).not.toContain('SCAN pawl_resources')
})
