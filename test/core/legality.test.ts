import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, createMachine, not, setup } from 'xstate'
import { z } from 'zod'
import type { Kind } from '../../src/core/kind.ts'
import { acceptedCommands, machineRefusal, refusal } from '../../src/core/legality.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type { ResourceRow } from '../../src/core/rows.ts'
import { define } from '../support/define.ts'

const COMMANDS = ['go', 'rest', 'inner']

function kindOf(machine: AnyStateMachine, commands = COMMANDS): Kind {
  const things = define({
    ...{ type: 'thing', prefix: 'thg', input: z.object({}), machine, internal: ['inner'] },
    commands: Object.fromEntries(commands.map((name) => [name, z.looseObject({})])),
  })
  const kind = createRegistry({ things }, () => '').byType.get('thing')
  return kind ?? expect.fail()
}

function rowIn(value: unknown, context: object = {}, final = false): ResourceRow {
  const times = { createdAt: 0, updatedAt: 0, statusSince: 0 }
  return {
    ...{ id: 'thg_1', tenant: 'default', type: 'thing', status: String(value), version: 1, final },
    ...{ value: JSON.stringify(value), memory: null, context: JSON.stringify(context) },
    ...{ machine: '', head: null, latest: 0, entries: 0, ...times },
  }
}

const calm = createMachine({
  initial: 'calm',
  states: { calm: { on: { go: 'gone', rest: {}, inner: {} } }, gone: { type: 'final' } },
})

describe('the message of a refusal', () => {
  const kind = kindOf(calm)
  const blockers = [
    { code: 'a', message: 'the first thing' },
    { code: 'b', message: 'the second thing' },
  ]
  const messageOf = (...args: Parameters<typeof refusal>) => refusal(...args).message

  test('that has ended', () => {
    expect(messageOf(kind, rowIn('gone', {}, true), 'go', 'terminal')).toMatchInlineSnapshot(
      `"thing thg_1 is "gone" and does not accept "go" (accepts nothing: it has ended)"`,
    )
  })

  test('that is not accepted', () => {
    const empty = kindOf(createMachine({ initial: 'a', states: { a: {} } }))

    expect(messageOf(kind, rowIn('calm'), 'start', 'not_accepted')).toMatchInlineSnapshot(
      `"thing thg_1 is "calm" and does not accept "start" (accepts: go, rest)"`,
    )
    expect(messageOf(empty, rowIn('a'), 'go', 'not_accepted')).toMatchInlineSnapshot(
      `"thing thg_1 is "a" and does not accept "go" (accepts nothing)"`,
    )
  })

  test('by a guard', () => {
    expect(messageOf(kind, rowIn('calm'), 'go', 'guard', blockers)).toMatchInlineSnapshot(
      `"thing thg_1 is "calm" and does not accept "go" as things are: the first thing; the second thing"`,
    )
  })

  test('of what is reserved', () => {
    expect(messageOf(kind, rowIn('calm'), 'inner', 'reserved')).toMatchInlineSnapshot(
      `""inner" of thing thg_1 is sent by the engine or by other resources only (accepts: go, rest)"`,
    )
  })

  test('of what is in use', () => {
    expect(messageOf(kind, rowIn('calm'), 'go', 'in_use', blockers)).toMatchInlineSnapshot(
      `"thing thg_1 does not accept "go" while it is in use: the first thing; the second thing"`,
    )
  })

  test('because of a reference', () => {
    expect(messageOf(kind, rowIn('calm'), 'go', 'reference', blockers)).toMatchInlineSnapshot(
      `"thing thg_1 does not accept "go" because of what it refers to: the first thing; the second thing"`,
    )
    expect(messageOf(kind, null, 'create', 'reference', blockers)).toMatchInlineSnapshot(
      `"a new thing does not accept "create" because of what it refers to: the first thing; the second thing"`,
    )
  })
})

