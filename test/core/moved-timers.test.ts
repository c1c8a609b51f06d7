import { describe, expect, test } from 'vitest'
import { type AnyStateMachine, createMachine } from 'xstate'
import { moveTimers } from '../../src/core/moved-timers.ts'
import type { Timer } from '../../src/core/rows.ts'
import { failureOf } from '../support/errors.ts'
import { explode, thing } from '../support/things.ts'
import { openWorld } from './world-in-memory.ts'

type Delays = Readonly<Record<string, unknown>>

/** A machine of regions, each of which waits in one state for these delays. */
function regions(names: readonly string[], keys: readonly string[], delays: Delays = {}) {
  const after = Object.fromEntries(keys.map((key) => [key, 'over']))
  const states = Object.fromEntries(
    names.map((name) => [name, { initial: 'wait', states: { wait: { after }, over: {} } }]),
  )
  const config = { id: 'm', context: { n: 3 }, type: 'parallel', states } as object
  return createMachine(config, { delays } as object) as AnyStateMachine
}

/** What becomes of timers in a machine, a thing of which has last changed at 1000. */
function moved(machine: AnyStateMachine, pending: readonly (readonly [string | null, number])[]) {
  const world = openWorld({ things: thing(machine) })
  const { id } = world.create('thing')
  const row = world.row(id) ?? expect.fail()
  const timers = pending.map(
    ([name, dueAt]): Timer => ({ resourceId: id, tenant: 'default', name, event: '{}', dueAt }),
  )
  return moveTimers(world.kind('thing'), row, timers)
}

const name = (delay: string | number, state: string) => `xstate.after.${delay}.${state}`
const set = (delay: string | number, state: string, dueAt: number) => ({
  ...{ effect: 'set', name: name(delay, state), event: { type: name(delay, state) }, dueAt },
})
const cancel = (delay: string | number, state: string) => ({
  ...{ effect: 'cancel', name: name(delay, state) },
})

describe('the timers of a migrated resource', () => {
  test('are left alone where all are there already', () => {
    expect(moved(regions(['a'], ['60']), [[name(60, 'm.a.wait'), 5]])).toEqual([])
  })

  test('are left alone where they are of no `after`', () => {
    expect(
      moved(regions([], []), [
        ['own', 5],
        [null, 6],
        ['x.xstate.after.60.m', 7],
      ]),
    ).toEqual([])
  })

  test('go to one state each: another with the same delay waits anew', () => {
    expect(moved(regions(['a', 'b'], ['60']), [[name(60, 'm.z.wait'), 5]])).toEqual([
      cancel(60, 'm.z.wait'),
      set(60, 'm.a.wait', 5),
      set(60, 'm.b.wait', 1060),
    ])
  })

  test('go to a state with the same delay alone', () => {
    expect(
      moved(regions(['a'], ['60']), [
        [name(600, 'm.z.wait'), 5],
        [name(6, '0.m.a.wait'), 6],
      ]),
    ).toEqual([...[cancel(600, 'm.z.wait'), cancel(6, '0.m.a.wait'), set(60, 'm.a.wait', 1060)]])
  })

  test('do not go from a state that is still there', () => {
    expect(moved(regions(['a'], ['60']), [[name(60, 'm.a.over'), 5]])).toEqual([
      ...[cancel(60, 'm.a.over'), set(60, 'm.a.wait', 1060)],
    ])
  })

  test('go to the state whose name ends most alike, whichever was set first', () => {
    const pending = [
      [name(60, 'n.x.wait'), 5],
      [name(60, 'n.y.wait'), 6],
      [name(60, 'n.z'), 7],
    ] as const
    const left = [cancel(60, 'n.x.wait'), cancel(60, 'n.y.wait'), cancel(60, 'n.z')]

    expect(moved(regions(['y'], ['60']), pending)).toEqual([...left, set(60, 'm.y.wait', 6)])
    expect(moved(regions(['v'], ['60']), pending)).toEqual([...left, set(60, 'm.v.wait', 5)])
  })

  test('have the names that XState gives them, however their delay is written', () => {
    expect(moved(regions(['a'], ['1e3', '0.5', 'soon'], { soon: 7 }), [])).toEqual([
      ...[set(1000, 'm.a.wait', 2000), set(0.5, 'm.a.wait', 1001)],
      set('soon', 'm.a.wait', 1007),
    ])
  })

  test('cannot wait as long as a function says that throws, which is named', async () => {
    let isLater = false
    const soon = () => (isLater ? explode() : 7)
    const world = openWorld({ things: thing(regions(['a'], ['soon'], { soon })) })
    const row = world.row(world.create('thing').id) ?? expect.fail()
    isLater = true

    expect((await failureOf(() => moveTimers(world.kind('thing'), row, []))).message).toBe(
      'the machine of "thing" cannot work: its delay "soon" threw: the machine exploded',
    )
  })

  test('may wait as long as a function says, which sees the context, the time and who it is', () => {
    const seen: unknown[] = []
    const soon = ({ context, event, self }: Record<string, object>) => {
      const { id, clock } = self as { id: string; clock: { now(): number } }
      seen.push({ context, event, id, time: clock.now() })
      return 7
    }

    moved(regions(['a'], ['soon'], { soon }), [])

    // The first one is of the create.
    expect(seen.slice(1)).toEqual([
      { context: { n: 3 }, event: { type: 'migrate' }, id: 'thg_1', time: 1000 },
    ])
  })
})
