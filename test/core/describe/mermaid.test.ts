import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createMachine, raise, setup } from 'xstate'
import { describe as describeKind } from '../../../src/core/describe/describe.ts'
import type { Description } from '../../../src/core/describe/description.ts'
import { shownDuration } from '../../../src/core/describe/text.ts'
import { toKind } from '../../../src/core/kind.ts'
import { define } from '../../support/define.ts'
import { blueprintArbitrary, buildMachine, COMMANDS } from '../../support/random-machines.ts'
import { nothing } from '../../support/things.ts'

function descriptionOf(machine: unknown, names: readonly string[] = ['go', 'rest']): Description {
  const commands = Object.fromEntries(names.map((name) => [name, nothing]))
  const parts = { type: 'thing', prefix: 'thg', input: nothing, commands, machine }
  return describeKind(toKind(define(parts), () => ''))
}

function drawn(config: object, names?: readonly string[]): string {
  return descriptionOf(createMachine(config), names).mermaid
}

/** The lines of a diagram without its title and indentation. */
function linesOf(mermaid: string): string[] {
  return mermaid
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
}

/** The only five forms of lines that are used, in which no text can be taken for anything else. */
const NAME = String.raw`(?!(?:as|class|classdef|click|default|href|note|root|scale|state|style) )[A-Za-z]\w*`
const TEXT = String.raw`(?:[^:;#"{}<>%*\`\n]|#\d+;|<br/>|H\*)+`
const FORMS = [
  new RegExp(`^state (?:${NAME}|"${TEXT}" as ${NAME}) \\{$`),
  new RegExp(`^state "${TEXT}" as ${NAME}$`),
  new RegExp(`^${NAME}(?: : ${TEXT})?$`),
  new RegExp(`^(?:${NAME}|\\[\\*\\]) --> (?:${NAME}|\\[\\*\\])(?: : ${TEXT})?$`),
  /^(?:--|\})$/,
]

function strangeLines(mermaid: string): string[] {
  return linesOf(mermaid).filter((line) => !FORMS.some((form) => form.test(line)))
}

