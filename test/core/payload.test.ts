import { describe, expect, test } from 'vitest'
import { createMachine } from 'xstate'
import { z } from 'zod'
import type { Schema, Validation } from '../../src/core/definition.ts'
import { parseCommand, parseInput } from '../../src/core/payload.ts'
import { createRegistry } from '../../src/core/registry.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'

const LIMITS = { bytes: 1000, depth: 8 }

/** A schema that says what it is told to say. */
function saying(validate: (value: unknown) => Validation<unknown> | Promise<Validation<unknown>>) {
  return { '~standard': { version: 1, vendor: 'test', validate } } satisfies Schema
}

function kindWith(parts: object) {
  const definition = define({
    ...{ type: 'thing', prefix: 'thg', input: z.strictObject({ n: z.number().default(1) }) },
    commands: { go: z.strictObject({ n: z.number().optional() }), ping: z.strictObject({}) },
    internal: ['ping'],
    machine: createMachine({ initial: 'calm', states: { calm: { on: { go: {}, ping: {} } } } }),
    ...parts,
  })
  const kind = createRegistry({ things: definition }, String).byType.get(definition.type)
  if (kind === undefined) throw new Error('the thing is not registered')
  return kind
}

const thing = kindWith({})

function refusedInput(schema: Schema, input: unknown = {}, parts: object = {}) {
  return failureOf(() => parseInput(kindWith({ input: schema, ...parts }), input, LIMITS))
}

describe('an input', () => {
  test('comes back as it was given and as its schema gives it', () => {
    expect(parseInput(thing, {}, LIMITS)).toEqual({ given: {}, parsed: { n: 1 } })
    expect(parseInput(thing, undefined, LIMITS)).toEqual({ given: {}, parsed: { n: 1 } })
    expect(parseInput(thing, { n: 2 }, LIMITS)).toEqual({ given: { n: 2 }, parsed: { n: 2 } })
  })

  test('that its schema refuses is refused with the places and codes that the schema names', async () => {
    expect(await failureOf(() => parseInput(thing, { n: 'x' }, LIMITS))).toMatchObject({
      code: 'invalid_input',
      message: expect.stringMatching(/^the input of a thing is not valid: n: /),
      issues: [{ path: ['n'], code: 'invalid_type' }],
    })
  })

  test('of a type that begins with a vowel is an input of an …', async () => {
    const kind = kindWith({ type: 'event_destination', prefix: 'evtd' })

    const input = await failureOf(() => parseInput(kind, { n: 'x' }, LIMITS))
    const command = await failureOf(() => parseCommand(kind, { type: 'fly' }, LIMITS))

    expect(input.message).toMatch(/^the input of an event_destination is not valid: /)
    expect(command.message).toMatch(/^the command of an event_destination is not valid: /)
  })

  test('that is not JSON is refused before its schema sees it', async () => {
    const error = await failureOf(() => parseInput(thing, { n: 1n }, LIMITS))

    expect(error.message).toMatch(/^the input of a thing is not valid: n: is of type bigint/)
  })

  test('that cannot be read is refused', async () => {
    const input = Object.defineProperty({}, 'n', {
      enumerable: true,
      get: () => {
        throw new Error('not for you')
      },
    })

    expect(await failureOf(() => parseInput(thing, input, LIMITS))).toMatchObject({
      code: 'invalid_input',
      issues: [{ path: [], code: 'not_json', message: 'cannot be read' }],
    })
  })
})

