import { describe, expect, test } from 'vitest'
import { absorb, bottom, decided, findRow, openLayer } from '../../src/core/overlay.ts'
import type { ResourceRow, TimerChange } from '../../src/core/rows.ts'

const row = (id: string, version: number) => ({ id, version }) as ResourceRow

const fired = (position: number): TimerChange => ({ change: 'fired', position })

/** Three layers, one over the other, each with a row and a timer of its own. */
function setup() {
  const lowest = openLayer()
  const middle = openLayer(lowest)
  const top = openLayer(middle)
  for (const [index, layer] of [lowest, middle, top].entries()) {
    layer.resources.set('shared', row('shared', index))
    layer.resources.set(`own ${index}`, row(`own ${index}`, 0))
    layer.changed.add('shared')
    layer.timers.push(fired(index))
  }
  return { lowest, middle, top }
}

describe('a layer', () => {
  test('sees its own rows before those below', () => {
    const { lowest, middle, top } = setup()

    const versions = [lowest, middle, top].map((layer) => findRow(layer, 'shared')?.version)
    expect(versions).toEqual([0, 1, 2])
    expect(findRow(top, 'own 0')).toEqual(row('own 0', 0))
    expect(findRow(lowest, 'own 2')).toBe(undefined)
  })

  test('sees what has been decided, oldest first', () => {
    const { lowest, top } = setup()

    expect(decided(top, 'timers')).toEqual([fired(0), fired(1), fired(2)])
    expect(decided(lowest, 'timers')).toEqual([fired(0)])
  })

  test('stands on the lowest', () => {
    const { lowest, middle, top } = setup()

    expect([lowest, middle, top].map(bottom)).toEqual([lowest, lowest, lowest])
  })

  test('that is absorbed is part of the one below, and of no other', () => {
    const { lowest, middle, top } = setup()
    top.created.add('own 2')
    const action = () => {}
    top.actions.push(action)

    absorb(top)

    expect(findRow(middle, 'shared')).toEqual(row('shared', 2))
    expect(middle.created).toEqual(new Set(['own 2']))
    expect(middle).toMatchObject({ timers: [fired(1), fired(2)], actions: [action] })
    expect(findRow(lowest, 'shared')).toEqual(row('shared', 0))
  })

  test('that is not absorbed leaves nothing behind', () => {
    const { lowest, middle } = setup()

    expect(findRow(middle, 'own 2')).toBe(undefined)
    expect(decided(middle, 'timers')).toEqual([fired(0), fired(1)])
    expect(bottom(middle)).toBe(lowest)
  })

  test('that is the lowest has nowhere to be absorbed into', () => {
    const { lowest } = setup()

    expect(() => absorb(lowest)).not.toThrow()
  })
})
