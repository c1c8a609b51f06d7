import { describe, expect, test } from 'vitest'
import { createMachine } from 'xstate'
import type { Kind } from '../../src/core/kind.ts'
import { createOverlay, markOf } from '../../src/core/overlay.ts'
import { createRegistry } from '../../src/core/registry.ts'
import type { Entry } from '../../src/core/rows.ts'
import { countTold, deeper, kindOf, type Run } from '../../src/core/run.ts'
import { failureOf } from '../support/errors.ts'
import { thing } from '../support/things.ts'

const machine = createMachine({ initial: 'calm', states: { calm: {} } })
const registry = createRegistry({ things: thing(machine) }, () => 'digest')
const kind: Kind = registry.byType.get('thing') ?? expect.fail('no such kind')

function runWith(parts: Partial<Run>): Run {
  const overlay = createOverlay()
  return { registry, overlay, since: markOf(overlay), told: { count: 0 }, ...parts } as Run
}

const entry = (type: string) => ({ type }) as Entry

describe('a call', () => {
  test('goes one deeper with the entry that leads there', () => {
    const run = runWith({ depth: 3, causation: entry('thing.first') })

    expect(deeper(run, kind, entry('thing.second'))).toEqual({
      ...run,
      depth: 4,
      causation: entry('thing.second'),
    })
  })

  test('keeps the entry that led to it where nothing new was written', () => {
    const run = runWith({ depth: 0, causation: entry('thing.first') })

    expect(deeper(run, kind, null).causation).toEqual(entry('thing.first'))
  })

  test('goes 64 deep and no deeper', async () => {
    expect(deeper(runWith({ depth: 63 }), kind, null).depth).toBe(64)

    const error = await failureOf(() => deeper(runWith({ depth: 64 }), kind, null))
    expect(error).toMatchObject({ code: 'machine_invalid', machine: 'thing' })
  })

  test('tells 10000 commands and no more, at whatever depth', async () => {
    const run = runWith({ depth: 0, told: { count: 9999 }, causation: null })

    countTold(deeper(run, kind, null), kind)

    expect(run.told.count).toBe(10_000)
    expect(await failureOf(() => countTold(run, kind))).toMatchObject({
      ...{ code: 'machine_invalid', machine: 'thing' },
    })
  })

  test('finds the kinds that are registered, and says which one is not', async () => {
    const run = runWith({})

    expect(kindOf(run, 'thing')).toBe(kind)
    const { code, message } = await failureOf(() => kindOf(run, 'other'))
    expect(code).toBe('machine_invalid')
    expect(message).toBe(
      'the machine of "other" cannot work: it is not registered, but stored resources are of it',
    )
  })
})
