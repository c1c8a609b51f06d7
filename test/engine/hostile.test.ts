import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type AnyTestEngine,
  collect,
  expectVerified,
  fullLog,
  handleOf,
  openEngine,
  reopen,
  setupEngine,
} from '../support/engine.ts'
import { caught, failureOf, viewOf } from '../support/errors.ts'
import { temporaryFile } from '../support/temp.ts'
import { LOGIN, makeAgent, makeSource, makeTask, reach } from '../support/world.ts'

afterEach(() => {
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(Object.getPrototypeOf(Object.prototype)).toBe(null)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

/** An engine on a file, with what a run needs. */
async function setup() {
  const options = { database: temporaryFile() }
  const engine = await setupEngine(options)
  const task_id = (await makeTask(engine)).id
  const source_id = (await makeSource(engine)).id
  const createRun = (input: unknown) =>
    handleOf(engine, 'taskRuns').create({ task_id, source_id, input })
  return { engine, options, createRun }
}

/** Checks that the engine still does its work. */
async function expectWorking(engine: AnyTestEngine): Promise<void> {
  const agent = await makeAgent(engine)
  expect((await handleOf(engine, 'agents').get(agent.id)).name).toBe('Reservations')
}

async function expectRefused(engine: AnyTestEngine, call: () => unknown): Promise<void> {
  const before = await fullLog(engine)
  const error = await failureOf(call)
  expect(error).toMatchObject({ code: 'invalid_input' })
  expect(error.issues?.length).toBeGreaterThan(0)
  expect(await fullLog(engine)).toEqual(before)
  await expectWorking(engine)
}

describe('text', () => {
  const texts = [
    ...['\u0000', 'a\u0000b', '\u202eevil', '\ufeff', '\u0007\u001b[31m', '\r\n\t'],
    ...['é', 'é'.normalize('NFD'), '👩‍👩‍👧‍👦', '\u{10ffff}', '\uffff', '  ', 'ﬁ'],
    ...['__proto__', 'constructor', 'toString', 'null', 'NaN', '-0', '$1', '$name'],
    ...["'; drop table pawl_events; --", '" or 1=1', '%', '_', '\\', '{"a":1}', '</script>'],
    'x'.repeat(100_000),
  ]

  test.each(texts.map((text) => [JSON.stringify(text).slice(0, 40), text]))(
    '%s comes back as it went in',
    async (_, text) => {
      const { engine, options } = await setup()

      const { resource, events } = await handleOf(engine, 'agents').create({ name: text })

      expect(resource.name).toBe(text)
      expect(events[0]?.data.name).toBe(text)
      const again = await reopen(engine, options)
      expect((await handleOf(again, 'agents').get(resource.id)).name).toBe(text)
      await expectVerified(again)
      await again.close()
    },
  )

  test.each(['\ud800', 'a\udc00b', '\udc00\ud800', `${'x'.repeat(50)}\ud83d`])(
    'with a lone surrogate is refused: %j',
    async (text) => {
      const { engine, createRun } = await setup()
      const { id } = await makeAgent(engine)
      const agents = handleOf(engine, 'agents')

      await expectRefused(engine, () => agents.create({ name: text }))
      await expectRefused(engine, () => agents.send(id, { type: 'update', description: text }))
      await expectRefused(engine, () => createRun({ nested: [text] }))
      await expectRefused(engine, () => createRun({ [text]: 1 }))
    },
  )
})

function nest(depth: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value }
  return value
}

function cycle(): unknown {
  const value: Record<string, unknown> = { a: {} }
  value.a = [value]
  return value
}

function sparse(): unknown {
  const value: unknown[] = [1]
  value[3] = 4
  return value
}

describe('a value that is not JSON', () => {
  const values: readonly (readonly [string, () => unknown])[] = [
    ['a cycle', cycle],
    ['100 levels', () => nest(100)],
    ['100,000 levels', () => nest(100_000)],
    ['300 KB', () => 'x'.repeat(300 * 1024)],
    ['300 KB of small parts', () => Array.from({ length: 60_000 }, () => 'abc')],
    ['a BigInt', () => 1n],
    ['a nested BigInt', () => ({ a: [1n] })],
    ['a function', () => ({ a: () => 1 })],
    ['a symbol', () => ({ a: Symbol('a') })],
    ['NaN', () => ({ a: Number.NaN })],
    ['Infinity', () => [Number.POSITIVE_INFINITY]],
    ['a Date', () => ({ a: new Date(0) })],
    ['a Map', () => ({ a: new Map([[1, 2]]) })],
    ['a Uint8Array', () => ({ a: new Uint8Array([1]) })],
    ['a RegExp', () => ({ a: /a/ })],
    ['a sparse array', () => ({ a: sparse() })],
    ['undefined in a list', () => [1, undefined]],
    ['an object that makes its own JSON', () => ({ a: { b: 1, toJSON: () => 'other' } })],
  ]

  test.each(values)('is refused: %s', async (_, make) => {
    const { engine, createRun } = await setup()

    await expectRefused(engine, () => createRun(make()))
  })

  test('is refused in a command as well', async () => {
    const { engine } = await setup()
    const { id } = await reach(engine, 'task_run', 'running')
    const runs = handleOf(engine, 'taskRuns')

    for (const make of [cycle, sparse, () => nest(100), () => 1n, () => new Date(0)]) {
      await expectRefused(engine, () => runs.send(id, { type: 'complete', output: make() }))
    }
    expect((await runs.get(id)).status).toBe('running')
  })

  test('is not made of a field that is undefined: it is as if it were not there', async () => {
    const { engine } = await setup()

    const { resource } = await handleOf(engine, 'agents').create({
      name: 'A',
      description: undefined,
    })

    expect(resource.description).toBe(null)
  })
})

describe('a value that is JSON', () => {
  const texts = [
    '{"__proto__":{"polluted":1}}',
    '{"a":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}',
    '{"constructor":1,"toString":2,"hasOwnProperty":3,"valueOf":4,"then":5,"toJSON":6}',
    '{"":"","0":0,"-1":-1,"b":1,"a":2}',
    '[null,true,false,0,1e300,5e-324,-1.5,"",[],{}]',
    '9007199254740993',
    'null',
    '"text"',
    '[[[[[[[[]]]]]]]]',
    JSON.stringify(nest(40)),
    JSON.stringify('x'.repeat(200 * 1024)),
  ]

  test.each(texts.map((text) => [text.slice(0, 60), text]))(
    'comes back as it went in: %s',
    async (_, text) => {
      const { engine, options, createRun } = await setup()
      const exact = JSON.stringify(JSON.parse(text))

      const { resource } = await createRun(JSON.parse(text))

      expect(JSON.stringify(resource.input)).toBe(exact)
      const again = await reopen(engine, options)
      const read = await handleOf(again, 'taskRuns').get(resource.id)
      expect(JSON.stringify(read.input)).toBe(exact)
      await expectVerified(again)
      await again.close()
    },
  )

  test('comes back as it went in, whatever it is', { timeout: 60_000 }, async () => {
    const { engine, createRun } = await setup()
    const runs = handleOf(engine, 'taskRuns')
    const key = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor'))
    const { value: json } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string({ unit: 'binary' }),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n)),
        fc.constantFrom(null, true, false),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(ownEntries),
      ),
    }))

    await fc.assert(
      fc.asyncProperty(json, async (value) => {
        const { resource } = await createRun(value)
        const read = await runs.get(resource.id)
        expect(JSON.stringify(read.input)).toBe(JSON.stringify(value))
      }),
      { numRuns: Number(process.env.PAWL_NUM_RUNS ?? 200) },
    )
    await expectVerified(engine)
  })
})

