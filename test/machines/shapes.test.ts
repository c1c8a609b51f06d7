import { describe, expect, test } from 'vitest'
import { agentPlatform } from '../../machines/index.ts'
import { parseCommand, parseInput } from '../../src/core/payload.ts'
import { createRegistry } from '../../src/core/registry.ts'
import { failureOf } from '../support/errors.ts'

const LIMITS = { bytes: 10_000, depth: 20 }

const { byType } = createRegistry({ ...agentPlatform() }, String)

function kindOf(type: string) {
  const kind = byType.get(type)
  if (kind === undefined) throw new Error(`there is no ${type}`)
  return kind
}

/** The places of what is wrong with an input; none when it is taken. */
async function wrongIn(type: string, input: object): Promise<readonly string[]> {
  return placesOf(() => parseInput(kindOf(type), input, LIMITS))
}

/** The places of what is wrong with a command; none when it is taken. */
async function wrongOn(type: string, command: object): Promise<readonly string[]> {
  return placesOf(() => parseCommand(kindOf(type), command, LIMITS))
}

async function placesOf(parse: () => unknown): Promise<readonly string[]> {
  const call = async () => {
    parse()
    throw new Error('taken')
  }
  const error = await call().catch((thrown: Error) => thrown)
  if (error.message === 'taken') return []
  const { issues = [] } = await failureOf(Promise.reject(error))
  return issues.map(({ path }) => (path as readonly string[]).join('.'))
}

const webhook = { url: 'https://hooks.example/in' }
const destination = { name: 'Hooks', webhook, events: ['*'] }

describe('the events of a destination', () => {
  test.each([
    [['*']],
    [['session.idle']],
    [['session.*', 'task_run.completed']],
    [['a1.b2_c']],
    [['a.b']],
  ])('can be %j', async (events) => {
    expect(await wrongIn('event_destination', { ...destination, events })).toEqual([])
  })

  test.each([
    ...['', '**', 'session', 'session.', '.idle', 'Session.idle', 'session.Idle', '1a.b'],
    ...['a.1b', 'a.b.c', 'a.b ', ' a.b', '*.idle', 'session.*x', 'session.i-d', 'se ssion.idle'],
  ])('cannot be called %j', async (type) => {
    expect(await wrongIn('event_destination', { ...destination, events: [type] })).toEqual([
      'events.0',
    ])
  })

  test.each([[[]], [['*', 'session.idle']]])('cannot be %j', async (events) => {
    expect(await wrongIn('event_destination', { ...destination, events })).toEqual(['events'])
  })
})

describe('the delivery of a destination', () => {
  const wrong = (delivery: unknown) =>
    wrongIn('event_destination', { ...destination, delivery } as object)

  test.each<[unknown]>([
    ...['challenge', 'handshake', 'ping', 'manual'].map((verification): [unknown] => [
      { verification },
    ]),
    ...['resource', 'none'].map((order): [unknown] => [{ order }]),
    [{ retries: [0, 5, '5s', '1.5h', '250ms', '2m', '90d'] }],
    [{ retries: Array(100).fill('5s') }],
    ...[1, 10, '1ms', '15s', '5m', '0.05h', 300_000].map((timeout): [unknown] => [{ timeout }]),
    ...[1, 1000].map((concurrency): [unknown] => [{ concurrency }]),
    [{}],
    [null],
  ])('can be %j', async (delivery) => {
    expect(await wrong(delivery)).toEqual([])
  })

  test.each<[object, string]>([
    [{ verification: 'none' }, 'delivery.verification'],
    [{ order: 'tenant' }, 'delivery.order'],
    [{ retries: [-1] }, 'delivery.retries.0'],
    [{ retries: ['5'] }, 'delivery.retries.0'],
    [{ retries: ['x5s'] }, 'delivery.retries.0'],
    [{ retries: ['5sx'] }, 'delivery.retries.0'],
    [{ retries: ['.5s'] }, 'delivery.retries.0'],
    [{ retries: [`${'9'.repeat(400)}d`] }, 'delivery.retries.0'],
    [{ retries: '5s' }, 'delivery.retries'],
    [{ retries: Array(101).fill('5s') }, 'delivery.retries'],
    ...['soon', -1, 0, '0s', '0.4ms', 0.4, '301s', '5.1m', 300_001, '1d', null].map(
      (timeout): [object, string] => [{ timeout }, 'delivery.timeout'],
    ),
    [{ concurrency: 0 }, 'delivery.concurrency'],
    [{ concurrency: 1001 }, 'delivery.concurrency'],
    [{ concurrency: 1.5 }, 'delivery.concurrency'],
    [{ other: 1 }, 'delivery'],
  ])('cannot be %j', async (delivery, place) => {
    expect(await wrong(delivery)).toEqual([place])
  })
})

