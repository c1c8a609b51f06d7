import { describe, expect, test } from 'vitest'
import { createTestEngine } from '../../src/testing.ts'
import { type AnyTestEngine, handleOf, setupEngine } from '../support/engine.ts'
import { failureOf } from '../support/errors.ts'
import { makeAgent } from '../support/world.ts'

function explode(): never {
  throw new Error('read at your own risk')
}

function revoked(target: object): never {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy as never
}

/** Small in memory and long as a text: four million parts. */
function doubling(): never {
  let value: unknown = 'x'
  for (let level = 0; level < 22; level++) value = [value, value]
  return value as never
}

type Call = (engine: AnyTestEngine) => unknown

const calls: Readonly<Record<string, Call>> = {
  'a cursor of events that is a number': ({ events }) => events.list({ cursor: 5 }),
  'a cursor of events that is a list': ({ events }) => events.list({ cursor: ['x'] }),
  'a filter that is a revoked proxy': ({ events }) => events.list(revoked({})),
  'a filter with a getter that throws': ({ events }) =>
    events.list(Object.defineProperty({}, 'type', { enumerable: true, get: explode })),
  'a moment that is a revoked proxy': ({ events }) => events.list({ since: revoked({}) }),
  'types that are a revoked proxy': ({ events }) => events.list({ type: revoked([]) }),
  'types in a proxy without methods': ({ events }) =>
    events.list({ type: new Proxy([], { get: (_, key) => (key === 'length' ? 3 : undefined) }) }),
  'a status that is a revoked proxy': (engine) =>
    handleOf(engine, 'agents').list({ status: revoked([]) }),
  'options that are a revoked proxy': (engine) =>
    handleOf(engine, 'agents').create({ name: 'A' }, revoked({})),
  'an actor that is a revoked proxy': (engine) =>
    handleOf(engine, 'agents').create({ name: 'A' }, { actor: revoked({}) }),
  'an actor with a getter that throws': (engine) =>
    handleOf(engine, 'agents').create(
      { name: 'A' },
      { actor: Object.defineProperty({}, 'id', { enumerable: true, get: explode }) },
    ),
  'a duration that is a revoked proxy': (engine) => engine.prune({ events: revoked({}) }),
  'a page that is a revoked proxy': (engine) => handleOf(engine, 'agents').list(revoked({})),
  'a beginning that is a revoked proxy': ({ events }) =>
    events
      .subscribe({ from: revoked({}) })
      [Symbol.asyncIterator]()
      .next(),
  'a signal that is a revoked proxy': ({ events }) =>
    events
      .subscribe({ signal: revoked({}) })
      [Symbol.asyncIterator]()
      .next(),
}

describe('what cannot be read', () => {
  test.each(Object.entries(calls))('is invalid_input: %s', async (_, call) => {
    const engine = await setupEngine()

    expect(await failureOf(() => call(engine))).toMatchObject({ code: 'invalid_input' })
  })

  test('is invalid_input: a moment of at', async () => {
    const engine = await setupEngine()
    const { id } = await makeAgent(engine)

    expect(await failureOf(() => handleOf(engine, 'agents').at(id, revoked({})))).toMatchObject({
      code: 'invalid_input',
    })
  })
})

describe('an engine', () => {
  const exploding = Object.defineProperty({}, 'agents', { enumerable: true, get: explode })

  test.each([
    ['resources with a getter that throws', { resources: exploding }],
    ['a seed without a prototype', { seed: Object.create(null) }],
    ['a seed that is a text', { seed: '1' as never }],
    ['a seed that is no number', { seed: Number.NaN }],
  ])('cannot be opened with %s', async (_, options) => {
    expect(await failureOf(() => createTestEngine(options))).toMatchObject({
      code: 'invalid_input',
    })
  })
})

// Made before the clock runs.
const deep = doubling()
const text = 'é'.repeat(10_000_000)
const holes = Object.assign([], { length: 3_000_000 })
const statuses = Array.from({ length: 1_000_000 }, String)
const names = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))

const long: Readonly<Record<string, Call>> = {
  'a status of four million parts': (engine) => handleOf(engine, 'agents').list({ status: deep }),
  'a tenant of ten million characters': (engine) =>
    handleOf(engine, 'agents').list({ tenant: text }),
  'a cursor of four million parts': ({ events }) => events.list({ cursor: deep }),
  'a list of a million statuses': (engine) => handleOf(engine, 'agents').list({ status: statuses }),
  'a list of three million holes': (engine) => handleOf(engine, 'agents').list({ status: holes }),
  'a type of four million parts': ({ events }) => events.list({ type: deep }),
  'options of 100,000 names': ({ events }) => events.list(names),
  'a duration of four million parts': (engine) => engine.prune({ events: deep }),
  'a payload of four million parts': (engine) => handleOf(engine, 'agents').create(deep),
}

describe('what is long', () => {
  test.each(Object.entries(long))('is refused in a moment: %s', async (_, call) => {
    const engine = await setupEngine()
    let took = Number.POSITIVE_INFINITY

    for (let again = 0; again < 5 && took > 100; again++) {
      const begun = process.cpuUsage()
      expect(await failureOf(() => call(engine))).toMatchObject({ code: 'invalid_input' })
      const { user, system } = process.cpuUsage(begun)
      took = (user + system) / 1000
    }

    expect(took).toBeLessThan(100)
  })
})