describe('what a schema finds', () => {
  test('is told with paths of keys and of what holds keys, and with a code where there is one', async () => {
    const issues = [
      { message: 'bad', path: ['a', { key: 'b' }, 0, { key: 1 }, Symbol.for('s')] },
      { message: 'worse', code: 'too_bad' },
      { message: 'odd', path: ['c'], code: 5 },
    ]

    expect((await refusedInput(saying(() => ({ issues })))).issues).toEqual([
      { path: ['a', 'b', 0, 1, 'Symbol(s)'], code: 'invalid', message: 'bad' },
      { path: [], code: 'too_bad', message: 'worse' },
      { path: ['c'], code: 'invalid', message: 'odd' },
    ])
  })

  test('of a secret is told without what it says', async () => {
    const issues = ['login.password', 'login.password.x', 'login.passwords', 'login', 'made'].map(
      (place) => ({ message: 'quotes it', path: place.split('.') }),
    )
    const secrets = {
      password: { path: 'login.password' },
      made: { generate: 'm_', on: ['create'] },
    }

    const error = await refusedInput(
      saying(() => ({ issues })),
      {},
      { secrets },
    )

    expect(error.issues?.map(({ message }) => message)).toEqual([
      ...['is not valid', 'is not valid', 'quotes it', 'quotes it', 'quotes it'],
    ])
  })
})

describe('a schema that cannot work', () => {
  test.each<[string, Schema, string]>([
    [
      'validates later',
      saying(async (value) => ({ value })),
      'the schema of the input of a thing validates asynchronously; use a synchronous one',
    ],
    [
      'throws',
      saying(() => {
        throw new Error('no')
      }),
      'the schema of the input of a thing threw',
    ],
    [
      'gives what is not JSON',
      saying(() => ({ value: { a: { b: 1n } } })),
      'the schema of the input of a thing gives what cannot be stored: a.b is of type bigint, which JSON cannot hold',
    ],
  ])('because it %s makes the machine invalid', async (_, schema, reason) => {
    expect(await refusedInput(schema)).toMatchObject({ code: 'machine_invalid', reason })
  })
})

describe('a command', () => {
  test('comes back with its type, whatever its schema gives', () => {
    const command = { type: 'go', n: 2 }

    expect(parseCommand(thing, command, LIMITS)).toEqual({ given: command, parsed: command })
  })

  test.each([5, 'go', null, undefined, [], ['go'], {}, { type: 5 }, { n: 1 }])(
    'has to be an object with a type: %j is none',
    async (command) => {
      expect(await failureOf(() => parseCommand(thing, command, LIMITS))).toMatchObject({
        code: 'invalid_input',
        message: expect.stringMatching(/^the command of a thing is not valid: /),
      })
    },
  )

  test('without a type is told which there are, but for those of the engine', async () => {
    const message = 'has to be an object with a "type", one of: go'

    for (const command of [[], {}, { type: 5 }, 5, null]) {
      const { issues } = await failureOf(() => parseCommand(thing, command, LIMITS))
      expect(issues).toEqual([{ path: ['type'], code: 'invalid_type', message }])
    }
  })

  test('that does not exist is told which do', async () => {
    const commands = { go: z.object({}), stop: z.object({}), ping: z.object({}) }
    const machine = createMachine({ on: { go: {}, stop: {}, ping: {} } })
    const kind = kindWith({ commands, machine })

    expect(await failureOf(() => parseCommand(kind, { type: 'fly' }, LIMITS))).toMatchObject({
      message: expect.stringMatching(/^the command of a thing is not valid: type: "fly"/),
      issues: [
        {
          path: ['type'],
          code: 'unknown_command',
          message: '"fly" is not a command of thing (commands: go, stop)',
        },
      ],
    })
  })

  test("in XState's name passes, to be refused as reserved", () => {
    const command = { type: 'xstate.init', n: 1 }

    expect(parseCommand(thing, command, LIMITS)).toEqual({ given: command, parsed: command })
  })

  test('in a name that only ends like one of XState does not exist', async () => {
    const error = await failureOf(() => parseCommand(thing, { type: 'x.xstate.' }, LIMITS))

    expect(error.issues).toMatchObject([{ code: 'unknown_command' }])
  })

  test('whose payload is wrong names the command', async () => {
    const error = await failureOf(() => parseCommand(thing, { type: 'go', n: 'x' }, LIMITS))

    expect(error.message).toMatch(/^the command "go" of a thing is not valid: n: /)
  })
})
