import { describe, expect, test } from 'vitest'
import {
  type ErrorCode,
  type ErrorDetails,
  invalidInput,
  isPawlError,
  machineInvalid,
  messageOf,
  notFound,
  PawlError,
  refuseIssues,
  withArticle,
} from '../src/errors.ts'

const operation = { operation: 'write' }

/** Every code with what it carries: the compiler sees to it that none is missing. */
const details: { readonly [Code in ErrorCode]: ErrorDetails[Code] } = {
  illegal_transition: {
    ...{ resource_id: 'thg_1', status: 'calm', command: 'go', reason: 'guard' },
    ...{ accepts: ['rest'], blockers: [{ code: 'g', message: 'no' }] },
  },
  version_conflict: { resource_id: 'thg_1', expected: 1, actual: 2 },
  not_found: { resource_id: 'thg_1' },
  already_exists: { resource_id: 'thg_1' },
  invalid_input: { issues: [{ path: ['a'], code: 'c', message: 'm' }] },
  idempotency_mismatch: { key: 'k' },
  encryption_key_missing: { resource_type: 'thing', secret: 's' },
  decryption_failed: { resource_id: 'thg_1', secret: 's' },
  machine_invalid: { machine: 'thing', reason: 'r' },
  storage_busy: operation,
  storage_full: operation,
  storage_failed: operation,
  storage_corrupt: operation,
  indeterminate: operation,
  transaction_misuse: { reason: 'r' },
  schema_too_new: { found: '0002' },
  closed: operation,
  webhook_invalid: { reason: 'signature_mismatch' },
}

const codes = Object.keys(details) as ErrorCode[]

function errorOf(code: ErrorCode): PawlError {
  return new PawlError(code, `it is ${code}`, details[code])
}

describe('an error', () => {
  test.each(codes)('%s is an Error that carries its values as properties', (code) => {
    const error = errorOf(code)

    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ ...details[code], code, name: 'PawlError' })
    expect(error.details).toEqual(details[code])
    expect(error.message).toBe(`it is ${code}`)
  })

  test('may succeed when it is tried again, for these codes', () => {
    expect(codes.filter((code) => errorOf(code).retryable)).toEqual([
      'storage_busy',
      'storage_full',
      'indeterminate',
    ])
  })

  test('keeps its cause, and has none of its own', () => {
    const cause = new Error('below')

    expect(new PawlError('closed', 'm', operation, { cause }).cause).toBe(cause)
    expect(errorOf('closed')).not.toHaveProperty('cause')
  })

  test('is written as JSON with its message and each of its values once', () => {
    expect(JSON.parse(JSON.stringify(errorOf('version_conflict')))).toMatchObject({
      ...{ code: 'version_conflict', message: 'it is version_conflict', retryable: false },
      ...details.version_conflict,
    })
    expect(JSON.stringify(errorOf('version_conflict'))).not.toContain('details')
  })
})

describe('isPawlError', () => {
  test('knows its code from the others', () => {
    const error = errorOf('not_found')

    expect(isPawlError(error)).toBe(true)
    expect(codes.filter((code) => isPawlError(error, code))).toEqual(['not_found'])
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'not_found'],
    ['an error of others', Object.assign(new Error('m'), { code: 'not_found' })],
    ['an object that looks like one', { name: 'PawlError', code: 'not_found', details: {} }],
  ])('is false for %s', (_, value) => {
    expect(isPawlError(value)).toBe(false)
    expect(isPawlError(value, 'not_found')).toBe(false)
  })

  test('knows the errors of another copy of the package', async () => {
    const copy = '../src/errors.ts?copy'
    const other = (await import(/* @vite-ignore */ copy)) as typeof import('../src/errors.ts')
    const foreign = new other.PawlError('closed', 'm', operation)

    expect(foreign).not.toBeInstanceOf(PawlError)
    expect(isPawlError(foreign, 'closed')).toBe(true)
    expect(other.isPawlError(errorOf('closed'), 'closed')).toBe(true)
  })
})

describe('the message', () => {
  test('of invalid_input repeats every issue with its place', () => {
    const issues = [
      { path: ['items', 0, 'name'], code: 'a', message: 'is too short' },
      { path: [], code: 'b', message: 'has to be an object' },
    ]

    expect(invalidInput('the input of a task', issues).message).toMatchInlineSnapshot(
      `"the input of a task is not valid: items.0.name: is too short; has to be an object"`,
    )
  })

  test.each([
    ...['the options', 'the options of createEngine', 'the timeouts of a task'].map(
      (subject) => [subject, 'are'] as const,
    ),
    ...['the option delivery', 'the status', 'the address', 'the input of items', 'within'].map(
      (subject) => [subject, 'is'] as const,
    ),
  ])('of invalid_input says of %s that it "%s not valid"', (subject, verb) => {
    const issues = [{ path: [], code: 'a', message: 'no' }]

    expect(invalidInput(subject, issues).message).toBe(`${subject} ${verb} not valid: no`)
  })

  test('of not_found names the type and the id, whatever is in it', () => {
    expect(notFound('task_"1\n', 'task').message).toMatchInlineSnapshot(
      `"there is no task "task_\\"1\\n" here; check the id and the tenant"`,
    )
    expect(notFound('x').message).toMatchInlineSnapshot(
      `"there is no resource "x" here; check the id and the tenant"`,
    )
  })

  test('of machine_invalid names the machine', () => {
    const cause = new Error('below')

    const error = machineInvalid('thing', 'it loops', cause)

    expect(error.message).toMatchInlineSnapshot(`"the machine of "thing" cannot work: it loops"`)
    expect(error.cause).toBe(cause)
  })
})

describe('refuseIssues', () => {
  test('does nothing without an issue, and throws them all otherwise', () => {
    const issues = [{ path: ['a'], code: 'c', message: 'm' }]

    expect(() => refuseIssues('x', [])).not.toThrow()
    expect(() => refuseIssues('x', issues)).toThrowError(
      expect.objectContaining({ code: 'invalid_input', issues }),
    )
  })
})

describe('what a thrown value says', () => {
  test.each<[unknown, string]>([
    [new Error('broken'), 'broken'],
    ['a text', 'a text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'Symbol(s)'],
    [{ password: 'hidden' }, '[object Object]'],
    [Object.create(null), '[object Object]'],
    [Object.assign(new Error('text'), { message: { not: 'a text' } }), '[object Object]'],
  ])('is said of anything: %#', (thrown, said) => {
    expect(messageOf(thrown)).toBe(said)
  })
})

describe('an article', () => {
  test.each([
    ...['a credential', 'a session', 'a user', 'a unit', 'a usage_record', 'a europallet'],
    ...['a Uint8Array', 'a URL', 'a Map', 'an agent', 'an event_destination', 'an invoice'],
    ...['an offer', 'an update', 'an uninstall', 'an Error'],
  ])('makes %s', (expected) => {
    const [, name = ''] = expected.split(' ')
    expect(withArticle(name)).toBe(expected)
  })
})
