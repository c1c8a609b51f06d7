import { expect, test } from 'vitest'
import { consume } from '../support/consumers.ts'
import { setupEngine } from '../support/engine.ts'
import { makeAgents } from '../support/follow.ts'
import { turns } from '../support/transactions.ts'
import { until } from '../support/until.ts'
import { makeSession } from '../support/world.ts'

test('a consumer that is stopped while an event fails knows how often it has, whatever lies before it', async () => {
  const engine = await setupEngine()
  const attempts: number[] = []
  const options = { type: 'session.*', backoff: '1h' }
  const run = () =>
    consume(engine, 'mailer', options, (_, { attempt }) => {
      attempts.push(attempt)
      throw new Error('no such address')
    })
  const first = run()
  // Passed over, and not worth storing at once.
  await makeAgents(engine, 3)
  await turns(20)
  await makeSession(engine)
  const failing = [{ attempts: 1, last_error: 'no such address', running: false }]
  const listed = async () => (await engine.consumers.list()) as readonly { attempts: number }[]
  await until(async () => (await listed())[0]?.attempts === 1, 'the failure')

  await first.stop()

  expect(await listed()).toMatchObject(failing)
  run()
  await engine.clock.advance('1h')
  await until(() => attempts.length === 2, 'the second try')
  expect(attempts).toEqual([1, 2])
})
