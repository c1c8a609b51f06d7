import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { aborted, firstOf, type Source } from '../../src/runtime/wait.ts'
import { turns } from '../support/transactions.ts'

/** A source that is rung by hand, and counts. */
function bell(isRungAtOnce = false) {
  const counts = { started: 0, calledOff: 0 }
  let strike = () => {}
  const source: Source = (ring) => {
    counts.started += 1
    strike = ring
    if (isRungAtOnce) ring()
    return () => {
      counts.calledOff += 1
    }
  }
  return { source, counts, ring: () => strike() }
}

/** Whether a promise is settled, some turns of the loop from now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => {
    settled = true
  })
  await turns(3)
  return settled
}

describe('the first of some sources', () => {
  test('is waited for until one of them rings', async () => {
    const [one, other] = [bell(), bell()]

    const waiting = firstOf(one.source, other.source)

    expect(await isSettled(waiting)).toBe(false)
    expect([one.counts, other.counts]).toEqual([
      { started: 1, calledOff: 0 },
      { started: 1, calledOff: 0 },
    ])
    other.ring()
    expect(await waiting).toBe(undefined)
  })

  test.each([0, 1, 2])('calls all of them off when number %i rings', async (which) => {
    const bells = [bell(), bell(), bell()]
    const waiting = firstOf(...bells.map(({ source }) => source))

    bells[which]?.ring()
    await waiting

    for (const { counts } of bells) expect(counts).toEqual({ started: 1, calledOff: 1 })
  })

  test.each([0, 1, 2])('may ring at once: number %i', async (which) => {
    const bells = [0, 1, 2].map((index) => bell(index === which))

    await firstOf(...bells.map(({ source }) => source))

    for (const { counts } of bells) expect(counts).toEqual({ started: 1, calledOff: 1 })
  })

  test('may all ring at once', async () => {
    const bells = [bell(true), bell(true)]

    await firstOf(...bells.map(({ source }) => source))

    for (const { counts } of bells) expect(counts).toEqual({ started: 1, calledOff: 1 })
  })

  test('does not mind that another one rings too late', async () => {
    const [one, other] = [bell(), bell()]
    const waiting = firstOf(one.source, other.source)
    one.ring()
    await waiting

    other.ring()
    one.ring()

    expect(await waiting).toBe(undefined)
  })
})

describe('a signal', () => {
  test('rings when it is aborted, and is listened to no more', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const waiting = firstOf(aborted(signal))
    expect(await isSettled(waiting)).toBe(false)
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)

    controller.abort()
    await waiting

    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('that was aborted before rings at once, without being listened to', async () => {
    const signal = AbortSignal.abort()
    const { source, counts } = bell()

    await firstOf(source, aborted(signal))

    expect(counts).toEqual({ started: 1, calledOff: 1 })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('is let go when something else rings, however often it is waited for', async () => {
    const { signal } = new AbortController()

    for (let wait = 0; wait < 100; wait++) {
      const { source, ring } = bell()
      const waiting = firstOf(aborted(signal), source)
      ring()
      await waiting
    }

    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('is let go when something else rings at once', async () => {
    const { signal } = new AbortController()

    await firstOf(bell(true).source, aborted(signal))

    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})
