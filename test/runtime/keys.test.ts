import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createIds } from '../../src/ids.ts'
import { createKeys, parseKeys } from '../../src/runtime/keys.ts'
import { failureOf } from '../support/errors.ts'

const ids = createIds()

const place = { type: 'credential', id: 'cred_1', name: 'password' }

function newKey(): string {
  return randomBytes(32).toString('base64')
}

function keysOf(...texts: string[]) {
  return createKeys(parseKeys(texts), ids)
}

describe('a secret', () => {
  test.each([
    ['a text'],
    [''],
    ['\u0000😀'],
    [null],
    [0],
    [{ a: [1, { b: null }] }],
    ['x'.repeat(100_000)],
  ])('comes back as it went in: %j', (value) => {
    const keys = keysOf(newKey())

    expect(keys.open(place, keys.seal(place, value))).toEqual(value)
  })

  test('cannot be read in its envelope, and is never sealed alike', () => {
    const keys = keysOf(newKey())

    const [one, other] = [keys.seal(place, 'hunter2 hunter2'), keys.seal(place, 'hunter2 hunter2')]

    expect(one.includes('hunter2')).toBe(false)
    expect(one.equals(other)).toBe(false)
  })

  test('is opened by any of the keys, wherever it stands', () => {
    const [old, fresh] = [newKey(), newKey()]
    const envelope = keysOf(old).seal(place, 'a')

    expect(keysOf(fresh, old).open(place, envelope)).toBe('a')
    expect(keysOf(old, fresh).open(place, envelope)).toBe('a')
  })

  test('is sealed with the first key', () => {
    const [first, second] = [newKey(), newKey()]
    const envelope = keysOf(first, second).seal(place, 'a')

    expect(keysOf(first).open(place, envelope)).toBe('a')
    expect(() => keysOf(second).open(place, envelope)).toThrow()
  })

  test.each([
    ['type', { ...place, type: 'session' }],
    ['id', { ...place, id: 'cred_2' }],
    ['name', { ...place, name: 'pin' }],
    ['parts, run together', { type: 'credential","cred_1', id: '', name: 'password' }],
  ])('does not open at another place: %s', async (_, other) => {
    const keys = keysOf(newKey())
    const envelope = keys.seal(place, 'a')

    const error = await failureOf(() => keys.open(other, envelope))

    expect(error).toMatchObject({ code: 'decryption_failed', resource_id: other.id })
  })

  test('does not open with another key, and the message says which secret of what', async () => {
    const envelope = keysOf(newKey()).seal(place, 'a')

    const error = await failureOf(() => keysOf(newKey()).open(place, envelope))

    expect(error).toMatchObject({ code: 'decryption_failed', resource_id: 'cred_1' })
    expect(error.message).toMatchInlineSnapshot(
      `"the secret "password" of credential cred_1 was encrypted with a key that is not among encryptionKeys, or has been altered"`,
    )
  })

  test('does not open when any bit of it is flipped', () => {
    const keys = keysOf(newKey())
    const envelope = keys.seal(place, 'a secret')

    for (let bit = 0; bit < envelope.length * 8; bit++) {
      const altered = Buffer.from(envelope)
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => keys.open(place, altered)).toThrowError(
        expect.objectContaining({ code: 'decryption_failed' }),
      )
    }
  })

  test('does not open when it is cut or empty', () => {
    const keys = keysOf(newKey())
    const envelope = keys.seal(place, 'a secret')

    for (let length = 0; length < envelope.length; length++) {
      expect(() => keys.open(place, envelope.subarray(0, length))).toThrowError(
        expect.objectContaining({ code: 'decryption_failed' }),
      )
    }
  })

  test('needs a key', async () => {
    const error = await failureOf(() => keysOf().seal(place, 'hunter2'))

    expect(error).toMatchObject({ code: 'encryption_key_missing', secret: 'password' })
    expect(error.message).toMatchInlineSnapshot(
      `"the secret "password" of a credential needs an encryption key; give createEngine the option encryptionKeys"`,
    )
  })

  test('that the engine makes has its prefix and 32 bytes of chance', () => {
    const keys = keysOf()

    const [one, other] = [keys.generate('whsec_'), keys.generate('whsec_')]

    expect(one).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(one).not.toBe(other)
  })
})

describe('a key', () => {
  test.each([
    ['31 bytes', randomBytes(31).toString('base64')],
    ['33 bytes', randomBytes(33).toString('base64')],
    ['a password', 'correct horse battery staple'],
    ['an empty text', ''],
    ['hexadecimal', randomBytes(32).toString('hex')],
    ['no text', 5],
    ['bytes', randomBytes(32)],
  ])('is refused, and not repeated: %s', async (_, key) => {
    const error = await failureOf(() => parseKeys([newKey(), key as string]))

    expect(error).toMatchObject({
      code: 'invalid_input',
      issues: [{ path: ['encryptionKeys', 1], code: 'invalid_key' }],
    })
    if (String(key) !== '') expect(JSON.stringify(error)).not.toContain(String(key))
  })

  test.each([
    ['a key with garbage in it', `!!!${newKey()}`],
    ['a long password', 'correct horse, battery staple! what a fine password X'],
  ])('is refused when it is no base64: %s', async (_, key) => {
    expect(await failureOf(() => parseKeys([key]))).toMatchObject({ code: 'invalid_input' })
  })

  test('that is refused says how to make one', () => {
    expect(() => parseKeys(['short'])).toThrowErrorMatchingInlineSnapshot(
      `[PawlError: the option encryptionKeys is not valid: encryptionKeys.0: has to be 32 bytes in base64; make one with generateKey()]`,
    )
  })

  test('may be written in URL-safe base64', () => {
    expect(parseKeys([randomBytes(32).toString('base64url')])).toHaveLength(1)
  })
})

describe('a fingerprint', () => {
  const markOf = (text: string, ...keys: string[]) => keysOf(...keys).fingerprints(text, text)[0]

  test('is the same for the same text and key, and differs otherwise', () => {
    const [one, other] = [newKey(), newKey()]
    const mark = markOf('request', one)

    expect(markOf('request', one)).toBe(mark)
    const others = [markOf('requesT', one), markOf('request', other), markOf('request')]
    expect(new Set([mark, ...others]).size).toBe(4)
  })

  test('is made under each key, the first first, and last as it is without any', () => {
    const [one, other] = [newKey(), newKey()]

    expect(keysOf(one, other).fingerprints('request', 'request')).toEqual([
      markOf('request', one),
      markOf('request', other),
      markOf('request'),
    ])
  })

  test('tells nothing of a secret when there is no key that would hide it', () => {
    const markWith = (code: string, ...keys: string[]) =>
      keysOf(...keys).fingerprints(`answer ${code}`, 'answer')[0]
    const key = newKey()

    expect(markWith('123456')).toBe(markWith('654321'))
    expect(markWith('123456', key)).not.toBe(markWith('654321', key))
  })

  test('needs no key', () => {
    expect(keysOf().fingerprints('request', 'request')).toEqual([markOf('request')])
  })
})
