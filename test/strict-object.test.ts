/** Is whoever gives a key that does not exist told which do? @module */

import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { nats } from '../src/nats.ts'
import { rabbitmq } from '../src/rabbitmq.ts'
import { strictObject } from '../src/strict-object.ts'
import { handleOf, setupEngine } from './support/engine.ts'
import { failureOf } from './support/errors.ts'
import { makeAgent, makeDestination } from './support/world.ts'

const messagesOf = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value).error?.issues.map(({ message }) => message)

describe('an issue about unknown keys', () => {
  const both = strictObject({ a: z.string(), b: z.string() }).exactPartial()

  test.each<[string, z.ZodType, unknown, string | undefined]>([
    ['names the key', both, { c: 1 }, 'unrecognized key "c" (accepted: a, b)'],
    ['names all keys', both, { c: 1, a: 'a', d: 1 }, 'unrecognized keys "c", "d" (accepted: a, b)'],
    ['of nothing', strictObject({}), { c: 1 }, 'unrecognized key "c" (none is accepted)'],
    ['is nowhere where there are none', both, { a: 'a' }, undefined],
  ])('%s', (_, schema, value, message) => {
    expect(messagesOf(schema, value)).toEqual(message && [message])
  })

  test('leaves others their words', () => {
    expect(messagesOf(both, { a: 1 })).toEqual(messagesOf(z.object({ a: z.string() }), { a: 1 }))
    expect(messagesOf(both, 5)).toEqual(messagesOf(z.object({}), 5))
  })
})

describe('what an engine takes', () => {
  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    [
      'a field',
      { nmae: 'D' },
      'unrecognized key "nmae" (accepted: name, type, webhook, events, delivery)',
    ],
    [
      'a field of the webhook',
      { webhook: { url: 'https://d.example', headers: {} } },
      'webhook: unrecognized key "headers" (accepted: url, custom_headers)',
    ],
    [
      'a setting of the delivery',
      { delivery: { timeouts: 5 } },
      'delivery: unrecognized key "timeouts" (accepted: order, retries, timeout, concurrency, verification)',
    ],
    [
      'a field of the configuration for RabbitMQ',
      {
        type: 'rabbitmq',
        webhook: undefined,
        rabbitmq: { host: 'mq.example', exchange: '', uri: '' },
      },
      'rabbitmq: unrecognized key "uri" (accepted: host, port, tls, vhost, username, password, exchange, routing_key)',
    ],
    [
      'a field of the configuration for NATS',
      { type: 'nats', webhook: undefined, nats: { host: 'n.example', subject: 's', uri: '' } },
      'nats: unrecognized key "uri" (accepted: host, port, tls, subject, username, password, token)',
    ],
  ])('is told of %s that a destination does not have', async (_, input, message) => {
    const engine = await setupEngine({ destinationTypes: [rabbitmq(), nats()] })

    const failure = await failureOf(() => makeDestination(engine, input))

    expect(failure.message).toBe(`the input of an event_destination is not valid: ${message}`)
    expect(failure.issues).toMatchObject([{ code: 'unrecognized_keys' }])
  })

  test('is told of a field that a command does not have', async () => {
    const engine = await setupEngine()
    const { id } = await makeAgent(engine)
    const agents = handleOf(engine, 'agents')

    const update = await failureOf(() => agents.send(id, { type: 'update', nmae: 'A' }))
    const remove = await failureOf(() => agents.send(id, { type: 'delete', name: 'A' }))

    expect([update.message, remove.message]).toEqual([
      'the command "update" of an agent is not valid: unrecognized key "nmae" (accepted: name, description)',
      'the command "delete" of an agent is not valid: unrecognized key "name" (none is accepted)',
    ])
  })
})
