import { describe, expect, test } from 'vitest'
import { agentPlatform } from '../../machines/index.ts'
import { acceptedCommands } from '../../src/core/legality.ts'
import { parseCommand, parseInput } from '../../src/core/payload.ts'
import type { SendRequest } from '../../src/core/plan.ts'
import { openWorld } from '../core/world-in-memory.ts'
import { failureOf } from '../support/errors.ts'

type Fields = Readonly<Record<string, unknown>>

const LIMITS = { bytes: 10_000, depth: 20 }

const given = { name: 'D', events: ['*'] }
const webhook = { url: 'https://d.example', custom_headers: { a: 'b' } }
const rabbitmq = { exchange: 'e', server: { host: 'r.example', ports: [1, 2] } }

const passed = { status: 'passed', error: null, checked_at: '1970-01-01T00:00:01.000Z' }
const pending = { status: 'pending', error: null, checked_at: null }

/** How to get to a status. */
const PATHS: Readonly<Record<string, readonly string[]>> = {
  pending_verification: [],
  active: ['activate'],
  inactive: ['activate', 'deactivate'],
  deleted: ['delete'],
}

const LIVING = ['pending_verification', 'active', 'inactive']

/** A world with one destination, which takes what an engine would. */
function createdAs(input: Fields) {
  const world = openWorld({ eventDestinations: agentPlatform().eventDestinations })
  const kind = world.kind('event_destination')
  const created = world.create(kind.type, parseInput(kind, input, LIMITS).parsed)
  const send = (command: string | Fields, options: Pick<SendRequest, 'own'> = {}) => {
    const asked = typeof command === 'string' ? { type: command } : command
    const { type, ...payload } = parseCommand(kind, asked, LIMITS).parsed
    return world.send(created.id, type, payload, options)
  }
  const row = () => world.row(created.id) ?? expect.fail()
  const seen = (): Fields => ({ status: row().status, ...JSON.parse(row().context) })
  return { ...created, world, send, row, seen, accepts: () => acceptedCommands(kind, row()) }
}

function reach(status: string, input: Fields = { ...given, type: 'rabbitmq', rabbitmq }) {
  const destination = createdAs(input)
  for (const command of PATHS[status] ?? []) destination.send(command)
  expect(destination.row().status).toBe(status)
  return destination
}

/** The places of what is wrong with an input. */
function wrongIn(input: Fields): Promise<readonly string[]> {
  return placesOf(() => createdAs(input))
}

async function placesOf(call: () => unknown): Promise<readonly string[]> {
  const { code, issues = [] } = await failureOf(call)
  expect(code).toBe('invalid_input')
  return issues.map(({ path }) => (path as readonly string[]).join('.'))
}

describe('a destination of another type', () => {
  test('has its configuration under the name of its type, and no webhook', () => {
    const { resource } = createdAs({ ...given, type: 'rabbitmq', rabbitmq })

    expect(resource).toEqual({
      ...{ id: expect.any(String), object: 'event_destination', status: 'pending_verification' },
      ...{ version: 1, created_at: expect.any(String), updated_at: expect.any(String) },
      ...{ ...given, type: 'rabbitmq', rabbitmq, delivery: null },
      ...{ verification: pending, deactivation: null },
    })
  })

  test('keeps its configuration as it is, whatever it holds', () => {
    const nats: Fields = JSON.parse('{ "__proto__": { "a": [null, {}] }, "name": "", "": 1 }')

    const { seen } = createdAs({ ...given, type: 'nats', nats })

    expect(JSON.stringify(seen().nats)).toBe(JSON.stringify(nats))
  })

  test.each(['nats', 'aws_sqs', 'a', 'a1_', 'web_hook', 'webhooks', 'constructor'])(
    'can be called %s',
    (type) => {
      const { resource } = createdAs({ ...given, type, [type]: {} })

      expect(resource).toMatchObject({ type, [type]: {} })
    },
  )

  test.each<[unknown]>([
    ...[[''], ['Nats'], ['na-ts'], ['1a'], ['_a'], ['a b'], ['nats\n'], ['__proto__'], [5], [null]],
    ...[['id'], ['status'], ['version'], ['name'], ['type'], ['events'], ['secret'], ['delivery']],
    ...[['verification'], ['deactivation'], ['resume_from'], ['object'], ['created_at']],
  ] as [unknown][])('cannot be called %j', async (type) => {
    expect(await wrongIn({ ...given, webhook, type })).toEqual(['type'])
  })

  test.each<[string, Fields, readonly string[]]>([
    ['without a configuration', {}, ['rabbitmq']],
    ['with a text for a configuration', { rabbitmq: 'e' }, ['rabbitmq']],
    ['with a list for a configuration', { rabbitmq: [] }, ['rabbitmq']],
    ['with nothing for a configuration', { rabbitmq: null }, ['rabbitmq']],
    ['with a webhook instead', { webhook }, ['rabbitmq', '']],
    ['with a webhook as well', { rabbitmq, webhook }, ['']],
    ['with the configuration of a third type as well', { rabbitmq, nats: {} }, ['']],
    ['with a misspelt field', { rabbitmq, delivry: null }, ['']],
    ['with defects of the rest', { name: '', events: [] }, ['name', 'rabbitmq', 'events']],
  ])('is refused %s', async (_, fields, places) => {
    expect(await wrongIn({ ...given, type: 'rabbitmq', ...fields })).toEqual(places)
  })

  test('is no webhook with a configuration of another type', async () => {
    expect(await wrongIn({ ...given, webhook, rabbitmq })).toEqual([''])
    expect(await wrongIn({ ...given, type: 'webhook', webhook, rabbitmq })).toEqual([''])
    expect(await wrongIn({ ...given, type: 'webhook', rabbitmq })).toEqual(['webhook', ''])
  })

  test('has defaults and limits like any other', async () => {
    const input = { ...given, type: 'rabbitmq', rabbitmq }

    expect(await wrongIn({ ...input, delivery: { concurrency: 1001 } })).toEqual([
      'delivery.concurrency',
    ])
    expect(createdAs({ ...input, delivery: { timeout: '5m' } }).seen().delivery).toEqual({
      timeout: '5m',
    })
  })
})

