import { describe, expect, test } from 'vitest'

describe('the public names', () => {
  test('of pawl', async () => {
    expect(Object.keys(await import('pawl'))).toMatchInlineSnapshot(`
      [
        "createEngine",
        "generateKey",
        "defineResource",
        "now",
        "tell",
        "isPawlError",
        "PawlError",
        "defineDestinationType",
      ]
    `)
  })

  test('of pawl/machines', async () => {
    expect(Object.keys(await import('pawl/machines'))).toMatchInlineSnapshot(`
      [
        "agentPlatform",
      ]
    `)
  })

  test('of pawl/testing', async () => {
    expect(Object.keys(await import('pawl/testing'))).toMatchInlineSnapshot(`
      [
        "createTestEngine",
      ]
    `)
  })

  test('of pawl/webhooks', async () => {
    expect(Object.keys(await import('pawl/webhooks'))).toMatchInlineSnapshot(`
      [
        "verifyWebhook",
      ]
    `)
  })

  test.each(['rabbitmq', 'nats'])('of pawl/%s', async (name) => {
    expect(
      Object.keys(await (name === 'nats' ? import('pawl/nats') : import('pawl/rabbitmq'))),
    ).toEqual([name])
  })
})
