/** Is what an adapter gives taken for no more than it says? @module */

import { expect, test } from 'vitest'
import { toReceipt } from '../../src/delivery/receipt.ts'

test.each([
  [{ ok: true }, { ok: true }],
  [
    { ok: true, statusCode: 204, responseBody: 'x', error: 'none' },
    { ok: true, statusCode: 204, responseBody: 'x' },
  ],
  [{ ok: true, statusCode: '200', responseBody: 7 }, { ok: true }],
  [
    { ok: false, error: 'busy', retryAfter: 60_000.5, gone: true },
    { ok: false, error: 'busy', retryAfter: 60_001, gone: true },
  ],
  [
    { ok: false, error: 'busy', retryAfter: Number.NaN },
    { ok: false, error: 'busy', gone: false },
  ],
  [
    { ok: false, error: '' },
    { ok: false, error: 'failed: the type gave no reason', gone: false },
  ],
  [
    { ok: false, error: `\ud800${'x'.repeat(1000)}` },
    { ok: false, error: `\ufffd${'x'.repeat(499)}`, gone: false },
  ],
  [
    { ok: false, error: `${'x'.repeat(499)}😀` },
    { ok: false, error: `${'x'.repeat(499)}\ufffd`, gone: false },
  ],
])('%j is taken for %j', (given, receipt) => {
  expect(toReceipt(given)).toEqual(receipt)
})

test.each([null, undefined, 'ok', 5, {}, { ok: 'yes' }, []])('%j is a failure', (given) => {
  expect(toReceipt(given)).toEqual({
    ok: false,
    error: expect.stringMatching(/^malformed_receipt: deliver gave /),
  })
})