describe('the reason of the machine', () => {
  function large() {
    return false
  }
  const guarded = setup({
    guards: { isReady: () => false, isOver: (_, limit: number) => limit > 5 },
  }).createMachine({
    initial: 'outer',
    on: { rest: { guard: 'isReady' } },
    states: {
      outer: {
        initial: 'inner',
        on: { go: { guard: { type: 'isOver', params: 1 } } },
        states: {
          inner: {
            on: { go: [{ guard: large }, { guard: () => false }, { guard: not(() => true) }] },
          },
        },
      },
      done: { type: 'final' },
    },
  } as object)
  const kind = kindOf(guarded)
  const row = rowIn({ outer: 'inner' })

  test.each([
    ['ended', rowIn('done', {}, true), 'go', 'terminal'],
    ['a command for which it has no transition', row, 'inner', 'not_accepted'],
    ['guards that all say no', row, 'go', 'guard'],
  ])('is clear: %s', (_, from, command, reason) => {
    expect(machineRefusal(kind, from, command).details).toMatchObject({ reason, command })
  })

  test('names every guard that says no, the innermost state first', () => {
    expect(machineRefusal(kind, row, 'go').details.blockers).toMatchInlineSnapshot(`
      [
        {
          "code": "large",
          "message": "guard "large" of state "inner" says no",
        },
        {
          "code": "guard",
          "message": "guard "guard" of state "inner" says no",
        },
        {
          "code": "not",
          "message": "guard "not" of state "inner" says no",
        },
        {
          "code": "isOver",
          "message": "guard "isOver" of state "outer" says no",
        },
      ]
    `)
    expect(machineRefusal(kind, row, 'rest').details.blockers).toMatchInlineSnapshot(`
      [
        {
          "code": "isReady",
          "message": "guard "isReady" of state "(machine)" says no",
        },
      ]
    `)
  })
})

describe('the commands that are accepted', () => {
  interface Args {
    readonly context: { readonly ok?: boolean }
    readonly event: { readonly n?: number; readonly type: string }
  }
  const guardedBy = (guard: (args: Args) => boolean, context: object = {}) => {
    const machine = createMachine({
      initial: 'a',
      states: { a: { on: { go: { guard } } } },
    } as object)
    return acceptedCommands(kindOf(machine), rowIn('a', context))
  }

  test('are those with a transition, in the order of the definition, without internal ones', () => {
    expect(acceptedCommands(kindOf(calm, ['rest', 'inner', 'go']), rowIn('calm'))).toEqual([
      'rest',
      'go',
    ])
  })

  test('are none at the end', () => {
    expect(acceptedCommands(kindOf(calm), rowIn('gone', {}, true))).toEqual([])
  })

  test.each<[string, string[], (args: Args) => boolean, object]>([
    ['the context and says yes', ['go'], ({ context }) => context.ok === true, { ok: true }],
    ['the context and says no', [], ({ context }) => context.ok === true, { ok: false }],
    ['the payload', ['go'], ({ event }) => event.n === 1, {}],
    ['the payload by destructuring', ['go'], ({ event: { n } }) => n === 1, {}],
    ['whether the payload has a field', ['go'], ({ event }) => 'n' in event, {}],
    ['the keys of the payload', ['go'], ({ event }) => Object.keys(event).length > 1, {}],
    ['a copy of the payload', ['go'], ({ event }) => 'n' in { ...event }, {}],
    ['the text of the payload', ['go'], ({ event }) => JSON.stringify(event).includes('"n"'), {}],
    ['the type of the event only', [], ({ event }) => event.type === 'rest', {}],
    [
      'the context first, then the payload',
      [],
      ({ context, event }) => context.ok === true && event.n === 1,
      {},
    ],
    [
      'what is not there, and throws',
      ['go'],
      ({ event }) => (event.n as number).toFixed(1) === '',
      {},
    ],
  ])('with a guard that looks at %s are %j', (_, expected, guard, context) => {
    expect(guardedBy(guard, context)).toEqual(expected)
  })

  test('with a guard that looks whether the payload has a field of its own are open', () => {
    expect(guardedBy(({ event }) => Object.hasOwn(event, 'n'))).toEqual(['go'])
  })

  test('include those that a state further out would take', () => {
    const machine = createMachine({
      initial: 'a',
      on: { rest: {} },
      states: { a: { on: { go: { guard: () => false } } } },
    })

    expect(acceptedCommands(kindOf(machine), rowIn('a'))).toEqual(['rest'])
  })

  test('include those of a wildcard', () => {
    const machine = createMachine({ initial: 'a', states: { a: { on: { '*': {} } } } })

    expect(acceptedCommands(kindOf(machine), rowIn('a'))).toEqual(['go', 'rest'])
  })

  test('include what a state further in takes without doing anything', () => {
    const machine = createMachine({
      initial: 'a',
      on: { go: {}, rest: {} },
      states: { a: { on: { go: undefined } } },
    } as object)

    expect(acceptedCommands(kindOf(machine), rowIn('a'))).toEqual(['go', 'rest'])
  })
})