function decoded(text: string): string {
  return text.replaceAll(/#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
}

/** What a diagram calls its states, by their names in it; those that have no name but their own included. */
function labelsOf(mermaid: string): string[] {
  const labels = new Map<string, string>()
  for (const line of linesOf(mermaid)) {
    const [, label, alias] = /^state "(.*)" as (\w+)/.exec(line) ?? []
    if (label !== undefined && alias !== undefined) labels.set(alias, decoded(label))
    const bare = /^(?:state )?(\w+)(?: \{)?$/.exec(line)?.slice(1) ?? []
    const ends = /^(\S+) --> (\S+)/.exec(line)?.slice(1) ?? []
    for (const name of [...bare, ...ends].filter((end) => end !== '[*]')) {
      if (!labels.has(name)) labels.set(name, name)
    }
  }
  return [...labels.values()].sort()
}

describe('a diagram', () => {
  test('nests states, separates regions and ends where the machine ends', () => {
    const machine = setup({
      guards: { ready: () => true },
      delays: { patience: 600_000, counted: ({ context }) => Number(context) },
    }).createMachine({
      initial: 'draft',
      states: {
        draft: {
          on: { go: { guard: 'ready', target: 'work' }, rest: {} },
          after: { patience: 'dropped' },
        },
        work: {
          type: 'parallel',
          states: {
            text: {
              initial: 'open',
              states: { open: { on: { go: 'closed' } }, closed: { type: 'final' } },
            },
            pictures: {
              initial: 'open',
              states: {
                open: { on: { rest: 'closed' }, after: { counted: 'closed' } },
                closed: { type: 'final' },
                before: { type: 'history', history: 'deep' },
              },
            },
          },
          onDone: 'done',
        },
        done: { type: 'final' },
        dropped: { on: { go: 'work.pictures.before' } },
      },
    })

    expect(descriptionOf(machine).mermaid).toMatchInlineSnapshot(`
      "stateDiagram-v2
        [*] --> draft
        state "draft" as draft
        draft : rest
        state work {
          state text {
            [*] --> work_text_open
            state "open" as work_text_open
            state "closed" as work_text_closed
            work_text_open --> work_text_closed : go
            work_text_closed --> [*]
          }
          --
          state pictures {
            [*] --> work_pictures_open
            state "open" as work_pictures_open
            state "closed" as work_pictures_closed
            state "H*" as before
            work_pictures_open --> work_pictures_closed : rest<br/>after counted
            work_pictures_closed --> [*]
          }
        }
        draft --> work : go [ready]
        draft --> dropped : after patience (10m)
        work --> done : when done
        dropped --> before : go
        done --> [*]"
    `)
  })

  test.each([
    ['one state', {}, ['[*] --> thing']],
    [
      'one state that takes a command',
      { on: { go: {} } },
      [...['[*] --> thing', 'state "thing" as thing', 'thing : go']],
    ],
    [
      'regions',
      { type: 'parallel', states: { l: {}, r: { type: 'final' } }, on: { go: {} } },
      [
        ...['[*] --> thing', 'state thing {', 'l', '--', 'r', 'r --> [*]', '--'],
        ...['state "any state" as thing_any_state', 'thing_any_state : go', '}'],
      ],
    ],
  ])('of %s shows the machine itself', (_, config, lines) => {
    expect(linesOf(drawn(config))).toEqual(lines)
  })

  test('merges arrows between the same two states, and lists what leads nowhere within the state', () => {
    const mermaid = drawn({
      initial: 'a',
      states: {
        a: {
          on: {
            go: [{ guard: isLate, target: 'b' }, { target: 'a', reenter: true }, {}],
            rest: ['b', { target: 'a' }, { guard: isLate }],
          },
        },
        b: { always: { guard: isLate, target: 'a' }, on: { remind: 'a', go: {} } },
      },
    } as object)

    expect(linesOf(mermaid)).toEqual([
      '[*] --> a',
      ...['state "a" as a', 'a : go', 'a : rest [isLate]', 'state "b" as b', 'b : go'],
      'a --> b : go [isLate]<br/>rest',
      'a --> a : go<br/>rest',
      'b --> a : remind<br/>always [isLate]',
    ])
  })

  test('shows once what is taken in every state', () => {
    const mermaid = drawn({
      initial: 'a',
      on: { go: '.c', rest: {} },
      after: { 5400000: '.c' },
      states: { a: { on: { go: 'any_state' } }, any_state: {}, c: { type: 'final' } },
    })

    expect(linesOf(mermaid)).toEqual([
      '[*] --> a',
      ...['state "any state" as any_state_', 'any_state_ : rest'],
      'any_state_ --> c : go<br/>after 90m',
      'a --> any_state : go',
      'c --> [*]',
    ])
  })

  test('begins anew where the machine leads to itself', () => {
    const mermaid = drawn({
      id: 'm',
      initial: 'a',
      states: { a: { on: { rest: '#m' } } },
      on: { go: { target: '#m', reenter: true } },
    } as object)

    expect(linesOf(mermaid)).toEqual([
      ...['[*] --> a', 'state "any state" as any_state', 'any_state --> a : go', 'a --> a : rest'],
    ])
  })

  test('draws no arrow between a state and one around it', () => {
    const mermaid = drawn({
      id: 'm',
      initial: 'a',
      states: {
        a: {
          id: 'a',
          initial: 'x',
          states: {
            x: { on: { go: '#p' } },
            y: { on: { go: '#a', rest: '#m' } },
          },
          on: { go: '.y', rest: {} },
        },
        p: {
          id: 'p',
          type: 'parallel',
          states: {
            l: { on: { go: '#p' } },
            r: { initial: 'z', states: { z: { on: { rest: '#p' } } }, on: { go: '#p' } },
          },
          on: { rest: { target: '#p', reenter: true } },
        },
      },
    } as object)

    expect(linesOf(mermaid)).toEqual([
      '[*] --> a',
      'state a {',
      ...['[*] --> x', 'state "any state" as a_any_state', 'a_any_state : rest'],
      ...['a_any_state --> y : go', 'y --> x : go<br/>rest'],
      '}',
      'state p {',
      ...['state "l" as l', 'l : go → p', '--', 'state r {', '[*] --> z'],
      ...['state "z" as z', 'z : rest → p'],
      ...['state "any state" as r_any_state', 'r_any_state : go → p', '}'],
      '}',
      ...['x --> p : go', 'p --> p : rest'],
    ])
  })

  test('puts arrows inside a state only between neighbours in it', () => {
    const mermaid = drawn({
      initial: 'a',
      states: {
        a: {
          initial: 'x',
          states: {
            x: { on: { go: 'y' } },
            y: { initial: 'v', states: { v: { on: { go: '#x2', rest: '#w' } }, w: { id: 'w' } } },
            z: {},
            old: { type: 'history', target: 'z' },
          },
        },
        b: { id: 'x2', on: { go: 'a.y.w', rest: 'a.old' } },
      },
    } as object)

    expect(mermaid.split('\n').slice(1)).toEqual([
      '  [*] --> a',
      '  state a {',
      '    [*] --> x',
      '    state y {',
      '      [*] --> v',
      '      v --> w : rest',
      '    }',
      '    state "H" as old',
      '    old --> z',
      '    x --> y : go',
      '  }',
      '  v --> b : go',
      '  b --> w : go',
      '  b --> old : rest',
    ])
  })

  test('puts arrows between regions outside of them', () => {
    const states = { l: { on: { go: 'r' } }, r: {} }
    const mermaid = drawn({ initial: 'p', states: { p: { type: 'parallel', states } } })

    expect(linesOf(mermaid)).toEqual([
      ...['[*] --> p', 'state p {', 'l', '--', 'r', '}', 'l --> r : go'],
    ])
  })

  test('says how long timers take, where that is one number', () => {
    const machine = setup({
      delays: { patience: 1500, counted: ({ context }) => Number(context) },
    }).createMachine({
      initial: 'a',
      states: {
        a: {
          entry: [raise({ type: 'wake' }, { delay: 1000 }), raise({ type: 'nag' }, { delay: 1 })],
          after: { patience: 'b', counted: 'b', 0: 'b' },
        },
        b: { entry: raise({ type: 'nag' }, { delay: 2 }), on: { wake: 'a', nag: 'c' } },
        c: { on: { nag: 'a' } },
      },
    } as object)

    const arrows = linesOf(descriptionOf(machine).mermaid).filter((line) => line.includes(' : '))
    expect(arrows).toEqual([
      'a --> b : after 0ms<br/>after patience (1500ms)<br/>after counted',
      'b --> a : after wake (1s)',
      'b --> c : after nag (2ms)',
      'c --> a : after nag',
    ])
  })
})

function isLate(): boolean {
  return false
}

test.each([
  [0, '0ms'],
  [1, '1ms'],
  [1500, '1500ms'],
  [0.5, '0.5ms'],
  [30_000, '30s'],
  [90_000, '90s'],
  [600_000, '10m'],
  [7_200_000, '2h'],
  [86_400_000, '1d'],
  [7_776_000_000, '90d'],
])('%i milliseconds are shown as %s', (milliseconds, text) => {
  expect(shownDuration(milliseconds)).toBe(text)
})

describe('names', () => {
  test.each([
    ...['as', 'class', 'classDef', 'click', 'Default', 'href', 'NOTE', 'root', 'scale', 'state'],
    ...['style', 'end', 'stateDiagram', 'accTitle', 'accDescr', 'constructor', 'toString'],
    ...['a_start', 'week_end', 'direction'],
  ])('that mean something to Mermaid are only shown: %s', (key) => {
    const mermaid = drawn({ initial: key, states: { [key]: {} } })

    expect(linesOf(mermaid)[1]).toMatch(/^state "[\w#;]+" as \w+_$/)
    expect(labelsOf(mermaid)).toEqual([key])
  })

  test.each(['idle', 'interaction_required', 'left', 'a1', 'end_of_note', 'fork'])(
    'that mean nothing stay: %s',
    (key) => {
      expect(linesOf(drawn({ initial: key, states: { [key]: {} } }))).toEqual([`[*] --> ${key}`])
    },
  )

  test('that are empty are shown as such', () => {
    expect(linesOf(drawn({ initial: 'a', states: { a: {}, '': {} } }))).toContain(
      'state "#34;#34;" as s',
    )
  })

  test('that several states have are made of paths', () => {
    const same = { initial: 'a', states: { a: {}, b: {} } }
    const mermaid = drawn({
      initial: 'p',
      states: { p: { type: 'parallel', states: { l: same, r: same } }, p_l_a: {}, 'p.l': {} },
    })

    expect(linesOf(mermaid)).toEqual([
      ...['[*] --> p', 'state p {'],
      ...['state l {', '[*] --> p_l_a', 'state "a" as p_l_a', 'state "b" as p_l_b', '}', '--'],
      ...['state r {', '[*] --> p_r_a', 'state "a" as p_r_a', 'state "b" as p_r_b', '}', '}'],
      ...['state "p_l_a" as p_l_a_2', 'state "p.l" as p_l'],
    ])
  })

  test.each([
    ['a: b', 'a#58; b'],
    ['say "hi"', 'say #34;hi#34;'],
    ['one\ntwo', 'one#10;two'],
    ['a;b#c', 'a#59;b#35;c'],
    ['<br/>', '#60;br#47;#62;'],
    ['%%{init}%%', '#37;#37;#123;init#125;#37;#37;'],
    ['*bold* __this__', '#42;bold#42; #95;#95;this#95;#95;'],
    ['1. item', '1#46; item'],
    ['a direction', 'a directio#110;'],
    ['direction LR', 'directio#110; LR'],
    [' ', '#32;'],
    ['snake_case-name.x/y z', 'snake_case-name.x/y z'],
    ['größe 日本', 'größe 日本'],
    ['😀', '#128512;'],
  ])('in labels cannot be taken for anything else: %j', (name, text) => {
    const lines = linesOf(
      drawn({ initial: 'b', states: { b: { on: { [name]: 'c' } }, c: {} } }, [name]),
    )

    expect(lines).toContain(`b --> c : ${text}`)
  })

  test('of all kinds keep the form of a diagram, and can be read off it', () => {
    const words = ['-->', '[*]', '--', 'state', 'note right of a : b', 'end note', '"', '}', 'H*']
    // XState itself loses a state that is called __proto__.
    const key = fc
      .oneof(
        fc.constantFrom(...words),
        fc.string({ minLength: 1, maxLength: 5, unit: 'binary' }),
        fc.string({ minLength: 1, maxLength: 12 }),
      )
      .filter((name) => name !== '__proto__')
    const keys = fc.uniqueArray(key, { minLength: 6, maxLength: 6 })
    fc.assert(
      fc.property(keys, ([a = '', b = '', c = '', d = '', command = '', guard = '']) => {
        const inner = { initial: a, states: { [a]: {}, [c]: { id: 'C' } } }
        const to = (target: string) => ({ target, guard: { type: guard } })
        const machine = createMachine({
          initial: a,
          on: { [command]: to('#B') },
          states: {
            [a]: { id: 'A', on: { [command]: [to('#C'), to('#B'), {}] } },
            [b]: { id: 'B', ...inner, on: { [command]: [to('#C'), to('#A')] } },
            [d]: { type: 'parallel', states: { [a]: {}, [b]: {} } },
          },
        } as object)
        const { mermaid } = descriptionOf(machine, [command])

        expect(strangeLines(mermaid)).toEqual([])
        expect(labelsOf(mermaid)).toEqual([a, a, a, b, b, c, d, ...ANYWHERE].sort())
        expect(decoded(mermaid).split(`${command} [${guard}]`).length).toBeGreaterThan(5)
      }),
      { numRuns: 200 },
    )
  })

  const ANYWHERE = ['any state', 'any state']
})

test('random machines keep the form of a diagram', () => {
  fc.assert(
    fc.property(blueprintArbitrary, (blueprint) => {
      const { mermaid, states } = descriptionOf(buildMachine(blueprint), COMMANDS)
      const lines = linesOf(mermaid)

      expect(strangeLines(mermaid)).toEqual([])
      expect(lines.filter((line) => line.endsWith('{'))).toHaveLength(
        lines.filter((line) => line === '}').length,
      )
      const labels = labelsOf(mermaid)
      const isDrawn = ({ id, kind }: (typeof states)[number]) =>
        kind !== 'history' && (id !== '' || kind !== 'compound')
      expect(states.filter((state) => isDrawn(state) && !labels.includes(state.name))).toEqual([])
    }),
    { numRuns: 100 },
  )
})
