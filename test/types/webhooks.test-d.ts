import { type ReceivedWebhook, verifyWebhook, type WebhookEvent } from 'pawl/webhooks'
import { describe, expectTypeOf, test } from 'vitest'

declare const request: ReceivedWebhook

describe('what has been received', () => {
  test('is an event, or else a question with or without a challenge', () => {
    const received = verifyWebhook(request)

    if (received.object !== 'event') {
      expectTypeOf(received.challenge).toEqualTypeOf<string | undefined>()
    } else {
      expectTypeOf(received).toEqualTypeOf<WebhookEvent>()
      expectTypeOf(received.data).toEqualTypeOf<Readonly<Record<string, unknown>>>()
      expectTypeOf(received.id).toEqualTypeOf<string>()
      // @ts-expect-error an event is nothing to be answered
      expectTypeOf(received.challenge)
    }
  })

  test('is an event with the data that the receiver knows it has', () => {
    const { data } = verifyWebhook<WebhookEvent<{ readonly id: string }>>(request)

    expectTypeOf(data.id).toEqualTypeOf<string>()
  })

  test('is what another sender sends', () => {
    expectTypeOf(verifyWebhook<{ readonly test: number }>(request).test).toEqualTypeOf<number>()
  })
})

test('a secret that may be missing does not compile', () => {
  const secret = undefined as string | undefined
  // @ts-expect-error it may be missing
  verifyWebhook({ ...request, secrets: secret })
  // @ts-expect-error misspelt
  verifyWebhook({ body: '', headers: {}, secret: '' })
})
