/** What becomes of a delivery, for every way in which an attempt can end? @module */

import { describe, expect, test } from 'vitest'
import type { Receipt } from '../../src/delivery/destination-type.ts'
import { type DeliverySettings, toDeliverySettings } from '../../src/delivery/settings.ts'
import { type Attempted, judge, released } from '../../src/delivery/verdict.ts'

const DAY = 24 * 3_600_000

function settingsWith(changes: Partial<DeliverySettings> = {}): DeliverySettings {
  return { ...toDeliverySettings({ jitter: 0, retries: [1000, 2000] }), ...changes }
}

function attempted(receipt: Receipt, tries = 0): Attempted {
  const claimed = {
    ...{ seq: 5, destination: 2, resourceId: 'agt_1', fence: 3, replay: false, attempts: 7, tries },
    ...{ eventId: 'evt_1', eventType: 'agent.created', began: 1, data: '{}', createdAt: 0 },
  }
  return { claimed, receipt, at: 100, durationMs: 9 }
}

const FAILED: Receipt = { ok: false, error: 'http_500: the receiver answered 500', statusCode: 500 }

describe('an attempt', () => {
  test('that succeeds ends the delivery', () => {
    const { settlement, deactivation } = judge(
      attempted({ ok: true, statusCode: 204 }),
      settingsWith(),
      200,
      () => 0.5,
    )

    expect(deactivation).toBeNull()
    expect(settlement).toMatchObject({
      status: 'succeeded',
      tries: 0,
      fence: 3,
      resourceId: 'agt_1',
    })
    expect(settlement.attempt).toEqual({
      ...{ number: 8, at: 100, statusCode: 204, durationMs: 9, error: null, responseBody: null },
    })
  })

  test.each([
    [0, 1200],
    [1, 2200],
  ])('that fails after %i others is tried again at %i', (tries, nextAt) => {
    const { settlement } = judge(attempted(FAILED, tries), settingsWith(), 200, () => 0.5)

    expect(settlement).toMatchObject({ status: 'waiting', tries: tries + 1, nextAt })
  })

  test('that is the last one exhausts the delivery, and asks for a deactivation that says why', () => {
    const { settlement, deactivation } = judge(attempted(FAILED, 2), settingsWith(), 200, () => 0.5)

    expect(settlement).toMatchObject({ status: 'exhausted', tries: 3 })
    expect(deactivation).toEqual({
      message: expect.stringContaining(
        'evt_1 (agent.created) could not be delivered in 3 attempts',
      ),
      unlessAccepted: true,
    })
  })

  test('that is the last one deactivates whatever else is accepted, by the strict preset', () => {
    const { deactivation } = judge(
      attempted(FAILED, 2),
      settingsWith({ isStrict: true }),
      0,
      () => 0.5,
    )

    expect(deactivation?.unlessAccepted).toBe(false)
  })

  test('that finds the receiver gone deactivates, and leaves the delivery open', () => {
    const { settlement, deactivation } = judge(
      attempted({ ok: false, error: 'http_410: gone', gone: true }),
      settingsWith(),
      0,
      () => 0.5,
    )

    expect(settlement.status).toBe('waiting')
    expect(deactivation?.unlessAccepted).toBe(false)
  })
})

describe('the wait', () => {
  test.each([
    [0, 800],
    [0.25, 900],
    [0.5, 1000],
    [1, 1200],
  ])('is longer or shorter by chance: %d', (chance, nextAt) => {
    const settings = settingsWith({ jitter: 0.2 })

    expect(judge(attempted(FAILED), settings, 0, () => chance).settlement.nextAt).toBe(nextAt)
  })

  test.each([
    [0, 1000],
    [999, 1000],
    [5000, 5000],
    [2 * DAY, DAY],
    [Number.POSITIVE_INFINITY, DAY],
    [-5, 1000],
  ])('is at least what the receiver asks for, up to a day: %d ms', (retryAfter, nextAt) => {
    const receipt: Receipt = { ok: false, error: 'http_503: busy', retryAfter }

    expect(judge(attempted(receipt), settingsWith(), 0, () => 0.5).settlement.nextAt).toBe(nextAt)
  })
})

describe('what is kept', () => {
  test('of an answer is its first 2 KB, as a text', () => {
    const responseBody = `${'é'.repeat(1023)}xé`
    const { settlement } = judge(
      attempted({ ok: true, responseBody }),
      settingsWith(),
      0,
      () => 0.5,
    )

    expect(settlement.attempt?.responseBody).toBe(`${'é'.repeat(1023)}x\ufffd`)
  })

  test('of an answer that is not well-formed is a text that is', () => {
    const receipt: Receipt = { ok: false, error: 'bad', responseBody: '\udc00' }
    const { attempt } = judge(attempted(receipt), settingsWith(), 0, () => 0.5).settlement

    expect(attempt).toMatchObject({ error: 'bad', responseBody: '\ufffd' })
  })
})

test.each([
  [0, 'pending'],
  [2, 'waiting'],
])('what was given up after %i failures is %s, and due at once', (tries, status) => {
  expect(released(attempted(FAILED, tries).claimed, 70)).toEqual({
    ...{ seq: 5, destination: 2, resourceId: 'agt_1', fence: 3, status, tries },
    ...{ nextAt: 70, attempt: null },
  })
})
