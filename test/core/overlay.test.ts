import { describe, expect, test } from 'vitest'
import { createOverlay, goBack, markOf, putRow } from '../../src/core/overlay.ts'
import type { ResourceRow, TimerChange } from '../../src/core/rows.ts'

const row = (id: string, version: number) => ({ id, version }) as ResourceRow

const fired = (position: number): TimerChange => ({ change: 'fired', position })

/** What a batch has loaded (`old`) and created (`new`), with a timer. */
function setup() {
  const overlay = createOverlay()
  overlay.rows.set('old', row('old', 1))
  putRow(overlay, row('new', 1))
  overlay.timers.push(fired(1))
  return { overlay, mark: markOf(overlay) }
}

describe('an overlay', () => {
  test('knows what has been created, and what has been changed that was there', () => {
    const { overlay } = setup()

    putRow(overlay, row('old', 2))
    putRow(overlay, row('new', 2))

    expect(overlay.created).toEqual(new Set(['new']))
    expect(overlay.changed).toEqual(new Set(['old']))
    expect([...overlay.rows.values()]).toEqual([row('old', 2), row('new', 2)])
  })

  test('goes back to what rows were, however often they have been decided about since', () => {
    const { overlay, mark } = setup()
    putRow(overlay, row('old', 2))
    putRow(overlay, row('old', 3))
    putRow(overlay, row('new', 2))
    putRow(overlay, row('newer', 1))

    goBack(overlay, mark)

    expect(overlay).toEqual(setup().overlay)
  })

  test('goes back by one mark after the other', () => {
    const { overlay, mark } = setup()
    putRow(overlay, row('old', 2))
    overlay.timers.push(fired(2))
    const later = markOf(overlay)
    putRow(overlay, row('old', 3))
    overlay.timers.push(fired(3))

    goBack(overlay, later)

    expect(overlay.rows.get('old')).toEqual(row('old', 2))
    expect(overlay.changed).toEqual(new Set(['old']))
    expect(overlay.timers).toEqual([fired(1), fired(2)])

    goBack(overlay, mark)

    expect(overlay).toEqual(setup().overlay)
  })

  test('goes on from where it has gone back to', () => {
    const { overlay, mark } = setup()
    putRow(overlay, row('old', 2))
    goBack(overlay, mark)

    putRow(overlay, row('old', 7))

    expect(overlay.rows.get('old')).toEqual(row('old', 7))
    expect(overlay.changed).toEqual(new Set(['old']))
  })

  test('keeps what has been loaded', () => {
    const { overlay, mark } = setup()
    overlay.rows.set('loaded', row('loaded', 1))

    goBack(overlay, mark)

    expect(overlay.rows.get('loaded')).toEqual(row('loaded', 1))
  })
})