/** Makes an object whose every key, `__proto__` too, is its own. */
function ownEntries(entries: readonly (readonly [string, unknown])[]): object {
  const value = {}
  for (const [key, item] of entries) {
    Object.defineProperty(value, key, {
      ...{ value: item, enumerable: true, writable: true, configurable: true },
    })
  }
  return value
}

describe('a payload with keys of prototypes', () => {
  test.each(['{"type":"delete","__proto__":{"a":1}}', '{"type":"delete","constructor":{}}'])(
    'is refused: %s',
    async (text) => {
      const { engine } = await setup()
      const { id } = await makeAgent(engine)

      await expectRefused(engine, () => handleOf(engine, 'agents').send(id, JSON.parse(text)))
    },
  )

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'])(
    'has no command called %s',
    async (type) => {
      const { engine } = await setup()
      const { id } = await makeAgent(engine)

      await expectRefused(engine, () => handleOf(engine, 'agents').send(id, { type }))
    },
  )
})

describe('an id', () => {
  const ids = [
    ...['', ' ', '__proto__', 'constructor', '%', "' or 1=1 --", '"; drop table pawl_resources'],
    ...['agt_\u0000', 'agt_\ud800', 'x'.repeat(256), 'x'.repeat(1_000_000), '../../etc/passwd'],
    ...[5, null, undefined, {}, [], Symbol.iterator, () => 'agt_1'],
  ]

  test.each(ids.map((id) => [String(id).slice(0, 30), id]))(
    'of any kind is not_found or invalid_input: %s',
    async (_, id) => {
      const { engine } = await setup()
      const agents = handleOf(engine, 'agents')
      const { id: real } = await makeAgent(engine)
      const before = await fullLog(engine)
      const hostile = id as string

      const calls = [
        () => agents.get(hostile),
        () => agents.send(hostile, { type: 'delete' }),
        () => agents.accepts(hostile),
        () => agents.explain(hostile, { type: 'delete' }),
        async () => agents.history(hostile),
        () => engine.events.get(hostile),
      ]

      for (const call of calls) {
        const { code } = viewOf(await caught(call))
        expect(['not_found', 'invalid_input']).toContain(code)
      }
      expect(await fullLog(engine)).toEqual(before)
      expect((await agents.get(real)).status).toBe('active')
    },
  )

  test('with SQL in it is text in a filter', async () => {
    const { engine, createRun } = await setup()
    await createRun(null)
    const runs = handleOf(engine, 'taskRuns')

    const page = await runs.list({ session_id: "x' or '1'='1" })

    expect(page.data).toEqual([])
    expect(await collect(await runs.list())).toHaveLength(1)
  })
})

