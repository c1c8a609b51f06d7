import { describe, expect, test } from 'vitest'
import { createMachine } from 'xstate'
import { z } from 'zod'
import { createRegistry } from '../../src/core/registry.ts'
import { define } from '../support/define.ts'
import { failureOf } from '../support/errors.ts'

const nothing = z.strictObject({})

function thing(parts: object = {}) {
  return define({
    ...{ type: 'thing', prefix: 'thg', input: nothing, commands: { go: nothing, stop: nothing } },
    machine: createMachine({ initial: 'calm', states: { calm: { on: { go: {}, stop: {} } } } }),
    ...parts,
  })
}

function register(definitions: Readonly<Record<string, unknown>>) {
  return createRegistry(definitions as Parameters<typeof createRegistry>[0], String)
}

function reasonOf(definitions: Readonly<Record<string, unknown>>) {
  return failureOf(() => register(definitions)).then(({ code, machine, message }) => ({
    ...{ code, machine, message },
  }))
}

describe('resources are registered', () => {
  test('by their types and by their properties', () => {
    const { byType, byProperty } = register({
      things: thing(),
      others: thing({ type: 'other', prefix: 'oth' }),
    })

    expect([...byType.keys()]).toEqual(['thing', 'other'])
    expect([...byProperty.keys()]).toEqual(['things', 'others'])
    expect(byType.get('other')).toBe(byProperty.get('others'))
  })

  test.each(['a', 'A1', 'snake_case', 'camelCase'])('under a plain name: %s', (property) => {
    expect(register({ [property]: thing() }).byProperty.size).toBe(1)
  })

  test.each(['', '1a', 'a-b', 'a b', '_a', 'ä', 'a.b', '$a'])(
    'under no other name: %s',
    async (property) => {
      expect(await reasonOf({ [property]: thing() })).toEqual({
        code: 'machine_invalid',
        machine: 'thing',
        message: `the machine of "thing" cannot work: "${property}" cannot be its property: it is the engine's own, or no plain name`,
      })
    },
  )

  test.each([
    ...['events', 'timers', 'tenant', 'start', 'stop', 'tick', 'close', 'clock', 'then'],
    ...['consume', 'consumers', 'transaction', 'within', 'deliveries', 'describe'],
    ...['verify', 'backup', 'prune', 'migrate', 'rotateKeys'],
  ])("never under a name of the engine's own: %s", async (property) => {
    expect((await reasonOf({ [property]: thing() })).message).toMatch(/cannot be its property/)
  })

  test('once for each type', async () => {
    const { message } = await reasonOf({ a: thing(), b: thing({ prefix: 'oth' }) })

    expect(message).toBe('the machine of "thing" cannot work: its type is registered twice')
  })

  test.each(['evt', 'edlv', 'corr', 'thg'])(
    'with a prefix that nobody else has: %s is taken',
    async (prefix) => {
      const other = thing({ type: 'other', prefix })

      expect(await reasonOf({ things: thing(), others: other })).toMatchObject({
        machine: 'other',
        message: `the machine of "other" cannot work: its prefix "${prefix}" is taken`,
      })
    },
  )
})

describe('what is no definition is refused', () => {
  const needs =
    'use defineResource, with type, prefix, input, commands and machine; input and each command have to be schemas'
  const bare: object = thing()

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'things'],
    ['null', null, 'things'],
    ['a text', 'thing', 'things'],
    ['an object', {}, 'things'],
    ['one without a machine', { ...bare, machine: undefined }, 'thing'],
    ['one with null for a machine', { ...bare, machine: null }, 'thing'],
    ['one with a function for a machine', { ...bare, machine: () => 1 }, 'thing'],
    ['one with another object for a machine', { ...bare, machine: {} }, 'thing'],
    ['one whose type is no text', { ...bare, type: 5 }, '5'],
    ['one without an input', { ...bare, input: undefined }, 'thing'],
    ['one with null for an input', { ...bare, input: null }, 'thing'],
    ['one with another object for an input', { ...bare, input: {} }, 'thing'],
    ['one without commands', { ...bare, commands: undefined }, 'thing'],
    ['one with a function for commands', { ...bare, commands: () => 1 }, 'thing'],
    [
      'one with a command that is no schema',
      { ...bare, commands: { go: nothing, x: {} } },
      'thing',
    ],
    ['one with an input that is a text', { ...bare, input: 'x' }, 'thing'],
  ])('%s', async (_, definition, name) => {
    const { code, message } = await reasonOf({ things: definition })

    expect(code).toBe('machine_invalid')
    expect(message).toContain(name)
    expect(message).toContain(`resources.things is no definition: ${needs}`)
  })
})

test('a schema may be a function, as in some libraries', () => {
  const schema = Object.assign(() => 1, { '~standard': nothing['~standard'] })

  expect(register({ things: thing({ input: schema }) }).byType.size).toBe(1)
})

test('the fields that forbid a command are known by type and command', () => {
  const references = {
    one_id: { type: 'thing', restricts: ['go', 'stop'] },
    two_id: { type: 'thing', restricts: ['go'] },
    three_id: 'thing',
  }
  const { restrictions } = register({
    things: thing(),
    others: thing({ type: 'other', prefix: 'oth', references }),
  })

  expect([...(restrictions.get('thing') ?? [])]).toEqual([
    [
      'go',
      [
        { type: 'other', field: 'one_id' },
        { type: 'other', field: 'two_id' },
      ],
    ],
    ['stop', [{ type: 'other', field: 'one_id' }]],
  ])
  expect([...restrictions.keys()]).toEqual(['thing'])
})