describe('the webhook of a destination', () => {
  const wrong = (parts: object) =>
    wrongIn('event_destination', { ...destination, webhook: { ...webhook, ...parts } })

  test.each([{ 'X-Key': 'a b\tc' }, { "a!#$%&'*+.^_`|~-1": '' }, { a: '\x80\xff~ ' }])(
    'can have the headers %j',
    async (custom_headers) => {
      expect(await wrong({ custom_headers })).toEqual([])
    },
  )

  test.each<[unknown]>([
    [{ '': 'x' }],
    [{ 'a b': 'x' }],
    [{ 'a:': 'x' }],
    [{ ':a': 'x' }],
    [{ a: 'x\n' }],
    [{ a: '\0' }],
    [{ a: '\x7f' }],
    [{ a: '€' }],
    [{ a: 'x', 'b ': 'y' }],
    [{ a: 1 }],
    [['a']],
    [null],
  ])('cannot have the headers %j', async (custom_headers) => {
    expect(await wrong({ custom_headers })).toEqual(['webhook.custom_headers'])
  })

  test.each([
    ...['content-length', 'Content-Type', 'TRANSFER-ENCODING', 'connection', 'Host'],
    ...['webhook-id', 'Webhook-Timestamp', 'webhook-signature', 'WEBHOOK-anything', 'webhook-'],
  ])('cannot have the header %s, which the sender sets', async (header) => {
    const custom_headers = { 'X-Key': 'a', [header]: 'b' }
    const place = `webhook.custom_headers.${header}`

    expect(await wrong({ custom_headers })).toEqual([place])
    expect(
      await wrongOn('event_destination', {
        type: 'update',
        webhook: { ...webhook, custom_headers },
      }),
    ).toEqual([place])
  })

  test('has all of the headers told that the sender sets, and why', async () => {
    const custom_headers = { host: 'a', 'x-host': 'b', 'Webhook-Id': 'c', webhook: 'd' }
    const input = { ...destination, webhook: { ...webhook, custom_headers } }

    const { issues } = await failureOf(async () =>
      parseInput(kindOf('event_destination'), input, LIMITS),
    )

    const message = 'must not be set: the sender does'
    expect(issues).toEqual(
      ['host', 'Webhook-Id'].map((header) => ({
        ...{ path: ['webhook', 'custom_headers', header], code: 'custom', message },
      })),
    )
  })

  test.each(['ftp://a.example', 'a.example', '', 'https://ada@a.example', 'https://:pw@a.example'])(
    'cannot be at %j',
    async (url) => {
      expect(await wrong({ url })).toEqual(['webhook.url'])
    },
  )

  test('can be at an http address', async () => {
    expect(await wrong({ url: 'http://a.example:8080/in?x=1' })).toEqual([])
  })
})

describe('a command to a destination', () => {
  test.each(['resume', 'now', '2026-01-31T12:00:00Z', '2026-01-31T12:00:00+02:00', undefined])(
    'can reactivate it from %s',
    async (from) => {
      expect(await wrongOn('event_destination', { type: 'reactivate', from })).toEqual([])
    },
  )

  test.each(['start', '2026-01-31', '2026-01-31T12:00:00', 5, null])(
    'cannot reactivate it from %s',
    async (from) => {
      expect(await wrongOn('event_destination', { type: 'reactivate', from })).toEqual(['from'])
    },
  )

  test('deactivates it because of its user or of failures', async () => {
    const wrong = (reason: unknown) => wrongOn('event_destination', { type: 'deactivate', reason })

    expect(await Promise.all(['user', 'failures', undefined].map(wrong))).toEqual([[], [], []])
    expect(await wrong('boredom')).toEqual(['reason'])
  })
})

describe('the type of a file', () => {
  const wrong = (file_type: string, parts: object = {}) =>
    wrongIn('storage', {
      ...{ task_run_id: 'trun_1', file_name: 'a', file_size: 0 },
      file_type,
      ...parts,
    })

  test.each(['a/b', 'application/pdf', 'text/plain; charset=utf-8'])('can be %s', async (type) => {
    expect(await wrong(type)).toEqual([])
  })

  test.each(['', 'pdf', '/pdf', 'a/', 'a /b', ' a/b', 'a//b'])('cannot be %j', async (type) => {
    expect(await wrong(type)).toEqual(['file_type'])
  })

  test('stands beside a name and a size', async () => {
    expect(await wrong('a/b', { file_name: '' })).toEqual(['file_name'])
    expect(await wrong('a/b', { file_size: -1 })).toEqual(['file_size'])
    expect(await wrong('a/b', { file_size: 0.5 })).toEqual(['file_size'])
    expect(await wrong('a/b', { metadata: [] })).toEqual(['metadata'])
    expect(await wrong('a/b', { metadata: { any: ['thing'] }, url: 'x' })).toEqual([])
  })
})

describe('the schema of a task', () => {
  const wrong = (input_schema: unknown) =>
    wrongIn('task', { name: 'T', agent_id: 'agt_1', input_schema })

  test.each<[unknown]>([
    [null],
    [true],
    [{ type: 'object' }],
    [{ $schema: 'http://json-schema.org/draft-07/schema#' }],
    [{ $schema: 'http://json-schema.org/draft-07/schema' }],
    [{ $schema: 'https://json-schema.org/draft/2019-09/schema' }],
    [{ $schema: 'https://json-schema.org/draft/2020-12/schema' }],
  ])('can be %j', async (schema) => {
    expect(await wrong(schema)).toEqual([])
  })

  test.each<[unknown, string]>([
    [5, 'input_schema'],
    ['text', 'input_schema'],
    [[], 'input_schema'],
    [{ type: 'thing' }, 'input_schema.type'],
    [{ $schema: 'https://example.com/schema' }, 'input_schema.$schema'],
    [{ $schema: '#http://json-schema.org/draft-07/schema' }, 'input_schema.$schema'],
    [{ $async: true }, 'input_schema'],
  ])('cannot be %j', async (schema, place) => {
    expect(await wrong(schema)).toContain(place)
  })
})

test('a task that says nothing of its settings has a time limit', () => {
  expect(parseInput(kindOf('task'), { name: 'T', agent_id: 'agt_1' }, LIMITS).parsed).toEqual({
    ...{ name: 'T', agent_id: 'agt_1', prompt: null, input_schema: null, output_schema: null },
    ...{ storage: null, settings: { timeout_seconds: 1800 } },
  })
})
