/** Does a receiver accept what is genuine, and nothing else? @module */

import { type ReceivedWebhook, verifyWebhook } from 'pawl/webhooks'
import { Webhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import { describe, expect, test } from 'vitest'
import { signatureOf } from '../src/delivery/signature.ts'
import { failureOf } from './support/errors.ts'

// The example that all libraries of Standard Webhooks share.
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OTHER = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const SIGNED = {
  body: '{"test": 2432232314}',
  headers: {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  },
}
const NOW = new Date(1_614_265_330_000)

const received = (changes: object = {}): ReceivedWebhook => ({
  ...SIGNED,
  secrets: SECRET,
  now: NOW,
  ...changes,
})

const withHeaders = (headers: object) => received({ headers: { ...SIGNED.headers, ...headers } })

const keyFor = (secret: string) => Buffer.from(secret.slice('whsec_'.length), 'base64')

test('it signs as the published example is signed', () => {
  const message = {
    id: SIGNED.headers['webhook-id'],
    timestamp: SIGNED.headers['webhook-timestamp'],
    body: SIGNED.body,
  }
  expect(signatureOf([keyFor(SECRET)], message)).toBe(SIGNED.headers['webhook-signature'])
})

describe('it accepts', () => {
  const upper = Object.fromEntries(
    Object.entries(SIGNED.headers).map(([name, value]) => [name.toUpperCase(), value]),
  )
  test.each<[string, ReceivedWebhook]>([
    ['the published example', received()],
    ['a body of bytes', received({ body: Buffer.from(SIGNED.body) })],
    ['headers in capitals', received({ headers: upper })],
    ['the headers of fetch', received({ headers: new Headers(SIGNED.headers) })],
    ['one of several secrets', received({ secrets: [OTHER, SECRET] })],
    [
      'one of several signatures',
      withHeaders({
        'webhook-signature': `v1,AAAA v1a,BBBB ${SIGNED.headers['webhook-signature']}`,
      }),
    ],
    ['a time at the edge', received({ now: new Date(NOW.getTime() + 300_000) })],
    ['a time at the other edge', received({ now: new Date(NOW.getTime() - 300_000) })],
    ['an old one, if told to', received({ now: new Date(), tolerance: Number.MAX_SAFE_INTEGER })],
  ])('%s', (_, webhook) => {
    expect(verifyWebhook(webhook)).toEqual({ test: 2432232314 })
  })
})

describe('it refuses', () => {
  test.each<[string, ReceivedWebhook, string]>([
    ['another body', received({ body: '{"test": 2432232315}' }), 'signature_mismatch'],
    ['another id', withHeaders({ 'webhook-id': 'msg_2' }), 'signature_mismatch'],
    ['another time', withHeaders({ 'webhook-timestamp': '1614265331' }), 'signature_mismatch'],
    ['another secret', received({ secrets: OTHER }), 'signature_mismatch'],
    [
      'a shortened signature',
      withHeaders({ 'webhook-signature': 'v1,g0hM' }),
      'signature_mismatch',
    ],
    [
      'a signature of another version',
      withHeaders({
        'webhook-signature': SIGNED.headers['webhook-signature'].replace('v1', 'v2'),
      }),
      'signature_mismatch',
    ],
    ['no signature', withHeaders({ 'webhook-signature': undefined }), 'header_missing'],
    ['no id', withHeaders({ 'webhook-id': '' }), 'header_missing'],
    ['no time', withHeaders({ 'webhook-timestamp': undefined }), 'header_missing'],
    ['a time that is none', withHeaders({ 'webhook-timestamp': '1e9' }), 'timestamp_malformed'],
    ['an old one', received({ now: new Date(NOW.getTime() + 300_001) }), 'timestamp_too_old'],
    [
      'one of the future',
      received({ now: new Date(NOW.getTime() - 301_000) }),
      'timestamp_too_new',
    ],
  ])('%s', async (_, webhook, reason) => {
    const failure = await failureOf(async () => verifyWebhook(webhook))
    expect(failure).toMatchObject({ code: 'webhook_invalid', reason })
  })

  test('what is genuine and no JSON', async () => {
    const body = 'text'
    const message = { id: 'msg_1', timestamp: '1614265330', body }
    const headers = {
      'webhook-signature': signatureOf([keyFor(SECRET)], message),
      'webhook-id': 'msg_1',
    }
    const failure = await failureOf(async () => verifyWebhook({ ...withHeaders(headers), body }))
    expect(failure).toMatchObject({ code: 'webhook_invalid', reason: 'body_malformed' })
  })
})

describe('it cannot be asked with', () => {
  const SECRETS =
    'has to be the secret that the destination got when it was created, a text "whsec_…" in base64, or a list of such'

  test.each<[string, object, string]>([
    [
      'a body that a parser has already read',
      { body: { test: 1 } },
      'body: has to be the raw body, a text or bytes: read it before a JSON parser does',
    ],
    [
      'no headers',
      { headers: undefined },
      'headers: is missing: it has to be the headers of the request, by their names',
    ],
    [
      'headers in a list',
      { headers: ['webhook-id', 'msg_1'] },
      'headers: has to be the headers of the request, by their names',
    ],
    ['no secrets', { secrets: undefined }, `secrets: is missing: it ${SECRETS}`],
    ['an empty secret', { secrets: '' }, `secrets: ${SECRETS}`],
    ['an empty list', { secrets: [] }, `secrets: ${SECRETS}`],
    ['one of several that is none', { secrets: [SECRET, undefined] }, `secrets: ${SECRETS}`],
    ['a secret that is none', { secrets: 'whsec_not base64' }, `secrets: ${SECRETS}`],
    ['a secret without its prefix', { secrets: OTHER.slice(6) }, `secrets: ${SECRETS}`],
    [
      'a misspelt option',
      { secrets: undefined, secret: SECRET },
      `secret: does not exist (options: body, headers, secrets, tolerance, now); secrets: is missing: it ${SECRETS}`,
    ],
    [
      'a misspelt tolerance',
      { tolerence: '1s' },
      'tolerence: does not exist (options: body, headers, secrets, tolerance, now)',
    ],
    ['a time that is none', { now: new Date(Number.NaN) }, 'now: has to be a Date'],
    ['a time in milliseconds', { now: NOW.getTime() }, 'now: has to be a Date'],
  ])('%s', async (_, changes, message) => {
    const failure = await failureOf(async () => verifyWebhook(received(changes)))
    expect(failure).toMatchObject({
      ...{
        code: 'invalid_input',
        message: `what verifyWebhook was given is not valid: ${message}`,
      },
    })
    expect(failure.message).not.toContain(OTHER.slice(6, 20))
  })

  test('a tolerance that is none', async () => {
    const tolerance = 'soon' as ReceivedWebhook['tolerance']
    const failure = await failureOf(async () => verifyWebhook(received({ tolerance })))
    expect(failure).toMatchObject({
      ...{ code: 'invalid_input', issues: [{ path: ['tolerance'], code: 'invalid_duration' }] },
    })
  })

  test.each([undefined, null, 'body', [SIGNED.body]])('%j alone', async (nothing) => {
    const failure = await failureOf(async () =>
      verifyWebhook(nothing as unknown as ReceivedWebhook),
    )
    expect(failure).toMatchObject({
      code: 'invalid_input',
      message:
        'what verifyWebhook was given is not valid: has to be an object with body, headers and secrets',
    })
  })
})

describe('independent receivers agree', () => {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const message = { id: 'evt_1', timestamp, body: '{"type":"session.idle"}' }
  const headers = {
    'webhook-id': message.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatureOf([keyFor(OTHER), keyFor(SECRET)], message),
  }

  test.each([
    ['standardwebhooks', (body: string) => new Webhook(SECRET).verify(body, headers)],
    ['svix', (body: string) => new SvixWebhook(SECRET).verify(body, headers)],
  ])('%s', (_, verify) => {
    expect(verify(message.body)).toEqual({ type: 'session.idle' })
    expect(() => verify(`${message.body} `)).toThrow()
  })
})