describe('an update', () => {
  const other = { exchange: 'f', server: { host: 'r.example', ports: [1, 2] } }
  const turned = { server: { ports: [1, 2], host: 'r.example' }, exchange: 'e' }

  test.each<[string, Fields, boolean]>([
    ['of its name', { name: 'E' }, false],
    ['of all but its configuration', { events: ['session.*'], delivery: { order: 'none' } }, false],
    ['with the same configuration', { rabbitmq }, false],
    ['with its keys in another order', { rabbitmq: turned }, false],
    ['with another configuration', { rabbitmq: other }, true],
    ['with lists in another order', { rabbitmq: { ...rabbitmq, server: [2, 1] } }, true],
    ['with less in its configuration', { rabbitmq: { exchange: 'e' } }, true],
    ['with nothing in its configuration', { rabbitmq: {} }, true],
    ['with another configuration and name', { rabbitmq: other, name: 'E' }, true],
  ])('%s has a destination verified again: %#', (_, fields, again) => {
    const { send, seen } = reach('active')

    send({ type: 'update', ...fields })

    expect(seen()).toMatchObject({
      ...{ ...fields, type: 'rabbitmq', status: again ? 'pending_verification' : 'active' },
      verification: again ? pending : passed,
    })
  })

  test.each(['pending_verification', 'inactive'])(
    'of the configuration of one that is %s leaves it there, not verified',
    (status) => {
      const { send, seen } = reach(status)

      send({ type: 'update', rabbitmq: other })

      expect(seen()).toMatchObject({ status, rabbitmq: other, verification: pending })
    },
  )

  test('of a type named like what all objects have is no other', () => {
    const destination = reach('active', { ...given, type: 'constructor', constructor: { a: 1 } })

    destination.send({ type: 'update', name: 'E' })
    expect(destination.seen()).toMatchObject({ status: 'active', constructor: { a: 1 } })
    destination.send({ type: 'update', constructor: { a: 2 } })

    expect(destination.seen()).toMatchObject({
      ...{ status: 'pending_verification', constructor: { a: 2 } },
    })
  })

  const asWebhook = { ...given, webhook }
  const asRabbitmq = { ...given, type: 'rabbitmq', rabbitmq }

  const strangers = LIVING.flatMap((status): [string, Fields, Fields][] => [
    [status, asRabbitmq, { webhook }],
    [status, asRabbitmq, { nats: {} }],
    [status, asRabbitmq, { rabbitmq: other, nats: {} }],
    [status, asRabbitmq, { rabbitmq, webhook, name: 'E' }],
    [status, asWebhook, { rabbitmq }],
    [status, asWebhook, { webhook: { url: 'https://e.example' }, rabbitmq }],
    [status, asWebhook, { constructor: {} }],
  ])

  test.each(strangers)(
    'of one that is %s, %j, with %j is refused',
    async (status, input, fields) => {
      const { send, row, accepts } = reach(status, input)
      const before = row()

      const error = await failureOf(() => send({ type: 'update', ...fields }))

      expect(error).toMatchObject({
        ...{ code: 'illegal_transition', reason: 'guard', command: 'update', status },
      })
      expect(error.message).toContain('guard "fitsItsType"')
      expect(row()).toBe(before)
      expect(accepts()).toContain('update')
    },
  )

  test.each<[Fields, readonly string[]]>([
    [{ nmae: 'E' }, ['']],
    [{ rabbitmq: 'e' }, ['']],
    [{ rabbitmq: [] }, ['']],
    [{ verification: {} }, ['']],
    [{ resume_from: {} }, ['']],
    [{ Rabbitmq: {} }, ['']],
    [{ rabbitmq: {}, nmae: 'E' }, ['']],
    [{ rabbitmq: {}, name: '' }, ['name']],
    [{ webhook: { ...webhook, url: 'here' } }, ['webhook.url']],
    [{ webhook: null }, ['webhook']],
  ])('with %j is malformed', async (fields, places) => {
    const { send } = reach('active')

    expect(await placesOf(() => send({ type: 'update', ...fields }))).toEqual(places)
  })

  test('that is no object is malformed', async () => {
    const { commands } = agentPlatform().eventDestinations

    for (const value of [null, undefined, 5, 'text', []]) {
      expect(commands.update?.['~standard'].validate(value)).toHaveProperty('issues')
    }
  })
})