describe('a caller that changes what it sent', () => {
  test('after send, or what it got, changes nothing in the engine', async () => {
    const { engine, createRun } = await setup()
    const agents = handleOf(engine, 'agents')
    const { id } = await makeAgent(engine)
    const command = { type: 'update', name: 'before' }
    const input: { list: unknown[] } = { list: [1, { deep: 'before' }] }

    const sending = agents.send(id, command)
    const creating = createRun(input)
    command.name = 'after'
    command.type = 'delete'
    input.list[1] = 'after'

    expect((await sending).resource).toMatchObject({ name: 'before', status: 'active' })
    const { resource, events } = await creating
    expect(resource.input).toEqual({ list: [1, { deep: 'before' }] })
    Object.assign(resource, { status: 'changed' })
    Object.assign(events[0] ?? {}, { type: 'changed' })
    expect((await handleOf(engine, 'taskRuns').get(resource.id)).status).toBe('queued')
    expect(JSON.stringify(await fullLog(engine))).not.toContain('changed')
  })
})

describe('a secret', () => {
  const CANARY = 'canary-7f3a-in-the-coal-mine'

  function bytesOf(database: string): Buffer {
    const folder = dirname(database)
    return Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))))
  }

  function expectAbsent(text: string, secrets: readonly string[]): void {
    for (const secret of secrets) {
      expect(text.includes(secret)).toBe(false)
      expect(text.includes(Buffer.from(secret).toString('base64').slice(0, -4))).toBe(false)
      expect(text.includes(Buffer.from(secret).toString('hex'))).toBe(false)
    }
  }

  test('is in no file, event, history or error', async () => {
    const database = temporaryFile()
    const engine = await openEngine({ database })
    const credentials = handleOf(engine, 'credentials')
    const destinations = handleOf(engine, 'eventDestinations')
    const source_id = (await makeSource(engine)).id
    const auth_credentials = { username: 'ada', password: CANARY }
    const input = { source_id, ...LOGIN, auth_credentials }
    const errors: unknown[] = []

    const { resource } = await credentials.create(input, { idempotencyKey: 'k1' })
    const replay = await credentials.create(input, { idempotencyKey: 'k1' })
    const update = { type: 'update', auth_credentials: { ...auth_credentials, username: 'eve' } }
    const updated = await credentials.send(resource.id, update, { idempotencyKey: 'k2' })
    const wrong = [
      () => credentials.create({ ...input, auth_method: 'none' }),
      () => credentials.create({ ...input, source_id: 'src_none' }),
      () => credentials.create({ ...input, extra: CANARY }, { idempotencyKey: 'k1' }),
      () => credentials.create({ ...input, auth_credentials: CANARY }),
      () => credentials.send('cred_none', update),
      () => credentials.send(resource.id, { ...update, type: 'verify' }),
    ]
    for (const call of wrong) errors.push(await caught(call))
    const made = await destinations.create(
      { name: 'H', webhook: { url: 'https://h.example' }, events: ['*'] },
      { idempotencyKey: 'k3' },
    )

    const open = bytesOf(database).toString('latin1')
    const history = (await credentials.history(resource.id)).data
    const told = [resource, replay, updated, await fullLog(engine), history]
    const shown = errors.map((error) => {
      const { details, stack, message } = error as Error & { details: unknown }
      return [details, stack, message, String((error as Error).cause)]
    })
    await engine.close()
    const closed = bytesOf(database).toString('latin1')

    const secrets = [CANARY, String(made.secrets?.secret)]
    expect(secrets[1]).toMatch(/^whsec_.{20}/)
    for (const text of [open, closed, JSON.stringify(told), JSON.stringify(shown)]) {
      expectAbsent(text, secrets)
    }
    expect(open).toContain('credential.created')
  })
})
