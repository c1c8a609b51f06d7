import { describe, expect, test } from 'vitest'
import { type Duration, toMilliseconds } from '../src/duration.ts'
import { failureOf } from './support/errors.ts'

describe('a duration', () => {
  test.each<[Duration, number]>([
    ['250ms', 250],
    ['30s', 30_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['90d', 7_776_000_000],
    ['1.5s', 1500],
    ['0s', 0],
    ['0.4ms', 0],
    [0, 0],
    [1.6, 2],
    [86_400_000, 86_400_000],
  ])('of %j is %d ms', (duration, milliseconds) => {
    expect(toMilliseconds(duration)).toBe(milliseconds)
  })

  test.each([
    '',
    '10',
    '10 m',
    '10M',
    '10w',
    '-5m',
    '1e3s',
    '.5s',
    '5.s',
    ' 5s',
    '5s\n',
    `${'9'.repeat(400)}d`,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    null,
    undefined,
    {},
    ['5s'],
    new Date(0),
  ])('is not %j', async (value) => {
    const error = await failureOf(() => toMilliseconds(value as Duration, 'busyTimeout'))

    expect(error).toMatchObject({
      code: 'invalid_input',
      issues: [{ path: ['busyTimeout'], code: 'invalid_duration' }],
    })
  })

  test('that is none is named in the message, with the forms that are', () => {
    expect(() => toMilliseconds('soon' as Duration, 'timeout')).toThrowErrorMatchingInlineSnapshot(
      `[PawlError: timeout is not valid: timeout: "soon" is not a duration: use a number and its unit (ms, s, m, h or d) without a space, such as "5s", "30m" or "1.5h", or a number of milliseconds]`,
    )
  })
})
