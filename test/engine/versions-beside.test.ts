import { expect, onTestFinished, test } from 'vitest'
import { assign, cancel, createMachine, emit, raise } from 'xstate'
import { z } from 'zod'
import { expectVerified, handleOf, openEngine, setupEngine } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { openRaw } from '../support/raw.ts'
import { temporaryFile } from '../support/temp.ts'
import { thing } from '../support/things.ts'

type Options = Parameters<typeof openEngine>[0]

async function open(options: Options) {
  const engine = await openEngine(options)
  onTestFinished(() => engine.close())
  return engine
}

interface Priced {
  readonly price: number
}

const priced = createMachine({
  context: { price: 5 },
  initial: 'open',
  states: {
    open: {
      on: { go: { actions: assign({ price: ({ context }) => (context as Priced).price + 1 }) } },
    },
  },
})

test('an engine of an earlier version leaves alone what a later one has migrated', async () => {
  const database = temporaryFile()
  const older = await open({ database, resources: { things: thing(priced) } })
  const { id } = (await handleOf(older, 'things').create({})).resource
  const inCents = ({ value, context }: { value: unknown; context: object }) => {
    return { value, context: { price: (context as Priced).price * 100 } }
  }
  const definition = { ...thing(priced), version: 2, migrate: { 1: inCents } }
  const newer = await open({ database, resources: { things: definition } })
  await newer.migrate()

  const error = await failureOf(handleOf(older, 'things').send(id, { type: 'go' }))

  expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
  expect(error.message).toContain('is of version 2, and this engine has version 1')
  const { resource } = await handleOf(newer, 'things').send(id, { type: 'go' })
  expect(resource).toMatchObject({ price: 501, version: 3 })
  await expectVerified(newer)
})

test('references that a definition did not have before are kept from the next change on', async () => {
  const database = temporaryFile()
  const machine = createMachine({
    context: ({ input }: { input: object }) => ({
      other: (input as { other?: string }).other ?? null,
    }),
    initial: 'open',
    states: { open: { on: { go: { actions: raise({ type: 'later' }, { delay: 1000 }) } } } },
  } as object)
  const input = z.object({ other: z.string().optional() })
  const before = await openEngine({ database, resources: { things: thing(machine, { input }) } })
  const one = (await handleOf(before, 'things').create({})).resource.id
  const two = (await handleOf(before, 'things').create({ other: one })).resource.id
  await before.close()

  const definition = thing(machine, { input, references: { other: 'thing' } })
  const engine = await open({ database, resources: { things: definition } })
  await expectVerified(engine)
  await handleOf(engine, 'things').send(two, { type: 'go' })

  const { data } = await handleOf(engine, 'things').list({ other: one })
  expect(data.map(({ id }) => id)).toEqual([two])
  await expectVerified(engine)
})

test('two timers that were ignored are no difference, though one could have canceled the other', async () => {
  const timers = [
    raise({ type: 'first' }, { delay: 1000, id: 'first' }),
    raise({ type: 'second' }, { delay: 2000, id: 'second' }),
  ]
  const machine = createMachine({
    initial: 'open',
    states: { open: { entry: timers, on: { second: { actions: cancel('first') } } } },
  } as object)
  const engine = await setupEngine({ resources: { things: thing(machine) } })
  await handleOf(engine, 'things').create({})

  await engine.clock.advance('5s')

  await expectVerified(engine)
})

test('prune leaves a log in place in which entries are missing', async () => {
  const database = temporaryFile()
  const engine = await open({ database, resources: { things: thing(priced) } })
  const ids = [1, 2].map(async () => (await handleOf(engine, 'things').create({})).resource.id)
  const [gone] = await Promise.all(ids)
  const raw = openRaw(database)
  raw.pragma('foreign_keys = off')
  raw.prepare('delete from pawl_events where resource_id = ?').run(gone)
  raw.prepare('delete from pawl_resources where id = ?').run(gone)
  await engine.clock.advance('1d')

  const error = await failureOf(engine.prune({ events: '1h' }))

  expect(error).toMatchObject({ code: 'storage_corrupt', operation: 'prune' })
  expect(await engine.verify()).toMatchObject({ ok: false })
})

test('a pattern takes events of types that the machine has no longer', async () => {
  const database = temporaryFile()
  const saying = (type: string) =>
    createMachine({ initial: 'open', states: { open: { entry: emit({ type }) } } } as object)
  const before = await openEngine({ database, resources: { things: thing(saying('thing.old')) } })
  await handleOf(before, 'things').create({})
  await before.close()
  const engine = await open({ database, resources: { things: thing(saying('thing.new')) } })
  await handleOf(engine, 'things').create({})

  const byPattern = await engine.events.list({ type: 'thing.*', order: 'asc' })
  const byName = await engine.events.list({ type: 'thing.old' })
  const never = await failureOf(async () => engine.events.list({ type: 'thing.never' }))

  expect(byPattern.data.map(({ type }) => type)).toEqual(['thing.old', 'thing.new'])
  expect(byName.data.map(({ type }) => type)).toEqual(['thing.old'])
  expect(never).toMatchObject({ code: 'invalid_input', issues: [{ code: 'unknown_type' }] })
})
