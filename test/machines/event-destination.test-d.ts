import { describe, expectTypeOf, test } from 'vitest'
import type { AgentPlatform } from '../../machines/index.ts'
import type { Engine } from '../../src/index.ts'

declare const engine: Engine<AgentPlatform>

const { eventDestinations } = engine
const webhook = { url: 'https://hooks.example/in' }
const given = { name: 'Hooks', events: ['*'] }

describe('creating a destination', () => {
  test('takes a webhook, whether its type is said or not', () => {
    eventDestinations.create({ ...given, webhook })
    eventDestinations.create({ ...given, type: 'webhook', webhook, delivery: { order: 'none' } })

    // @ts-expect-error nowhere to deliver to
    eventDestinations.create(given)
    // @ts-expect-error misspelt
    eventDestinations.create({ ...given, webhook, delivry: null })
    // @ts-expect-error misspelt
    eventDestinations.create({ ...given, type: 'webhook', webhook, delivry: null })
    // @ts-expect-error misspelt
    eventDestinations.create({ ...given, webhok: webhook })
    // @ts-expect-error its type is not said
    eventDestinations.create({ ...given, rabbitmq: {} })
  })

  test('takes any configuration of another type, and checks the rest', () => {
    eventDestinations.create({ ...given, type: 'rabbitmq', rabbitmq: { exchange: 'e' } })

    // @ts-expect-error the configuration of another type
    eventDestinations.create({ ...given, type: 'rabbitmq', webhook })
    // @ts-expect-error a name is a text
    eventDestinations.create({ ...given, type: 'rabbitmq', rabbitmq: {}, name: 5 })
    // @ts-expect-error there is no such order
    eventDestinations.create({ ...given, type: 'nats', nats: {}, delivery: { order: 'any' } })
  })
})

describe('updating a destination', () => {
  test('takes what is to change, of any type', () => {
    eventDestinations.send('evtd_1', { type: 'update', name: 'A', webhook })
    eventDestinations.send('evtd_1', { type: 'update', rabbitmq: { exchange: 'e' } })
    eventDestinations.send('evtd_1', { type: 'update', name: 'A', events: ['*'], rabbitmq: {} })

    // @ts-expect-error misspelt
    eventDestinations.send('evtd_1', { type: 'update', nmae: 'A' })
    // @ts-expect-error a name is a text
    eventDestinations.send('evtd_1', { type: 'update', name: 5 })
    // @ts-expect-error misspelt
    eventDestinations.send('evtd_1', { type: 'update', webhook: { ulr: webhook.url } })
    // @ts-expect-error a configuration is an object
    eventDestinations.send('evtd_1', { type: 'update', rabbitmq: 'e' })
  })
})

test('only the engine reports that a destination could not be verified', () => {
  // @ts-expect-error it is internal
  eventDestinations.send('evtd_1', { type: 'fail_verification', error: 'gone' })
})

test('a destination has the fields of a webhook, and no others', () => {
  type Destination = Awaited<ReturnType<typeof eventDestinations.get>>
  expectTypeOf<Destination['type']>().toEqualTypeOf<string>()
  expectTypeOf<Destination['webhook']['url']>().toEqualTypeOf<string>()
  expectTypeOf<Destination['events']>().toEqualTypeOf<string[]>()
  expectTypeOf<Destination['verification']['error']>().toEqualTypeOf<string | null>()
  expectTypeOf<Destination>().not.toHaveProperty('rabbitmq')
  expectTypeOf<Destination>().not.toHaveProperty('resume_from')
})
