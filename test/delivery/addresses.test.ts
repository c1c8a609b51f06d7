/** Does nothing but what is public get through, unless it is allowed? @module */

import { describe, expect, test } from 'vitest'
import { createAddresses } from '../../src/delivery/addresses.ts'
import { failureOf } from '../support/errors.ts'

const PUBLIC = [
  '8.8.8.8',
  '93.184.215.14',
  '2606:2800:21f:cb07:6820:80da:af6b:8b2c',
  '::ffff:8.8.8.8',
]

const PRIVATE = [
  ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.0.0.1', '172.16.0.1', '172.31.255.255'],
  ...['192.168.1.1', '169.254.169.254', '100.64.0.1', '192.0.0.1', '192.0.2.1', '198.18.0.1'],
  ...['198.51.100.1', '203.0.113.1', '224.0.0.1', '240.0.0.1', '255.255.255.255', '168.63.129.16'],
  ...['::', '::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::127.0.0.1', '::8.8.8.8', 'fe80::1'],
  ...[
    'fec0::1',
    'fc00::1',
    'fd12::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::',
  ],
  ...['2001::1', '2001:10::1', '2001:20::1', '2001:db8::1', '3fff::1', '100::1', '5f00::1'],
]

describe('public addresses', () => {
  test.each(PUBLIC)('%s', (address) => {
    expect(createAddresses([]).refusal(address)).toBeUndefined()
  })
})

describe('all others', () => {
  test.each(PRIVATE)('%s', (address) => {
    expect(createAddresses([]).refusal(address)).toMatch(/is not a public address/)
  })

  test.each(['', 'localhost', '1.2.3', '300.1.1.1', '8.8.8.8 '])(
    'what is no address: %j',
    (text) => {
      expect(createAddresses([]).refusal(text)).toBeDefined()
    },
  )
})

describe('a range that is allowed', () => {
  test('lets its own addresses through, and no others', () => {
    const { refusal } = createAddresses(['10.1.0.0/16', 'fd00::/8', '168.63.129.16/32'])
    for (const address of [
      '10.1.0.1',
      '10.1.255.255',
      '::ffff:10.1.2.3',
      'fd12::1',
      '168.63.129.16',
    ])
      expect(refusal(address)).toBeUndefined()
    for (const address of ['10.2.0.1', '127.0.0.1', 'fe80::1', '::1', '::10.1.2.3'])
      expect(refusal(address)).toBeDefined()
  })

  test('can be written as IPv4 within IPv6', () => {
    const { refusal } = createAddresses(['::ffff:10.0.0.0/104'])
    expect(refusal('10.9.9.9')).toBeUndefined()
    expect(refusal('11.9.9.9')).toBeUndefined()
    expect(refusal('127.0.0.1')).toBeDefined()
  })

  test.each(['10.0.0.1', 'localhost', '10.0.0.0/33', '', 'fd00::/129'])(
    '%j is none',
    async (range) => {
      const failure = await failureOf(async () => createAddresses([range]))
      expect(failure.code).toBe('invalid_input')
      expect(failure.message).toContain('allowPrivate')
    },
  )
})