describe('a verification that failed', () => {
  const failed = { type: 'fail_verification', error: 'it does not answer' }
  const verification = {
    ...{ status: 'failed', error: failed.error, checked_at: '1970-01-01T00:00:02.000Z' },
  }

  function failedOnce() {
    const destination = reach('pending_verification', { ...given, webhook })
    destination.world.time = 2000
    return { ...destination, outcome: destination.send(failed, { own: true }) }
  }

  test('is told by the destination, which stays where it is', () => {
    const { seen, outcome, world } = failedOnce()

    expect(seen()).toMatchObject({ status: 'pending_verification', verification })
    expect(outcome).toMatchObject({ changed: true, entries: [], secrets: {} })
    expect(world.stored.log.at(-1)).toMatchObject({
      ...{ type: 'event_destination.fail_verification', internal: true },
    })
  })

  test('is for the engine alone to report', async () => {
    const { send, accepts, seen } = reach('pending_verification')

    const error = await failureOf(() => send(failed))

    expect(error).toMatchObject({ code: 'illegal_transition', reason: 'reserved' })
    expect(accepts()).toContain('activate')
    expect(accepts()).not.toContain('fail_verification')
    expect(seen().verification).toEqual(pending)
  })

  test.each([
    ['active', 'not_accepted'],
    ['inactive', 'not_accepted'],
    ['deleted', 'terminal'],
  ])('is not reported of one that is %s: %s', async (status, reason) => {
    const { send } = reach(status)

    const error = await failureOf(() => send(failed, { own: true }))

    expect(error).toMatchObject({ code: 'illegal_transition', reason })
  })

  test.each<[string, Fields, unknown]>([
    ['goes on with another name', { type: 'update', name: 'E' }, verification],
    ['goes on with other headers', { type: 'update', webhook: { url: webhook.url } }, verification],
    ['is over at another URL', { type: 'update', webhook: { url: 'https://e.example' } }, pending],
    ['goes on after another secret', { type: 'rotate_secret' }, verification],
    ['goes on when it is deactivated', { type: 'deactivate' }, verification],
    [
      'is over when it succeeds',
      { type: 'activate' },
      { ...passed, checked_at: verification.checked_at },
    ],
    [
      'can fail otherwise',
      { ...failed, error: 'it is gone' },
      { ...verification, error: 'it is gone' },
    ],
  ])('%s', (_, command, expected) => {
    const { send, seen } = failedOnce()

    send(command, { own: true })

    expect(seen().verification).toEqual(expected)
  })

  test('is over when the destination is reactivated', () => {
    const { send, seen } = failedOnce()

    send('deactivate')
    send('reactivate')

    expect(seen()).toMatchObject({ status: 'pending_verification', verification: pending })
  })

  test.each([1, 2000])('says why in %i characters', (length) => {
    const { send, seen } = reach('pending_verification')
    const error = 'x'.repeat(length)

    send({ ...failed, error }, { own: true })

    expect(seen().verification).toMatchObject({ error })
  })

  test.each(['', 'x'.repeat(2001), undefined, null, 5])('says why in a text: %#', async (error) => {
    const { send } = reach('pending_verification')

    const call = () => send({ ...failed, error }, { own: true })
    expect(await placesOf(call)).toEqual(['error'])
  })
})
